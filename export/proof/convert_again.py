"""Convert the Keras file of a bundle again, and compare its TFLite and ONNX files with the results, field by field.

A script: `python -P launch.py convert_again.py JOB`, in a confined process; the job names the Keras file, the contract,
the endpoints, and the files. A converter of one release writes the same file again: every field is compared, but for
the names of what is inside a graph.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import runner

from export.contract import Endpoint
from export.formats import QUANTIZATIONS, saved_model, tflite, tflite_metadata
from export.formats import onnx as onnx_format
from export.formats.format import NATIVE
from export.protocol import calls
from export.protocol.arrays import read_arrays
from export.runners import run_keras
from export.runners.jobs import convert_onnx, convert_tflite, quantize_tflite
from export.runners.jobs.run_structure import run_deep

TFLITE = tflite.FORMAT.name
CALIBRATING = "batch_7"  # a case that every endpoint has
LONG = 64  # values and bytes that are compared by their digest
NAMES_OF_VALUES = {
    *(("NodeProto", name) for name in ("input", "output")),
    *((kind, "name") for kind in ("TensorProto", "ValueInfoProto")),
    ("Dimension", "dim_param"),
}


class Approximate(tuple[float, ...]):
    """Real numbers that are stored as integers of a scale that calibration gave: equal within a step of each side."""

    step = 0.0


class TFLiteFile:
    """A TFLite file as plain values: every field of every table, each index as what it points at.

    Attributes:
        whole: All of the file; its signatures are `whole["signatureDefs"]`.
    """

    def __init__(self, path: Path, has_ranges: bool = False) -> None:
        """Read a file; `has_ranges` leaves out the scales of activations, which come from calibration data."""
        from ai_edge_litert import schema_py_generated as schema

        self._file, self._has_ranges = path.read_bytes(), has_ranges
        self._model = model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(self._file, 0))
        self._names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
        self._integers = (schema.TensorType.INT32, schema.TensorType.INT64)
        self._read, self._graphs = {0}, {}  # buffers, and subgraphs by index; buffer 0 stands for none
        graphs = [self._subgraph(index) for index in range(len(model.subgraphs))]
        signatures = {_text(s.signatureKey): self._plain(s) for s in model.signatureDefs or []}
        metadata = [self._plain(entry) for entry in model.metadata or [] if not self._is_of_us(entry)]
        unread = [i for i, b in enumerate(model.buffers) if i not in self._read and (b.data is not None or b.size)]
        given = {"subgraphs": graphs, "signatureDefs": signatures, "metadata": metadata, "unread buffers": unread}
        others = {name: self._plain(value) for name, value in vars(model).items() if name not in {*given, "buffers"}}
        self.whole = given | others

    def _is_of_us(self, entry: Any) -> bool:
        """Return whether an entry is the metadata that `tflite.contradiction` compares with the contract."""
        if is_of_us := _text(entry.name) == tflite_metadata.NAME:
            self._read.add(entry.buffer)
        return is_of_us

    def _plain(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [str(value.dtype), value.tolist()] if value.size < LONG else _digest(value.tobytes(), value.dtype)
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        if isinstance(value, bytes):
            return _text(value)
        return self._fields(value) if hasattr(value, "__dict__") else value

    def _fields(self, table: Any) -> dict[str, Any]:
        fields = dict(vars(table))
        if "opcodeIndex" in fields:
            code = self._model.operatorCodes[fields.pop("opcodeIndex")]
            name = _text(code.customCode) or self._names.get(max(code.builtinCode, code.deprecatedBuiltinCode))
            fields = {"operator": name, "code": code} | fields
        known = {}
        for name in fields:
            if name == "buffer":
                known[name] = self._content(fields[name])
            elif name.endswith("ubgraphIndex"):
                known[name] = self._subgraph(fields[name])
        if "quantization" in fields and self._has_ranges:
            known |= self._without_range(table)
        return {name: known[name] if name in known else self._plain(value) for name, value in fields.items()}

    def _subgraph(self, index: int) -> Any:
        """Return a subgraph, its operators first; of its tensors those that it takes and returns are named."""
        if index not in self._graphs:
            self._graphs[index] = "a subgraph that calls itself"
            graph = self._model.subgraphs[index]
            ends = {int(i) for tensors in (graph.inputs, graph.outputs) for i in ([] if tensors is None else tensors)}
            for number, tensor in enumerate(graph.tensors or []):
                tensor.name = tensor.name if number in ends else None
            graph.name = None
            self._graphs[index] = self._fields_first(graph)
        return self._graphs[index]

    def _fields_first(self, graph: Any) -> dict[str, Any]:
        return {"operators": self._plain(graph.operators)} | self._fields(graph)

    def _content(self, index: int) -> str:
        self._read.add(index)
        return _digest(self._bytes(index))

    def _bytes(self, index: int) -> bytes:
        buffer = self._model.buffers[index]
        # ai-edge-quantizer writes large ones behind the FlatBuffer
        if buffer.size:
            return self._file[buffer.offset :][: buffer.size]
        return b"" if buffer.data is None else np.asarray(buffer.data, np.uint8).tobytes()

    def _without_range(self, tensor: Any) -> dict[str, Any]:
        """Return what replaces the quantization of an activation, and that of a bias, whose scale is one of these."""
        content, scale = self._bytes(tensor.buffer), getattr(tensor.quantization, "scale", None)
        if scale is None or (content and tensor.type not in self._integers):
            return {}
        if not content:
            return {"quantization": len(scale)}
        dtype = np.int32 if tensor.type == self._integers[0] else np.int64
        value = Approximate((np.frombuffer(content, dtype) * np.asarray(scale, float)).tolist())
        value.step = float(np.max(scale))
        self._read.add(tensor.buffer)
        return {"quantization": len(scale), "buffer": value}


class OnnxFile:
    """An ONNX file as plain values: every field of every message, values called by their order."""

    def __init__(self, path: Path, has_ranges: bool = False) -> None:
        import onnx

        model = onnx.load(path, load_external_data=False)
        ends = [value.name for value in (*model.graph.input, *model.graph.output)]
        self._names = {"": ""} | {name: name for name in ends}
        self.whole = self._plain(model)

    def _plain(self, message: Any) -> dict[str, Any]:
        from google.protobuf.unknown_fields import UnknownFieldSet

        fields: dict[str, Any] = {}
        kind = message.DESCRIPTOR.name
        for field, value in message.ListFields():
            if kind == "NodeProto" and field.name == "name":
                continue
            values = (
                [value] if hasattr(value, "ListFields") or isinstance(value, str | bytes | int | float) else [*value]
            )
            plain = [self._plain(v) if hasattr(v, "ListFields") else self._scalar(kind, field.name, v) for v in values]
            fields[field.name] = plain if len(plain) < LONG or kind != "TensorProto" else _digest(repr(plain).encode())
        if kind == "GraphProto":  # their order is that of names
            fields["initializer"] = sorted(fields.get("initializer", []), key=lambda tensor: tensor["name"])
        if len(UnknownFieldSet(message)):
            fields["fields that this release of ONNX does not know"] = len(UnknownFieldSet(message))
        return fields

    def _scalar(self, kind: str, field: str, value: Any) -> Any:
        if (kind, field) in NAMES_OF_VALUES:
            return self._names.setdefault(value, f"#{len(self._names)}")
        return _digest(value) if isinstance(value, bytes) and len(value) > LONG else value


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _digest(content: bytes, *more: Any) -> str:
    return " ".join(map(str, (*more, len(content), "bytes", hashlib.sha256(content).hexdigest()[:16])))


def first_difference(one: Any, other: Any, where: str = "") -> str | None:
    """Return where two plain values differ first, and how, as a clause; None if they do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = ((name, one.get(name), other.get(name), f"{where}.{name}") for name in {**one, **other})
    elif isinstance(one, list) and isinstance(other, list):
        numbered = enumerate(itertools.zip_longest(one, other))
        pairs = ((number, a, b, f"{where}[{number}]") for number, (a, b) in numbered)
    elif isinstance(one, Approximate) and isinstance(other, Approximate):
        is_equal = len(one) == len(other) and np.allclose(one, other, rtol=0, atol=one.step + other.step)
        return None if is_equal else f"{where[1:]} has other values"
    else:
        shown = [
            (str(value.get("operator", "more")) if isinstance(value, dict) else repr(value))[:80]
            for value in (other, one)
        ]
        return None if one == other else f"{where[1:]} is {shown[0]} where the model gives {shown[1]}"
    return next((found for _, a, b, path in pairs if (found := first_difference(a, b, path))), None)


