"""What a page says of its model: the facts of its card, the certificate, and the image in a gallery."""

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import layout
from export.contract import Tensor
from export.proof.certificate import Certificate, worst_difference
from export.serving.web.pages import Page
from zoobase import finite

VERDICTS = {
    "pass": "proven: every file equals the trained model",
    "pass with reservations": "proven, with reservations",
}
PICTURES = 4  # in the image of a model in a gallery
LARGEST = 160  # pixels of one of them
LETTERS = 160  # of the text in a gallery
FIELDS = 5


def figure(manifest: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the name of the first metric, and its value with the 95 % interval; None where the card has none."""
    metrics, intervals = manifest["metrics"], manifest.get("card", {}).get("intervals", {})
    numbers = [
        (name, value) for name, value in metrics.items() if isinstance(value, int | float) and finite(value) == value
    ]
    if not numbers:
        return None
    name, value = numbers[0]
    low, high = intervals.get(name) or (None, None)
    text = f"{value:.4g}" if low is None else f"{value:.4g} ({low:.4g} to {high:.4g})"
    return name.replace("_", " "), text


def badges(manifest: Mapping[str, Any], verdict: str) -> str:
    """Return the list of figure and verdict as HTML."""
    items = []
    if found := figure(manifest):
        items.append(f"<li>{html.escape(found[0])} {html.escape(found[1])}</li>")
    kind = "pass" if verdict == "pass" else "reserved"
    items.append(f'<li class="{kind}">{html.escape(VERDICTS.get(verdict, verdict))}</li>')
    return f'<ul class="badges">{"".join(items)}</ul>'


def about(manifest: Mapping[str, Any], verdict: str) -> str:
    """Return the facts of the card as an HTML table; what the card does not say is left out."""
    card, found = manifest.get("card", {}), figure(manifest)
    rows = [(f"{found[0]}, 95 % interval", found[1])] if found else []
    rows += [(name, str(card[key])) for name, key in (("data", "data"), ("licence", "licence")) if card.get(key)]
    rows.append(("certificate", VERDICTS.get(verdict, verdict)))
    cells = (f'<tr><th scope="row">{html.escape(a)}</th><td>{html.escape(b)}</td></tr>' for a, b in rows)
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def certificate_rows(folder: Path) -> str:
    """Return the rows of the certificate of a bundle as HTML: file, runtime, state, difference with its tolerance."""
    lines = []
    for row in Certificate.from_json(layout.read_certificate(folder)).rows:
        ran = ", ".join(f"{name} {version}" for name, version in row.versions.items()) or row.runtime or ""
        state = f"{row.state}: {row.reason}" if row.reason else row.state
        cells = (row.artifact, ran, state, worst_difference(row))
        lines.append(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>")
    return "\n".join(lines)


def picture(page: Page, golden: Mapping[str, np.ndarray], texts: Sequence[str]) -> tuple[str, bytes | None]:
    """Return the image of a model in a gallery: HTML, and a PNG that it shows as `picture.png` or None."""
    from PIL import Image

    tensors = {t.name: t for t in (*page.endpoint.outputs, *page.endpoint.inputs)}
    images = [t for t in tensors.values() if t.meaning == "image" and t.name in golden]
    if images:
        content = io.BytesIO()
        Image.fromarray(_tiles(golden[images[0].name], images[0])).save(content, "PNG")
        return '<img src="{folder}/picture.png" alt="" loading="lazy">', content.getvalue()
    if text := next((text for text in texts if len(set(text.split())) > 2), None):
        short = text if len(text) <= LETTERS else f"{text[:LETTERS].rsplit(' ', 1)[0]} ..."
        return f"<blockquote>{html.escape(short)}</blockquote>", None
    single = {t.name for t in page.endpoint.inputs if all(size == 1 for size in t.shape[1:])}
    fields = [field for field in page.options.get("fields") or [] if field["input"] in single]
    values = {name: array[0].ravel() for name, array in golden.items() if len(array)}
    rows = [
        f"<dt>{html.escape(field['label'].removesuffix('_id').replace('_', ' '))}</dt><dd>{_value(field, values)}</dd>"
        for field in fields[:FIELDS]
        if field["input"] in values
    ]
    return (f"<dl>{''.join(rows)}</dl>" if rows else f"<p>{html.escape(page.heading)}</p>"), None


def _value(field: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> str:
    number = values[field["input"]][0]
    chosen = dict(map(tuple, field.get("choices") or [])).get(number.item())
    return html.escape(str(chosen) if chosen is not None else f"{number:.4g}")


def _tiles(images: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return up to four images beside each other, uint8 (H, W, 3); those of one colour are left out."""
    low, high = (tensor.ranges or [(tensor.low if tensor.low is not None else 0, tensor.high or 255)])[0]
    low, high = (float(np.ravel(v)[0]) for v in (low, high))
    shown = [image for image in np.asarray(images, np.float64) if np.ptp(image) > 0][:PICTURES] or [images[0]]
    step = max(1, -(-max(shown[0].shape[:2]) // LARGEST))
    pixels = [np.clip((image[::step, ::step] - low) / max(high - low, 1e-9) * 255, 0, 255) for image in shown]
    gap = np.full((pixels[0].shape[0], max(1, pixels[0].shape[1] // 16), pixels[0].shape[2]), 255.0)
    row = np.concatenate([part for image in pixels for part in (image, gap)][:-1], axis=1)
    row = np.repeat(row, 3, axis=2) if row.shape[2] == 1 else row[:, :, :3]
    return row.astype(np.uint8)
