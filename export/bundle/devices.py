"""The DEVICES.md of a bundle: its files on Android, iOS, in C++ and in onnxruntime, with their names and shapes."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint, Tensor, labels_text, range_text, shape_text
from export.formats import FORMATS, onnx, tflite

FILE = "DEVICES.md"
FREE = 16  # stands in the code for a size that is known only at run time
KOTLIN = {
    "float32": "FloatArray",
    "int64": "LongArray",
    "int32": "IntArray",
    "int16": "ShortArray",
    "int8": "ByteArray",
    "uint8": "ByteArray",
    "bool": "BooleanArray",
}
CPP = {"float32": "float", "float64": "double", "bool": "bool"}  # the integers are NAME_t
JAVASCRIPT = {
    "float32": "Float32Array",
    "float64": "Float64Array",
    "int64": "BigInt64Array",
    "int32": "Int32Array",
    "int16": "Int16Array",
    "int8": "Int8Array",
    "uint8": "Uint8Array",
    "bool": "Uint8Array",
}


def write_devices(folder: Path, contract: Contract, artifacts: Sequence[Mapping[str, Any]]) -> str | None:
    """Write `DEVICES.md` if the bundle holds a TFLite or ONNX file; return the line of the card that leads there.

    Returns:
        The line of the card that leads there, or None.
    """
    held = [artifact for artifact in artifacts if artifact["state"] is None]
    parts, topics = ["# On devices"], []
    if files := [artifact for artifact in held if artifact["format"] == tflite.FORMAT.name]:
        parts += _litert(contract, files)
        topics += ["Android", "iOS", "C++"]
    if file := next((artifact for artifact in held if artifact["format"] == onnx.FORMAT.name), None):
        parts += _onnx(contract[file["endpoints"][0]], file)
        topics.append("ONNX")
    if not topics:
        return None
    (folder / FILE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return f"{', '.join(topics)}: [{FILE}]({FILE})."


def netron_hint(artifacts: Sequence[Mapping[str, Any]]) -> str | None:
    """Return how to look at the graph of the first file that Netron draws, or None."""
    held = {artifact["format"]: artifact["path"] for artifact in reversed(artifacts) if artifact["state"] is None}
    drawn = sorted((f for f in FORMATS.values() if f.is_drawn and f.name in held), key=lambda f: f.needs_code)
    path = held[drawn[0].name] if drawn else None
    return path and f"Look at its graph: `pip install netron`, then `netron {path}`, or open the file on netron.app."


def _litert(contract: Contract, files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the sections of the first TFLite file; its first endpoint without strings is called."""
    file, *others = files
    batch = file["batch"]
    rows = [
        f"| `{_cell(name)}` | {kind} | `{t.name}` | {t.dtype} | {_shape(t, batch)} | {_cell(range_text(t))} |"
        for name in file["endpoints"]
        for kind, tensors in (("input", contract[name].inputs), ("output", contract[name].outputs))
        for t in tensors
    ]
    parts = [
        f"`{file['path']}` takes and returns",
        "\n".join(["| endpoint | | name | dtype | shape | values |", f"| {' | '.join(['---'] * 6)} |", *rows]),
        _cell(labels_text(contract)),
    ]
    endpoint = next((contract[name] for name in file["endpoints"] if not contract[name].has_strings), None)
    if endpoint is None:
        return [*parts, "It takes or returns strings, for which there is no code here."]
    path = Path(file["path"])
    values = {"path": str(path), "file": path.name, "stem": path.stem, "endpoint": _string(endpoint.name)}
    more = ", ".join(f"`{other['path']}`" for other in others if other["endpoints"] == file["endpoints"])
    free = any(None in tensor.shape[1:] for tensor in (*endpoint.inputs, *endpoint.outputs))
    parts += [
        f"The code is the same for {more}." if more else "",
        f"A size ? is known only at run time; {FREE} stands for it in the code below." if free else "",
        "## Android (Kotlin)",
        fenced("kotlin", "kotlin", values | _kotlin(endpoint, batch)),
        "## iOS (Swift)",
        fenced("swift", "swift", values | _swift(endpoint, batch)),
        "## C++",
        fenced("cpp", "cpp", values | _cpp(endpoint, batch)),
    ]
    return [part for part in parts if part]


def _kotlin(endpoint: Endpoint, batch: int | None) -> dict[str, str]:
    def entry(tensor: Tensor) -> str:
        *outer, last = sizes_of(tensor, batch)
        if tensor.dtype in KOTLIN:
            value = f"{KOTLIN[tensor.dtype]}({last})"
            for size in reversed(outer):
                value = f"Array({size}) {{ {value} }}"
        else:
            value = f"ByteBuffer.allocateDirect({_bytes(tensor, batch)}).order(ByteOrder.nativeOrder())"
        return f"    {_string(tensor.name)} to {value},{_remark(tensor, batch)}"

    return {
        "inputs": "\n".join(map(entry, endpoint.inputs)),
        "outputs": "\n".join(map(entry, endpoint.outputs)),
        "endpoint": _string(endpoint.name).replace("$", "\\$"),
    }


