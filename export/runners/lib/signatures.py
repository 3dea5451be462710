"""Read the signatures of a SavedModel from its MetaGraphDef with a minimal protobuf parser, without TensorFlow.

Field numbers are those of tensorflow/core/protobuf/meta_graph.proto and saved_model.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
NAME, DTYPE = 1, 2


@dataclass(frozen=True)
class Signature:
    """A signature: {argument name: (operation, index, dtype name)} of inputs and outputs."""

    inputs: dict[str, tuple[str, int, str]]
    outputs: dict[str, tuple[str, int, str]]


def read_signatures(meta_graph: bytes) -> dict[str, Signature]:
    """Return the callable signatures of a serialised MetaGraphDef by name."""
    signatures = {}
    for number, entry in fields(meta_graph):
        if number == SIGNATURE_DEF:
            name, body = _entry(entry)
            signatures[name] = Signature(_tensors(body, INPUTS), _tensors(body, OUTPUTS))
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
