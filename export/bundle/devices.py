"""The DEVICES.md of a bundle: its files on Android, iOS, in C++ and in onnxruntime, with their names and shapes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import device_libraries
from export.bundle.snippets import fenced, quoted
from export.contract import Contract, Endpoint, Tensor, labels_text, range_text, shape_text
from export.contract.preprocessing import ImagePreprocessing
from export.formats import FORMATS, onnx, tflite
from export.proof.certificate import Row

FILE = "DEVICES.md"
FREE = 16  # stands in the code for a size that is known only at run time
LITERT = "2.3.0"  # where no certificate says which version ran
KOTLIN = {  # dtype: array, and the end of the methods of a TensorBuffer
    "float32": ("FloatArray", "Float"),
    "int32": ("IntArray", "Int"),
    "int8": ("ByteArray", "Int8"),
    "uint8": ("ByteArray", "Int8"),
    "bool": ("BooleanArray", "Boolean"),
}
CHECKED = {  # against which files the code was read that no compiler here can compile
    "Kotlin": "Model.kt and TensorBuffer.kt of google-ai-edge/LiteRT (litert/kotlin)",
    "Swift": "tensorflow/lite/swift/Sources/Interpreter.swift and SignatureRunner.swift of tensorflow/tensorflow",
    "C++": "tflite/signature_runner.h of google-ai-edge/LiteRT",
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


def page(
    folder: Path, contract: Contract, artifacts: Sequence[Mapping[str, Any]], rows: Sequence[Row] = ()
) -> tuple[str, str] | None:
    """Return `DEVICES.md` and the line of the card that links to it, or None without a TFLite or ONNX file."""
    held = [artifact for artifact in artifacts if artifact["state"] is None]
    parts, topics = ["# On devices"], []
    if files := [artifact for artifact in held if artifact["format"] == tflite.FORMAT.name]:
        parts += _litert(folder, contract, files, rows)
        topics += ["Android", "iOS", "C++"]
    if file := next((artifact for artifact in held if artifact["format"] == onnx.FORMAT.name), None):
        parts += _onnx(contract[file["endpoints"][0]], file)
        topics.append("ONNX")
    if not topics:
        return None
    parts += device_libraries.gpu(rows)
    return "\n\n".join(parts) + "\n", f"{', '.join(topics)}: [{FILE}]({FILE})."


def netron_hint(artifacts: Sequence[Mapping[str, Any]]) -> str | None:
    """Return how to look at the graph of the first file that Netron draws, or None."""
    held = {artifact["format"]: artifact["path"] for artifact in reversed(artifacts) if artifact["state"] is None}
    drawn = sorted((f for f in FORMATS.values() if f.is_drawn and f.name in held), key=lambda f: f.needs_code)
    path = held[drawn[0].name] if drawn else None
    return path and f"Look at its graph: `pip install netron`, then `netron {path}`, or open the file on netron.app."


def _litert(
    folder: Path, contract: Contract, files: Sequence[Mapping[str, Any]], certified: Sequence[Row]
) -> list[str]:
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
    versions = {row.runtime: next(iter(row.versions.values()), "") for row in certified if row.versions}
    assets = f"{path.name}{' and labels.txt' if contract.labels else ''}"
    values = {"path": str(path), "file": path.name, "stem": path.stem, "endpoint": quoted(endpoint.name)}
    values |= {"assets": assets, "version": versions.get("litert") or LITERT}
    values["assets"] += " lie" if contract.labels else " lies"
    more = ", ".join(f"`{other['path']}`" for other in others if other["endpoints"] == file["endpoints"])
    free = any(None in tensor.shape[1:] for tensor in (*endpoint.inputs, *endpoint.outputs))
    labels = contract.labels
    ranged = [f"{t.name}: {text}" for t in endpoint.inputs if (text := " ".join(range_text(t).split())[:60])]
    fill = f"fill the inputs{f' ({chr(59).join(ranged)})' if ranged else ''}"
    parts += [
        f"The code is the same for {more}." if more else "",
        f"A size ? is known only at run time; {FREE} stands for it in the code below." if free else "",
        *device_libraries.tasks(endpoint, file, labels, versions.get("mediapipe")),
        "## Android (Kotlin)",
        fenced("kotlin", "kotlin", values | _kotlin(endpoint, batch, labels)),
        _checked("Kotlin"),
        "## iOS (Swift)",
        fenced("swift", "swift", values | _swift(endpoint, batch, labels)),
        _checked("Swift"),
        "## C++",
        fenced("cpp", "cpp", values | _cpp(endpoint, batch) | {"fill": fill}),
        _checked("C++"),
        *device_libraries.program(file["path"], endpoint, versions.get("litert_c")),
        *device_libraries.microcontrollers(folder, certified),
        *device_libraries.npu(certified),
    ]
    return [part for part in parts if part]


def _checked(language: str) -> str:
    return f"Read against {CHECKED[language]}; not compiled."


def _is_file(tensor: Tensor) -> bool:
    """Return whether the contract says how an image file becomes an input."""
    return isinstance(tensor.preprocessing, ImagePreprocessing) and tensor.dtype == "float32"


def _scores(endpoint: Endpoint, labels: Sequence[str] | None) -> Tensor | None:
    """Return the output that has a score for each label of one example, or None."""
    found = (t for t in endpoint.outputs if t.meaning in ("logits", "probabilities") and len(t.shape) == 2)
    return next((t for t in found if labels and t.shape[-1] == len(labels) and t.dtype == "float32"), None)


def _kotlin(endpoint: Endpoint, batch: int | None, labels: Sequence[str] | None) -> dict[str, str]:
    name = quoted(endpoint.name).replace("$", "\\$")

    def buffers(tensors: Sequence[Tensor], kind: str) -> str:
        return ", ".join(f"{quoted(t.name)} to model.create{kind}Buffer({quoted(t.name)}, {name})" for t in tensors)

    def line(tensor: Tensor, table: str, method: str, argument: str) -> str:
        if tensor.dtype not in KOTLIN:
            return f"// {tensor.name}: a TensorBuffer of Kotlin has no method for {tensor.dtype}"
        return f"{table}[{quoted(tensor.name)}]!!.{method}{KOTLIN[tensor.dtype][1]}({argument})"

    writes, reads = [], []
    for tensor in endpoint.inputs:
        count = math.prod(sizes_of(tensor, batch))
        value = f"{KOTLIN[tensor.dtype][0]}({count})" if tensor.dtype in KOTLIN else ""
        if _is_file(tensor):
            writes.append("// python -m export snippets . --for android writes preprocess")
            value = "preprocess(file)"
        writes.append(line(tensor, "inputs", "write", value) + _remark(tensor, batch))
    for tensor in endpoint.outputs:
        reads.append(f"val {tensor.name} = {line(tensor, 'outputs', 'read', '')}{_remark(tensor, batch)}")
        if tensor.dtype not in KOTLIN:
            reads[-1] = line(tensor, "outputs", "read", "")
    if scores := _scores(endpoint, labels):
        reads += [
            'val labels = context.assets.open("labels.txt").bufferedReader().readLines()',
            f"println(labels[{scores.name}.indices.maxBy {{ {scores.name}[it] }}])",
        ]
    return {
        "input_buffers": buffers(endpoint.inputs, "Input"),
        "output_buffers": buffers(endpoint.outputs, "Output"),
        "writes": "\n".join(writes),
        "reads": "\n".join(reads),
        "endpoint": name,
    }


def _swift(endpoint: Endpoint, batch: int | None, labels: Sequence[str] | None) -> dict[str, str]:
    inputs = []
    for tensor in endpoint.inputs:
        size = math.prod(sizes_of(tensor, batch)) * np.dtype(tensor.dtype).itemsize
        data = f"Data(count: {size})"
        if _is_file(tensor):
            inputs.append("    // python -m export snippets . --for swift writes preprocess")
            data = "try preprocess(url).withUnsafeBufferPointer { Data(buffer: $$0) }"
        inputs.append(f"    {quoted(tensor.name)}: {data},{_remark(tensor, batch)}")
    outputs = [
        f"let {t.name}_data = try runner.output(named: {quoted(t.name)}).data{_remark(t, batch)}"
        for t in endpoint.outputs
    ]
    if scores := _scores(endpoint, labels):
        outputs += [
            f"let {scores.name} = {scores.name}_data.withUnsafeBytes {{ Array($$0.bindMemory(to: Float32.self)) }}",
            'let labels = try String(contentsOfFile: Bundle.main.path(forResource: "labels", ofType: "txt")!)'
            '.split(separator: "\\n")',
            f"print(labels[{scores.name}.indices.max {{ {scores.name}[$$0] < {scores.name}[$$1] }}!])",
        ]
    resized = [
        f"try runner.resizeInput(named: {quoted(t.name)}, toShape: [{_list(sizes_of(t, batch))}])\n"
        for t in endpoint.inputs
        if None in t.shape[1:]
    ]
    texts = {"inputs": "\n".join(inputs), "outputs": "\n".join(outputs)}
    return {key: text.replace("$$", "$") for key, text in texts.items()} | {"resized": "".join(resized)}


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
    names = ", ".join(quoted(t.name) for t in endpoint.outputs)
    arrays = ", ".join(f'{quoted(t.name)}: np.zeros({sizes_of(t, batch)}, "{t.dtype}")' for t in endpoint.inputs)
    tensors = "\n".join(
        f'    {quoted(t.name)}: new ort.Tensor("{t.dtype}", new {JAVASCRIPT.get(t.dtype, "Array")}('
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


def _shape(tensor: Tensor, batch: int | None) -> str:
    return shape_text((batch or tensor.shape[0], *tensor.shape[1:]))


def sizes_of(tensor: Tensor, batch: int | None = None) -> tuple[int, ...]:
    """Return sizes that stand in code for those of a tensor."""
    free = max(FREE, tensor.min_size or 0)
    return (batch or tensor.shape[0] or 1, *(free if size is None else size for size in tensor.shape[1:]))


def _remark(tensor: Tensor, batch: int | None) -> str:
    return f"  // {tensor.dtype} {_shape(tensor, batch)}"


def _cell(name: str) -> str:
    """Return a name that no table and no code span ends at."""
    return " ".join(name.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _list(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
