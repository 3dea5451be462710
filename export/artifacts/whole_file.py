"""Whole files as plain values, to be compared field by field with what the same release writes from the same model.

Every field of a format is there, whether our runtimes read it or not, but for names of what is inside a graph, dates,
and how a training goes on, which nothing that is served reads.
"""

import hashlib
import itertools
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.formats import hdf5, keras, onnx, tflite, tflite_metadata, weights
from export.formats.screening import WEIGHTS
from zoobase.hdf5 import open_hdf5

TRAINING = ("optimizer", "optimizer_weights")  # groups of HDF5 files
NUMBER = re.compile(r"_\d+$")
CALL = re.compile(rb"^(StatefulPartitionedCall)_\d+")
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
    """A TFLite file as plain values, `whole`: every field of every table, each index as what it points at."""

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
                # the converter counts the calls of all signatures, also of those that the Keras file does not carry
                tensor.name = CALL.sub(rb"\1", tensor.name) if number in ends else None
            graph.name = None
            self._graphs[index] = {"operators": self._plain(graph.operators)} | self._fields(graph)
        return self._graphs[index]

    def _content(self, index: int) -> str:
        self._read.add(index)
        return _digest(self._bytes(index))

    def _bytes(self, index: int) -> bytes:
        buffer = self._model.buffers[index]
        # litert-quantizer writes large ones behind the FlatBuffer
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


class KerasFile:
    """A .keras file as plain values: every member of the archive."""

    def __init__(self, path: Path, has_ranges: bool = False) -> None:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if not name.endswith("/"))
            members: dict[str, Any] = {name: _digest(archive.read(name)) for name in names}
            texts = {*names} & {"config.json", "metadata.json"}
            members |= {name: json.loads(archive.read(name)) for name in texts}
            if WEIGHTS in names:
                with open_hdf5(archive.read(WEIGHTS), WEIGHTS) as file:
                    members[WEIGHTS] = _tree(file)
        members["metadata.json"] = {k: v for k, v in members.get("metadata.json", {}).items() if k != "date_saved"}
        self.whole = {"members": names, **members, "config.json": _served(members.get("config.json"))}


class Hdf5File:
    """An HDF5 file of Keras as plain values: every object and attribute; and the configuration beside its weights."""

    def __init__(self, path: Path, has_ranges: bool = False) -> None:
        with open_hdf5(path) as file:
            self.whole = _tree(file)
        if path.name.endswith(weights.FORMAT.extension):
            config = path.with_name(weights.FORMAT.files[1])
            self.whole = {config.name: _served(json.loads(config.read_bytes())), **self.whole}


def _served(config: Any) -> Any:
    """Return the configuration of a model without what only training reads, and without numbers of shared objects."""
    if not isinstance(config, Mapping):
        return config
    shared: dict[Any, Any] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        found = {key: plain(item) for key, item in value.items() if key != "shared_object_id"}
        number = value.get("shared_object_id")
        # Keras makes one object of those with one number, the first of them
        is_first = number is None or shared.setdefault(number, found) == found
        return found if is_first else found | {"shared_object_id": "that of another object"}

    return plain({key: value for key, value in config.items() if key != "compile_config"})


def _tree(file: Any) -> dict[str, Any]:
    """Return {path: attributes, dtype, shape and digest of the values} of everything in an HDF5 file."""
    found = {}

    def visit(name: str, item: Any) -> None:
        if name.partition("/")[0] in TRAINING:
            return
        attributes = {key: _attribute(value) for key, value in item.attrs.items()}
        if isinstance(own := attributes.get("name"), str):
            attributes["name"] = NUMBER.sub("", own)  # Keras counts the layers of a process that it names itself
        values = [str(item.dtype), list(item.shape), _values(item)] if hasattr(item, "shape") else []
        found[name] = attributes, *values

    visit("", file)
    file.visititems(visit)
    return {name: list(value) for name, value in found.items()}


def _values(dataset: Any) -> str:
    values = np.asarray(dataset[()])
    return _digest(repr(values.tolist()).encode() if values.dtype.kind == "O" else values.tobytes())


def _attribute(value: Any) -> Any:
    if isinstance(value, str | bytes):
        text = _text(value)
        return _served(json.loads(text)) if text.startswith("{") else text
    return np.asarray(value).tolist()


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


READERS = {
    **dict.fromkeys((hdf5.FORMAT.name, weights.FORMAT.name), Hdf5File),
    keras.FORMAT.name: KerasFile,
    onnx.FORMAT.name: OnnxFile,
    tflite.FORMAT.name: TFLiteFile,
}