def _swift(endpoint: Endpoint, batch: int | None) -> dict[str, str]:
    inputs = [f"    {_string(t.name)}: Data(count: {_bytes(t, batch)}),{_remark(t, batch)}" for t in endpoint.inputs]
    outputs = [
        f"let {t.name}_data = try runner.output(named: {_string(t.name)}).data{_remark(t, batch)}"
        for t in endpoint.outputs
    ]
    resized = [
        f"try runner.resizeInput(named: {_string(t.name)}, toShape: [{_list(sizes_of(t, batch))}])\n"
        for t in endpoint.inputs
        if None in t.shape[1:]
    ]
    return {"inputs": "\n".join(inputs), "outputs": "\n".join(outputs), "resized": "".join(resized)}


def _cpp(endpoint: Endpoint, batch: int | None) -> dict[str, str]:
    def pointer(tensor: Tensor, kind: str, const: str) -> str:
        type_name = f"{const}{CPP.get(tensor.dtype) or (f'{tensor.dtype}_t' if 'int' in tensor.dtype else 'char')}"
        value = f'runner->{kind}_tensor("{tensor.name}")->data.data'
        return f"{type_name}* {tensor.name}_{kind} = static_cast<{type_name}*>({value});{_remark(tensor, batch)}"

    resized = [
        f'runner->ResizeInputTensor("{t.name}", {{{_list(sizes_of(t, batch))}}});\n'
        for t in endpoint.inputs
        if None in t.shape[1:]
    ]
    return {
        "inputs": "\n".join(pointer(t, "input", "") for t in endpoint.inputs),
        "outputs": "\n".join(pointer(t, "output", "const ") for t in endpoint.outputs),
        "resized": "".join(resized),
    }


def _onnx(endpoint: Endpoint, artifact: Mapping[str, Any]) -> list[str]:
    batch = artifact["batch"]
    if endpoint.has_strings:
        return ["## ONNX", f"`{artifact['path']}` takes or returns strings, for which there is no code here."]
    names = ", ".join(_string(t.name) for t in endpoint.outputs)
    arrays = ", ".join(f'{_string(t.name)}: np.zeros({sizes_of(t, batch)}, "{t.dtype}")' for t in endpoint.inputs)
    tensors = "\n".join(
        f'    {_string(t.name)}: new ort.Tensor("{t.dtype}", new {JAVASCRIPT.get(t.dtype, "Array")}('
        f"{math.prod(sizes)}), [{_list(sizes)}]),{_remark(t, batch)}"
        for t in endpoint.inputs
        for sizes in [sizes_of(t, batch)]
    )
    values = {"path": artifact["path"], "names": names, "arrays": arrays, "tensors": tensors}
    return [
        "## ONNX",
        f"`{artifact['path']}` carries the endpoint `{_cell(endpoint.name)}`. `pip install onnxruntime`, then",
        fenced("python", "onnxruntime.py", values),
        "In a browser or in Node, `npm install onnxruntime-web`, then",
        fenced("js", "onnxruntime_web.js", values),
    ]


def filled(file_name: str, values: Mapping[str, str]) -> str:
    """Return the lines of `templates/FILE_NAME.txt` with `$key` replaced."""
    file = Path(__file__).parent / "templates" / f"{file_name}.txt"
    return string.Template(file.read_text(encoding="utf-8")).substitute(values)


def fenced(language: str, template: str, values: Mapping[str, str]) -> str:
    """Return a template that is filled in as a block of code."""
    return f"```{language}\n{filled(template, values)}```"


def _shape(tensor: Tensor, batch: int | None) -> str:
    return shape_text((batch or tensor.shape[0], *tensor.shape[1:]))


def sizes_of(tensor: Tensor, batch: int | None = None) -> tuple[int, ...]:
    """Return sizes that stand in code for those of a tensor."""
    free = max(FREE, tensor.min_size or 0)
    return (batch or tensor.shape[0] or 1, *(free if size is None else size for size in tensor.shape[1:]))


def _bytes(tensor: Tensor, batch: int | None) -> int:
    return math.prod(sizes_of(tensor, batch)) * np.dtype(tensor.dtype).itemsize


def _remark(tensor: Tensor, batch: int | None) -> str:
    return f"  // {tensor.dtype} {_shape(tensor, batch)}"


def _cell(name: str) -> str:
    """Return a name that no table and no code span ends at."""
    return " ".join(name.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _list(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
