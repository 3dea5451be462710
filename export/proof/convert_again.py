"""Convert the Keras file of a bundle again, and compare the graphs of its TFLite and ONNX files with the result.

A script: `python -P launch.py convert_again.py JOB`, in a confined process; the job names the Keras file, the contract,
the endpoints, and the files. Names and the order of operators do not count; constants count by their values.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import machine
import numpy as np
import runner

from export.contract import Endpoint
from export.formats import QUANTIZATIONS, saved_model, tflite
from export.formats import onnx as onnx_format
from export.formats.format import NATIVE
from export.protocol import calls
from export.runners import run_keras
from export.runners.jobs import convert_onnx, convert_tflite, quantize_tflite
from export.runners.jobs.run_structure import Digests, first_difference, run_deep

TFLITE = tflite.FORMAT.name


class FileDigests(Digests):
    """The canonical form of a file: digests of `outputs` by signature, and of operators without one, `acting`."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, dict[str, str]] = {}
        self.acting: dict[str, list[str]] = {}


class TFLiteDigests(FileDigests):
    """The graphs of a TFLite file."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert import schema_py_generated as schema

        super().__init__()
        self._file = path.read_bytes()
        self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(self._file, 0))
        names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
        self._codes = [  # without versions, which are the largest that any signature of the file needs
            f"{names.get(max(c.builtinCode, c.deprecatedBuiltinCode))} {_text(c.customCode)}".strip()
            for c in self._model.operatorCodes or []
        ]
        for signature in self._model.signatureDefs or []:
            graph = self._model.subgraphs[signature.subgraphIndex]
            name = _text(signature.signatureKey)
            given = {int(e.tensorIndex): self.add("input", (), _text(e.name)) for e in signature.inputs or []}
            known, acting = self._follow(graph, given)
            self.outputs[name] = {_text(e.name): known[int(e.tensorIndex)] for e in signature.outputs or []}
            self.acting[name] = acting

    def _follow(self, graph: Any, known: dict[int, str]) -> tuple[dict[int, str], list[str]]:
        """Return the digest of every tensor of a subgraph, given those of its inputs, and what acts in it."""
        acting = []
        for index, tensor in enumerate(graph.tensors):
            if index not in known:
                known[index] = self.add(*self._constant(tensor))
        for operator in graph.operators or []:
            inputs = tuple(known[int(i)] if i >= 0 else "" for i in operator.inputs)
            results = [self._type(graph.tensors[int(i)]) for i in operator.outputs]
            attributes = f"{self._options(operator)} {results}"
            name = self._codes[operator.opcodeIndex]
            for number, output in enumerate(operator.outputs):
                known[int(output)] = self.add(f"{name}:{number}" if number else name, inputs, attributes)
            if not len(operator.outputs):
                acting.append(self.add(name, inputs, attributes))
        return known, acting

    def _constant(self, tensor: Any) -> tuple[str, tuple[str, ...], str]:
        buffer = self._model.buffers[tensor.buffer]
        # ai-edge-quantizer writes large ones behind the FlatBuffer
        data = np.frombuffer(self._file, np.uint8)[buffer.offset :][: buffer.size] if buffer.size else buffer.data
        content = "none" if data is None else hashlib.sha256(np.asarray(data).tobytes()).hexdigest()
        return "constant", (), f"{self._type(tensor)} {content} {tensor.isVariable}"

    @staticmethod
    def _type(tensor: Any) -> str:
        quantization = tensor.quantization
        numbers = () if quantization is None else (quantization.scale, quantization.zeroPoint)
        values = [np.asarray(n).tolist() for n in numbers if n is not None]
        return f"{tensor.type} {np.asarray(tensor.shape).tolist() if tensor.shape is not None else None} {values}"

    def _options(self, operator: Any) -> str:
        options = {**_fields(operator.builtinOptions), **_fields(operator.builtinOptions2)}
        for name, value in options.items():
            if name.endswith("ubgraphIndex"):
                options[name] = self._body(int(value))
        custom = None if operator.customOptions is None else np.asarray(operator.customOptions).tobytes()
        return f"{sorted(options.items())} {custom!r}"

    def _body(self, index: int) -> str:
        graph = self._model.subgraphs[index]
        given = {int(t): self.add("argument", (), str(number)) for number, t in enumerate(graph.inputs)}
        known, acting = self._follow(graph, given)
        return self.add("function", (*(known[int(t)] for t in graph.outputs), *acting), "")


class OnnxDigests(FileDigests):
    """The graph of an ONNX file."""

    def __init__(self, path: Path) -> None:
        import onnx

        super().__init__()
        model = onnx.load(path, load_external_data=False)
        self._functions = {(f.domain, f.name): _serialized(f) for f in model.functions}
        self._domains = sorted((imported.domain, imported.version) for imported in model.opset_import)
        known = self._follow(model.graph, {})
        self.outputs[""] = {value.name: known[value.name] for value in model.graph.output}

    def _follow(self, graph: Any, known: dict[str, str]) -> dict[str, str]:
        known = {**known, "": ""}
        for tensor in graph.initializer:
            known[tensor.name] = self.add("constant", (), _tensor(tensor))
        for value in graph.input:
            known.setdefault(value.name, self.add("input", (), value.name))
        for node in graph.node:
            inputs = tuple(known[name] for name in node.input)
            if node.op_type == "Identity" and not node.domain:
                known[node.output[0]] = inputs[0]
                continue
            attributes = sorted((a.name, self._attribute(a, known)) for a in node.attribute)
            function = self._functions.get((node.domain, node.op_type), "")
            text = f"{node.domain} {self._domains} {attributes} {function}"
            for number, name in enumerate(node.output):
                known[name] = self.add(f"{node.op_type}:{number}" if number else node.op_type, inputs, text)
        return known

    def _attribute(self, attribute: Any, known: dict[str, str]) -> str:
        import onnx

        if attribute.type == onnx.AttributeProto.TENSOR:
            return _tensor(attribute.t)
        graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
        if not graphs:
            return _serialized(attribute)
        bodies = []
        for graph in graphs:
            arguments = {value.name: self.add("argument", (), str(n)) for n, value in enumerate(graph.input)}
            inner = self._follow(graph, known | arguments)
            bodies.append(self.add("function", tuple(inner[value.name] for value in graph.output), ""))
        return repr(bodies)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _fields(options: Any) -> dict[str, Any]:
    return {k: np.asarray(v).tolist() for k, v in vars(options).items()} if options is not None else {}


def _serialized(message: Any) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


def _tensor(tensor: Any) -> str:
    import onnx

    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return f"external {_serialized(tensor)}"
    value = onnx.numpy_helper.to_array(tensor)
    content = repr(value.tolist()).encode() if value.dtype.kind == "O" else value.tobytes()
    return f"{value.dtype} {value.shape} {hashlib.sha256(content).hexdigest()}"


def differences(ours: FileDigests, theirs: FileDigests, names: Mapping[str, str]) -> dict[str, str | None]:
    """Return {endpoint: how its graph differs, or None}; `names` are those of their signatures by endpoint."""
    found: dict[str, str | None] = {}
    for endpoint, name in names.items():
        one, other = ours.outputs[name], theirs.outputs.get(name, {})
        found[endpoint] = None
        if set(one) != set(other):
            found[endpoint] = f"it has the outputs {', '.join(sorted(other)) or 'none'}, not {', '.join(sorted(one))}"
        elif different := next((output for output in one if one[output] != other[output]), None):
            clause = first_difference(ours, theirs, one[different], other[different])
            found[endpoint] = f"{different}: {clause}"
        elif ours.acting.get(name) != theirs.acting.get(name):
            found[endpoint] = "it runs other operators that act without an output"
    return found


def _endpoint(model: Any, data: Mapping[str, Any]) -> Endpoint:
    """Return an endpoint whose call is the model's own."""

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        return calls.name_outputs(data, model(calls.arrange(data, values), training=False))

    return dataclasses.replace(Endpoint.from_json(data), call=call)


