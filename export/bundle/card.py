"""The documents of a bundle: what its manifest and its certificate give, so that `verify` can write them again.

README.md has a header for the Hub, description, proof, and how to serve and run it.
"""

import shutil
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.bundle import devices
from export.bundle.devices import netron_hint, sizes_of
from export.bundle.hub_header import header
from export.bundle.snippets import fenced, filled
from export.bundle.tf_serving import CONFIG, docker_command, models_config
from export.contract import Contract, Tensor, labels_text, range_text, shape_text
from export.formats import saved_model, tflite
from export.proof import image_diff
from export.proof.certificate import (
    Certificate,
    Row,
    describe_coverage,
    describe_examples,
    optional_and_absent,
    unmatched_weights,
    worst_difference,
)
from zoobase.errors import ExportError

DOCUMENTS = 1  # raised whenever the same manifest gives other documents
FIGURES, README, LABELS = "figures", "README.md", "labels.txt"


def documents_of(folder: Path, manifest: Mapping[str, Any], certificate: Certificate) -> dict[str, str]:
    """Return the texts of a bundle by their names: what its manifest, its certificate and its figures give."""
    contract, name = Contract.from_json(manifest["contract"]), manifest["name"]
    device = devices.page(folder, contract, manifest["artifacts"], certificate.rows)
    found = {README: _readme(folder, contract, certificate, manifest, device and device[1])}
    found |= {devices.FILE: device[0]} if device else {}
    if contract.labels is not None:
        found[LABELS] = "".join(f"{label}\n" for label in contract.labels)
    if any(a["format"] == saved_model.FORMAT.name and a["state"] is None for a in manifest["artifacts"]):
        found[CONFIG] = models_config(name)
    return found


