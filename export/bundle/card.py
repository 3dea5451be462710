"""The README.md of a bundle: what it is, what was proven, how to serve it and how to run it."""

from __future__ import annotations

import shutil
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.bundle.serving import CONFIG, docker_command
from export.contract import Contract, Tensor
from export.errors import ExportError
from export.proof import image_diff
from export.proof.certificate import Certificate, Row
from export.proof.evaluation import describe

FIGURES = "figures"


def write_card(
    folder: Path,
    contract: Contract,
    certificate: Certificate,
    manifest: Mapping[str, Any],
    card: Mapping[str, Any],
    name: str,
) -> None:
    """Write `README.md`, and copy its pictures to `figures/`.

    Args:
        folder: The staged bundle.
        contract: Its contract.
        certificate: Its proof.
        manifest: Its manifest.
        card: What the caller knows: title, description, licence, data, metrics, command, notes, images, and code:
            {heading: Python}.
        name: The name of the bundle, for commands.

    Raises:
        ExportError: If an image is not there.
    """
    formats = {a["format"]: a for a in manifest["artifacts"] if a["state"] is None}
    parts = [f"# {card.get('title', name)}", card.get("description")]
    parts += _facts(card)
    parts += _pictures(folder, card.get("images", ()))
    parts += [f"## Proof: {certificate.verdict}", _proof(certificate.artifacts), _images(certificate.artifacts)]
    parts += [_picture(path) for path in sorted((folder / FIGURES).glob(f"{image_diff.PREFIX}*.png"))]
    if code := manifest["code_dependency"]:
        parts.append(
            f"The Keras files hold classes of {code['package']}: `import {', '.join(code['modules'])}` before "
            f"`keras.saving.load_model`. The SavedModel and TFLite files need no code."
        )
    parts += [
        "Prove it again, here and now: `python -m export verify .`",
        "## Endpoints",
        _endpoints(contract, formats),
    ]
    if "saved_model" in formats:
        parts += _serving(contract, name)
    if "tflite" in formats:
        parts += _litert(contract, formats["tflite"]["endpoints"])
    parts += [f"## {title}\n\n```python\n{code}```" for title, code in card.get("code", {}).items()]
    parts += [f"## Notes\n\n{card['notes']}"] if card.get("notes") else []
    parts.append(
        "`sha256sum -c SHA256SUMS` finds damaged files. It cannot find malice: who can write files can write sums."
    )
    (folder / "README.md").write_text("\n\n".join(part for part in parts if part) + "\n")


