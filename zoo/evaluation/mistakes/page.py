"""The page of `python -m zoo.mistakes`: examples with their images, texts or rows, and groups of them."""

import base64
import html
import io
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LONGEST = 400  # characters of a text
SIDE = 160  # pixels
HEADINGS = {"worst": "Largest errors", "likely_wrong": "Likely wrong labels", "slices": "Worse than the others"}


def render(
    title: str, report: Mapping[str, Sequence[Mapping[str, Any]]], examples: Mapping[str, Sequence[Mapping[str, Any]]]
) -> str:
    """Return the page as HTML in one file, without scripts."""
    parts = []
    for key, heading in HEADINGS.items():
        rows = report[key]
        shown = [_cell(example) for example in examples.get(key, ())] or None
        parts.append(f"<h2>{heading}</h2>" + (_table(rows, shown) if rows else "<p>None.</p>"))
    page = string.Template((Path(__file__).parent / "templates" / "mistakes.html.txt").read_text(encoding="utf-8"))
    return page.substitute(title=html.escape(title), body="\n".join(parts))


def _table(rows: Sequence[Mapping[str, Any]], shown: Sequence[str] | None) -> str:
    names = list(rows[0])
    header = "".join(
        f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in [*names, *(["content"] * bool(shown))]
    )
    lines = []
    for i, row in enumerate(rows):
        cells = "".join(f"<td>{html.escape(_text(row[name]))}</td>" for name in names)
        lines.append(f"<tr>{cells}{f'<td>{shown[i]}</td>' if shown else ''}</tr>")
    return f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(example: Mapping[str, Any]) -> str:
    """Return an example as HTML."""
    if "image" in example:
        from PIL import Image

        with Image.open(io.BytesIO(example["image"])) as image:
            small, content = image.convert("RGB"), io.BytesIO()
            small.thumbnail((SIDE, SIDE))
            small.save(content, "PNG")
        data = base64.b64encode(content.getvalue()).decode()
        return f'<img alt="" width="{small.width}" height="{small.height}" src="data:image/png;base64,{data}">'
    if "text" in example:
        text = example["text"].decode("utf-8", "replace")
        return html.escape(text[:LONGEST] + ("…" if len(text) > LONGEST else ""))
    values = {
        name: v.decode("utf-8", "replace") if isinstance(v, bytes) else _text(v.item()) for name, v in example.items()
    }
    return html.escape(", ".join(f"{name}: {value}" for name, value in values.items()))
