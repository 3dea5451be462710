"""Read the signatures of a SavedModel from its MetaGraphDef with a minimal protobuf parser, without TensorFlow.

Field numbers are those of tensorflow/core/protobuf/meta_graph.proto and saved_model.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

DTYPES = {  # tensorflow/core/framework/types.proto, those with a NumPy dtype
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
SIGNATURE_DEF, KEY, VALUE = 5, 1, 2
INPUTS, OUTPUTS = 1, 2
NAME, DTYPE, SHAPE = 1, 2, 3
DIMENSION, SIZE, UNKNOWN_RANK = 2, 1, 3  # of a TensorShapeProto
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Signature:
    """A signature.

    Attributes:
        inputs: {argument name: (operation, index, dtype name)}.
        outputs: As `inputs`.
        shapes: The shape of each input whose rank is known.
    """

    inputs: dict[str, tuple[str, int, str]]
    outputs: dict[str, tuple[str, int, str]]
    shapes: dict[str, Shape] = field(default_factory=dict)

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise ValueError for inputs that are not those of the signature.

        TensorFlow does not check their shapes, and a kernel of oneDNN ends the process where one has another rank.
        """
        if set(inputs) != set(self.inputs):
            raise ValueError(f"takes {sorted(self.inputs)}, not {sorted(inputs)}")
        for name, expected in self.shapes.items():
            shape = getattr(inputs[name], "shape", ())
            if len(shape) != len(expected) or any(n not in (None, m) for n, m in zip(expected, shape, strict=True)):
                raise ValueError(f"{name} has shape {tuple(shape)}, not {expected}")


def read_signatures(meta_graph: bytes) -> dict[str, Signature]:
    """Return the callable signatures of a serialised MetaGraphDef by name."""
    signatures = {}
    for number, entry in fields(meta_graph):
        if number == SIGNATURE_DEF:
            name, body = _entry(entry)
            signatures[name] = Signature(_tensors(body, INPUTS), _tensors(body, OUTPUTS), _shapes(body))
    return {
        name: signature for name, signature in signatures.items() if signature.outputs and not name.startswith("__")
    }


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield (field number, value) of a protobuf message: bytes, or an integer for a varint.

    Raises:
        ValueError: If the message is truncated or is not protobuf.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(message, position)
        else:
            if kind == 2:
                size, position = _varint(message, position)
            else:
                size = {1: 8, 5: 4}.get(kind, -1)
            if size < 0 or position + size > len(message):
                raise ValueError("the graph is truncated or damaged")
            value, position = message[position : position + size], position + size
        yield key >> 3, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        value, position = value | (byte & 127) << shift, position + 1
        if byte < 128:
            return value, position
    raise ValueError("the graph is truncated or damaged")


def _entry(entry: bytes) -> tuple[str, bytes]:
    """Return key and value of one entry of a map."""
    parts = dict(fields(entry))
    return parts[KEY].decode(), parts.get(VALUE, b"")


def _tensors(signature: bytes, kind: int) -> dict[str, tuple[str, int, str]]:
    tensors = {}
    for name, info in (_entry(value) for number, value in fields(signature) if number == kind):
        parts = dict(fields(info))
        operation, _, index = parts[NAME].decode().partition(":")
        dtype = parts.get(DTYPE, 0)  # 0 on the wire is absent
        tensors[name] = (operation, int(index or 0), DTYPES.get(dtype, f"dtype {dtype}"))
    return tensors


def _shapes(signature: bytes) -> dict[str, Shape]:
    shapes = {}
    for name, info in (_entry(value) for number, value in fields(signature) if number == INPUTS):
        shape = list(fields(dict(fields(info)).get(SHAPE, b"")))
        if (UNKNOWN_RANK, 1) not in shape:
            sizes = [dict(fields(value)).get(SIZE, 0) for number, value in shape if number == DIMENSION]
            shapes[name] = tuple(None if size >= 1 << 63 else size for size in sizes)  # -1 is unknown
    return shapes
