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
from export.protocol.calls import Function
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
PEAKS = 100  # of the wave of a sound


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


def badges(manifest: Mapping[str, Any], verdict: str, folder: str = "") -> str:
    """Return the list of figure and verdict as HTML; `folder` leads to the page of the certificate."""
    found, kind = figure(manifest), "pass" if verdict == "pass" else "reserved"
    items = f"<li>{html.escape(found[0])} {html.escape(found[1])}</li>" if found else ""
    link = f'<a href="{folder}certificate.html">{html.escape(VERDICTS.get(verdict, verdict))}</a>'
    return f'<ul class="badges">{items}<li class="verdict {kind}">{link}</li></ul>'


def about(manifest: Mapping[str, Any], verdict: str) -> str:
    """Return the facts of the card as an HTML table; what the card does not say is left out."""
    card, found = manifest.get("card", {}), figure(manifest)
    rows = [(f"{found[0]}, 95 % interval", found[1])] if found else []
    rows += [(name, str(card[key])) for name, key in (("data", "data"), ("licence", "licence")) if card.get(key)]
    rows.append(("certificate", VERDICTS.get(verdict, verdict)))
    cells = [f'<tr><th scope="row">{html.escape(a)}</th><td>{html.escape(b)}</td></tr>' for a, b in rows]
    cells[-1] = cells[-1].replace("<tr>", '<tr class="verdict">')
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
    if sound := next((t for t in page.endpoint.inputs if t.meaning == "audio"), None):
        peaks = np.array([np.abs(part).max() for part in np.array_split(golden[sound.name][0].ravel(), PEAKS)])
        lines = (f"M{i} {50 - p:.0f}V{50 + p:.0f}" for i, p in enumerate(1 + 45 * peaks / max(peaks.max(), 1e-9)))
        return f'<svg viewBox="0 0 {PEAKS} 100" preserveAspectRatio="none"><path d="{"".join(lines)}"/></svg>', None
    numbers = {name: iter(array[0].ravel()) for name, array in golden.items() if len(array)}
    rows = [
        _row(field, next(numbers[field["input"]]))
        for field in (page.options.get("fields") or [])[:FIELDS]
        if field["input"] in numbers
    ]
    return (f"<dl>{''.join(rows)}</dl>" if rows else f"<p>{html.escape(page.heading)}</p>"), None


def continuation(page: Page, call: Function) -> str:
    """Return a text that a model writes from its first state, each token drawn from its probabilities."""
    options, rng = page.options, np.random.default_rng(0)
    vocabulary = options["vocabulary"]
    states = [t for t in page.endpoint.inputs if t.name in options["states"]]
    values = {t.name: np.zeros((1, *t.shape[1:]), t.dtype) for t in states}
    token, text = vocabulary.index("\n") if "\n" in vocabulary else 0, ""
    while len(text) < LETTERS:
        outputs = call({**values, options["token"]: np.array([token], np.int32)})
        energies = 1.5 * outputs[options["scores"]].ravel().astype(float)
        weights = np.exp(energies - energies.max())
        token = int(rng.choice(len(weights), p=weights / weights.sum()))
        values, text = {name: outputs[after] for name, after in options["states"].items()}, text + vocabulary[token]
    return text.strip()


def _row(field: Mapping[str, Any], number: np.number) -> str:
    chosen = dict(map(tuple, field.get("choices") or [])).get(number.item())
    value = html.escape(str(chosen) if chosen is not None else f"{number:.4g}")
    return f"<dt>{html.escape(field['label'].removesuffix('_id').replace('_', ' '))}</dt><dd>{value}</dd>"


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