def _converted(job: Mapping[str, Any], model: Any, file: Mapping[str, Any], scratch: Path) -> Path:
    """Return the file that the converter writes now."""
    endpoints = [_endpoint(model, job["endpoints"][name]) for name in file["endpoints"]]
    is_tflite, saved = file["format"] == TFLITE, scratch / f"saved-{file['format']}"
    if not saved.exists():
        saved_model.save(model, endpoints, saved, batch=1 if is_tflite else None)
    out = scratch / "again" / f"{file['quantize']}.{file['format']}"
    quantization = QUANTIZATIONS.get(file["quantize"])
    work = {saved_model.FORMAT.name: str(saved), "out": str(out), "opset": file.get("opset")}
    if is_tflite:
        work |= {"signatures": file["endpoints"], "calibration": {}, "keep_float": 0}
        types = quantization.types() if quantization else tflite.FLOAT
        if quantization and quantization.modules:
            exact = str(out.with_suffix(".exact"))
            report = convert_tflite.convert(work | tflite.FLOAT | {"out": exact})
            if not report["error"]:
                quantize_tflite.quantize(work | types | {"float": exact})
        else:
            report = convert_tflite.convert(work | types)
    else:
        report = convert_onnx.convert(work | {"signature": file["endpoints"][0]})
    if report["error"] or not out.exists():
        raise ValueError(f"the converter refuses the model: {report['error']}")
    return out


READERS: dict[str, Callable[[Path], FileDigests]] = {TFLITE: TFLiteDigests, onnx_format.FORMAT.name: OnnxDigests}


def main() -> None:
    """Write {path: {endpoint: difference or null}} as the result of the job, and the errors by path."""
    job = machine.read_job()
    result: dict[str, Any] = {"missing": runner.import_modules(job["modules"]), "differences": {}, "errors": {}}
    model = None if result["missing"] else run_keras.load_model({"format": NATIVE, "path": job[NATIVE]}, {})
    for file in job["files"] if model is not None else ():
        try:
            again = _converted(job, model, file, Path(job["result"]).parent)
            ours, theirs = (READERS[file["format"]](path) for path in (again, Path(job["folder"], file["path"])))
            names = {name: name if file["format"] == TFLITE else "" for name in file["endpoints"]}
            result["differences"][file["path"]] = differences(ours, theirs, names)
        except Exception as error:  # whatever a converter or a damaged file raises is a finding about that file
            result["errors"][file["path"]] = calls.one_line(error)
    Path(job["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    run_deep(main)