def differences(ours: Any, theirs: Any, file: Mapping[str, Any]) -> str | None:
    """Return how a file differs from the one that is written again, or None."""
    # Endpoints that the Keras file lacks cannot be converted again: then the others are compared, one by one.
    if file["whole"]:
        return first_difference(ours.whole, theirs.whole)
    signatures = [f.whole["signatureDefs"] for f in (ours, theirs)]
    given = ({name: of_file.get(name) for name in file["endpoints"]} for of_file in signatures)
    held = [signature["subgraphIndex"] for signature in signatures[1].values()]
    if any(graph is not one for graph, one in zip(theirs.whole["subgraphs"], held, strict=False)):
        return "its first subgraphs are not those of its signatures"
    return first_difference(*given)


def _endpoint(model: Any, data: Mapping[str, Any]) -> Endpoint:
    """Return an endpoint whose call is the model's own."""

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        return calls.name_outputs(data, model(calls.arrange(data, values), training=False))

    return dataclasses.replace(Endpoint.from_json(data), call=call)


def _calibration(golden: Path, endpoints: Sequence[str], scratch: Path) -> dict[str, str]:
    """Return files with golden inputs in place of calibration data, for ranges that are not compared."""
    files = {}
    scratch.mkdir(parents=True, exist_ok=True)
    for endpoint in endpoints:
        stored = read_arrays(golden / f"{endpoint}.inputs.npz")
        rows = {name: value for (case, name), value in stored.items() if case == CALIBRATING}
        files[endpoint] = str(scratch / f"{endpoint}.npz")
        np.savez(files[endpoint], allow_pickle=False, **rows)
    return files


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
        if quantization and quantization.is_calibrated:
            work["calibration"] = _calibration(Path(job["folder"], "golden"), file["endpoints"], out.parent)
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


READERS = {TFLITE: TFLiteFile, onnx_format.FORMAT.name: OnnxFile}


def main() -> None:
    """Write {path: difference or null} as the result of the job, and the errors by path."""
    job = machine.read_job()
    result: dict[str, Any] = {"missing": runner.import_modules(job["modules"]), "differences": {}, "errors": {}}
    model = None if result["missing"] else run_keras.load_model({"format": NATIVE, "path": job[NATIVE]}, {})
    for file in job["files"] if model is not None else ():
        try:
            again = _converted(job, model, file, Path(job["result"]).parent)
            form = QUANTIZATIONS.get(file["quantize"])
            paths = (again, Path(job["folder"], file["path"]))
            ours, theirs = (READERS[file["format"]](path, bool(form and form.is_calibrated)) for path in paths)
            result["differences"][file["path"]] = differences(ours, theirs, file)
        except Exception as error:  # whatever a converter or a damaged file raises is a finding about that file
            result["errors"][file["path"]] = calls.one_line(error)
    Path(job["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    run_deep(main)