def _readme(
    folder: Path, contract: Contract, certificate: Certificate, manifest: Mapping[str, Any], device: str | None
) -> str:
    """Return the text of `README.md`, given the line about devices."""
    # `card`: title, description, licence, data, intervals (metric: [low, high]), command, notes, images, code; no HTML.
    card, name = {**manifest["card"], "metrics": manifest["metrics"]}, manifest["name"]
    formats = {a["format"]: a for a in manifest["artifacts"] if a["state"] is None}
    parts = [header(card, formats)]
    parts += [f"# {_one_line(card.get('title', name))}", _plain(card.get("description") or "")]
    parts += _facts(card)
    parts += [_image_link(image) for image in card.get("images", ())]
    parts += [f"## Proof: {certificate.verdict}", *(f"Reservation: {_plain(r)}." for r in certificate.reservations())]
    parts += [_proof(certificate.rows), _image_table(certificate.rows)]
    said = describe_examples(certificate.examples) + describe_coverage(certificate.coverage)
    parts += [_plain(f"{text[:1].upper()}{text[1:]}.") for text in said]
    parts += [_image_link(path.name) for path in sorted((folder / FIGURES).glob(f"{image_diff.PREFIX}*.png"))]
    if code := manifest["code_dependency"]:
        parts.append(
            f"The Keras files contain classes of {code['package']}: `import {', '.join(code['modules'])}` before "
            f"`keras.saving.load_model`. The SavedModel and TFLite files need no code."
        )
    parts += [
        "Verify it on this machine: `python -m export verify .`",
        "## Endpoints",
        _endpoints(contract, formats),
        _plain(labels_text(contract)),
        *_inputs(contract, card.get("input_mistakes", {})),
        netron_hint(manifest["artifacts"]),
        device,
    ]
    if saved_model.FORMAT.name in formats:
        parts += _serving(contract, name)
    if file := formats.get(tflite.FORMAT.name):
        parts += _litert(contract, file["endpoints"])
    parts += [f"## {_one_line(title)}\n\n{_code_block(code)}" for title, code in card.get("code", {}).items()]
    parts += [f"## Notes\n\n{_plain(card['notes'])}"] if card.get("notes") else []
    parts.append(
        "`sha256sum -c SHA256SUMS` detects damage, not manipulation: whoever can change files can change the sums."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _inputs(contract: Contract, mistakes: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how files become inputs, and what the mistakes of applications cost."""
    stated = [t for t in contract.endpoints[0].inputs if t.preprocessing is not None]
    if not stated:
        return []
    rows = [(t.name, key, value) for t in stated for key, value in t.preprocessing.to_json().items() if key != "kind"]
    parts = ["## Preprocessing", _table(("input", "stage", "value"), rows)]
    if mistakes:
        costs = [(name, f"{row['accuracy']:.3f}", f"{row['changed']:.0%}") for name, row in mistakes.items()]
        parts.append(_table(("mistake of an application", "accuracy", "answers that change"), costs))
    return [
        *parts,
        "As code: `python -m export snippets . --for python`. What an application feeds is compared by\n\n"
        "    python -m export check-input . FILE TENSOR",
    ]


def _facts(card: Mapping[str, Any]) -> list[str]:
    rows = [(key.capitalize(), card[key]) for key in ("data", "licence") if card.get(key)]
    intervals = {name: f" ({low:.4f} to {high:.4f})" for name, (low, high) in card.get("intervals", {}).items()}
    rows += [
        (name, f"{value:.4f}{intervals.get(name, '')}" if isinstance(value, float) else value)
        for name, value in card.get("metrics", {}).items()
    ]
    facts = [_table(("", ""), rows)] if rows else []
    command = str(card.get("command") or "").replace("\n", "\n    ")
    return facts + ([f"Created by\n\n    {command}"] if command else [])


def copy_images(folder: Path, images: Iterable[Any]) -> list[str]:
    """Copy the images of a card to `figures/`, and return their names."""
    names = []
    for image in map(Path, images):
        if not image.is_file():
            raise ExportError(f"card image {image} does not exist; give the path of a PNG file")
        (folder / FIGURES).mkdir(exist_ok=True)
        shutil.copyfile(image, folder / FIGURES / image.name)
        names.append(image.name)
    return names


def _image_link(name: str) -> str:
    return f"![{_one_line(Path(name).stem.replace('_', ' '))}]({FIGURES}/{urllib.parse.quote(name)})"


def _table(titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _plain(text: Any) -> str:
    """Return text in which HTML and links are not active: reasons, paths and names come from anywhere."""
    return str(text).replace("<", "&lt;").replace("](", "]\\(")


def _one_line(text: Any) -> str:
    return " ".join(_plain(text).split())


def _code_block(code: str) -> str:
    """Return Python code in a fence that is longer than any in the code."""
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}python\n{code}{fence}"


def _proof(rows: Iterable[Row]) -> str:
    """Return the parity table: one line for each artifact in each runtime that ran or that was asked for."""
    lines, (shown, absent) = [], optional_and_absent(rows)
    for row in shown:
        ran = ", ".join(f"{k} {v}" for k, v in row.versions.items()) or row.runtime or ""
        code = f"needs the code of {row.code_dependency}" if row.code_dependency else ""
        weights = unmatched_weights(row.weights) if row.weights and row.weights["unmatched"] else ""
        lines.append(
            (f"`{row.artifact}`", ran, row.state, worst_difference(row), row.reason or row.note or code or weights)
        )
    table = _table(("artifact", "ran in", "state", "largest difference (tolerance)", ""), lines)
    return f"{table}\n\n{_plain(absent[:1].upper() + absent[1:])}." if absent else table


def _image_table(rows: Iterable[Row]) -> str:
    """Return a table of the PSNR of images by artifact and size; empty if there are no images."""
    lines = [
        (
            f"`{row.artifact}`",
            row.runtime,
            name,
            size,
            "equal" if figures["psnr_db"] is None else f"{figures['psnr_db']:.0f} dB",
            f"{figures['max_difference']:.2g}",
        )
        for row in rows
        for name, endpoint in row.endpoints.items()
        for output in endpoint.get("outputs", {}).values()
        for size, figures in output.get("images", {}).items()
    ]
    titles = ("artifact", "ran in", "endpoint", "size", "PSNR", "largest difference of a pixel")
    return _table(titles, lines) if lines else ""


def _endpoints(contract: Contract, formats: Mapping[str, Any]) -> str:
    def describe(tensors: Iterable[Tensor]) -> str:
        return "; ".join(
            " ".join(filter(None, (f"`{t.name}`", t.dtype, shape_text(t.shape), t.meaning, range_text(t))))
            for t in tensors
        )

    files = {name: f"{name} (batch {a['batch']})" if a.get("batch") else name for name, a in formats.items()}
    rows = [
        (
            f"`{e.name}`",
            describe(e.inputs),
            describe(e.outputs),
            ", ".join(files[f] for f in formats if e.is_carried_by(f)),
        )
        for e in contract.endpoints
    ]
    return _table(("endpoint", "takes", "returns", "in"), rows)


def _serving(contract: Contract, name: str) -> list[str]:
    """Return how to serve the SavedModel, by REST and by gRPC."""
    endpoint = contract.carried_by(saved_model.FORMAT.name)[0]
    instance = ", ".join(f'"{t.name}": {_json(t)}' for t in endpoint.inputs)
    inputs = "\n".join(
        f'request.inputs["{t.name}"].CopyFrom(tf.make_tensor_proto({_array(t)}))' for t in endpoint.inputs
    )
    values = {"endpoint": endpoint.name, "instance": instance, "inputs": inputs, "name": name}
    return [
        "## Serve it with TF Serving",
        f"    {docker_command(name, '$PWD/saved_model')}",
        f"`{CONFIG}` is the same for `--model_config_file`; `python -m export publish . BASE_PATH` adds a version to a "
        f"base path, and `python -m export serve-check BASE_PATH` checks whether TF Serving can serve it.",
        "REST (replace the zeros by a real input):",
        filled("rest.sh", values).rstrip(),
        "gRPC (`pip install tensorflow-serving-api`):",
        fenced("python", "grpc.py", values),
    ]


def _array(tensor: Tensor) -> str:
    return '[b"..."]' if tensor.dtype == "string" else f'np.zeros({sizes_of(tensor)}, "{tensor.dtype}")'


def _json(tensor: Tensor) -> str:
    """Return a Python expression for one instance of a tensor in a REST request."""
    if tensor.dtype == "string":
        return '{"b64": ""}' if tensor.meaning == "encoded_image" else '""'
    expression = "0.0" if tensor.dtype.startswith("float") else "0"
    for size in reversed(sizes_of(tensor)[1:]):
        expression = f"[{expression}]*{size}"
    return expression


def _litert(contract: Contract, names: Sequence[str]) -> list[str]:
    """Return how to run the TFLite file, and which endpoints it lacks because they take strings."""
    endpoint = contract[names[0]]
    string_endpoints = [
        e for e in contract.endpoints if any(t.dtype == "string" for t in e.inputs) and e.name not in names
    ]
    missing = ", ".join(
        f"`{e.name}` ({', '.join(t.name for t in e.inputs if t.dtype == 'string')})" for e in string_endpoints
    )
    numbers = ", ".join(f"`{name}`" for name in names)
    arguments = ", ".join(f"{t.name}={_array(t)}" for t in endpoint.inputs)
    return [
        "## Run it with LiteRT",
        f"TFLite takes no strings, so {missing} is not available: this file has {numbers}." if missing else "",
        "`pip install ai-edge-litert`, then, one example at a time:",
        fenced("python", "litert.py", {"endpoint": endpoint.name, "arguments": arguments}),
    ]