def _facts(card: Mapping[str, Any]) -> list[str]:
    rows = [(key.capitalize(), card[key]) for key in ("data", "licence") if card.get(key)]
    rows += [
        (name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in card.get("metrics", {}).items()
    ]
    facts = [_table(("", ""), rows)] if rows else []
    return facts + ([f"Made by\n\n    {card['command']}"] if card.get("command") else [])


def _pictures(folder: Path, images: Iterable[Any]) -> list[str]:
    shown = []
    for image in map(Path, images):
        if not image.is_file():
            raise ExportError(f"card image {image} is not there; give the path of a PNG file")
        (folder / FIGURES).mkdir(exist_ok=True)
        shown.append(_picture(Path(shutil.copyfile(image, folder / FIGURES / image.name))))
    return shown


def _picture(path: Path) -> str:
    return f"![{path.stem.replace('_', ' ')}]({FIGURES}/{path.name})"


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _proof(rows: Iterable[Row]) -> str:
    """Return the parity table: one line for each artifact in each runtime."""
    lines = []
    for row in rows:
        ran = ", ".join(f"{k} {v}" for k, v in row.versions.items()) or row.runtime or ""
        code = f"needs the code of {row.code_dependency}" if row.code_dependency else ""
        lines.append((f"`{row.artifact}`", ran, row.state, worst(row), row.reason or row.note or code))
    return _table(("artifact", "ran in", "state", "largest difference (tolerance)", ""), lines)


def _images(rows: Iterable[Row]) -> str:
    """Return how near the images of each artifact come to the reference, by their size; empty where none is."""
    lines = [
        (f"`{row.artifact}`", row.runtime, name, size, _decibels(found["psnr_db"]), f"{found['max_difference']:.2g}")
        for row in rows
        for name, endpoint in row.endpoints.items()
        for output in endpoint.get("outputs", {}).values()
        for size, found in output.get("images", {}).items()
    ]
    head = ("artifact", "ran in", "endpoint", "size", "PSNR", "largest difference of a pixel")
    return _table(head, lines) if lines else ""


def _decibels(psnr: float | None) -> str:
    return "equal" if psnr is None else f"{psnr:.0f} dB"


def worst(row: Row) -> str:
    """Return the largest difference of a row and its tolerance, in units of the reference, as text.

    A quantised file is told by its worst signal-to-quantisation-noise ratio and the drop of the metric.
    """
    if any("quantised" in endpoint for endpoint in row.endpoints.values()):
        return _loss(row)
    figures = [f for endpoint in row.endpoints.values() for f in endpoint.get("outputs", {}).values()]
    if not figures:
        return ""
    found = max(figures, key=lambda f: f["max_error"] / f["tolerance"])
    return f"{found['max_error']:.1e} ({found['tolerance']:.0e})"


def _loss(row: Row) -> str:
    found = [(f, e["budget"]) for e in row.endpoints.values() for f in e["quantised"].values()]
    ratios = [(f["sqnr_db"], budget["sqnr_db"]) for f, budget in found if f["sqnr_db"] is not None]
    parts = ["SQNR {:.0f} dB (at least {:.0f})".format(*min(ratios))] if ratios else []
    counts = [f["top1"] for f, _ in found if "top1" in f]
    parts += ["top-1 {}/{}".format(*min(counts, key=lambda c: c[0] / max(c[1], 1)))] if counts else []
    parts += [describe(e["evaluation"]) for e in row.endpoints.values() if "evaluation" in e]
    return "; ".join(parts)


def _endpoints(contract: Contract, formats: Mapping[str, Any]) -> str:
    def describe(tensors: Iterable[Tensor]) -> str:
        return "; ".join(f"`{t.name}` {t.dtype} {_shape(t)} {t.meaning}" for t in tensors)

    rows = [
        (f"`{e.name}`", describe(e.inputs), describe(e.outputs), ", ".join(f for f in e.formats if f in formats))
        for e in contract.endpoints
    ]
    return _table(("endpoint", "takes", "returns", "in"), rows)


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join("?" if d is None else str(d) for d in tensor.shape) + ")"


def _serving(contract: Contract, name: str) -> list[str]:
    """Return how to serve the SavedModel, by REST and by gRPC."""
    endpoint = contract.carried_by("saved_model")[0]
    instance = ", ".join(f'"{t.name}": {_json(t)}' for t in endpoint.inputs)
    inputs = "\n".join(
        f'request.inputs["{t.name}"].CopyFrom(tf.make_tensor_proto({_array(t)}))' for t in endpoint.inputs
    )
    return [
        "## Serve it with TF Serving",
        f"    {docker_command(name, '$PWD/saved_model')}",
        f"`{CONFIG}` is the same for `--model_config_file`; `python -m export publish . BASE_PATH` adds a version to a "
        f"base path, and `python -m export serve-check BASE_PATH` says whether TF Serving would take it.",
        "REST (replace the zeros by a real input):",
        _template("rest.sh", endpoint=endpoint.name, instance=instance, name=name).rstrip(),
        "gRPC (`pip install tensorflow-serving-api`):",
        f"```python\n{_template('grpc.py', endpoint=endpoint.name, inputs=inputs, name=name)}```",
    ]


def _template(file_name: str, **values: str) -> str:
    """Return the lines of `templates/FILE_NAME.txt` with `$key` replaced."""
    file = Path(__file__).parent / "templates" / f"{file_name}.txt"
    return string.Template(file.read_text(encoding="utf-8")).substitute(values)


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    return tuple(d or (1 if i == 0 else 16) for i, d in enumerate(tensor.shape))


def _array(tensor: Tensor) -> str:
    return '[b"..."]' if tensor.dtype == "string" else f'np.zeros({_sizes(tensor)}, "{tensor.dtype}")'


def _json(tensor: Tensor) -> str:
    """Return a Python expression for one instance of a tensor, as REST wants it."""
    if tensor.dtype == "string":
        return '{"b64": ""}' if tensor.meaning == "encoded_image" else '""'
    expression = "0.0" if tensor.dtype.startswith("float") else "0"
    for size in reversed(_sizes(tensor)[1:]):
        expression = f"[{expression}]*{size}"
    return expression


def _litert(contract: Contract, names: Sequence[str]) -> list[str]:
    """Return how to run the TFLite file, and which endpoints it does not have because they take strings."""
    endpoint = contract[names[0]]
    strings = [e for e in contract.endpoints if any(t.dtype == "string" for t in e.inputs) and e.name not in names]
    told = ", ".join(f"`{e.name}` ({', '.join(t.name for t in e.inputs if t.dtype == 'string')})" for e in strings)
    numbers = ", ".join(f"`{name}`" for name in names)
    arguments = ", ".join(f"{t.name}={_array(t)}" for t in endpoint.inputs)
    return [
        "## Run it with LiteRT",
        f"TFLite takes no strings, hence not {told}: this file has {numbers}, of numbers." if told else "",
        "`pip install ai-edge-litert`, then, one example at a time:",
        f"```python\n{_template('litert.py', endpoint=endpoint.name, arguments=arguments)}```",
    ]
