"""The C API of TensorFlow through ctypes: the loader of TF Serving, without Python TensorFlow in the process.

Only NumPy and the two shared libraries of the wheel. Signatures are read from the MetaGraphDef with a minimal protobuf
parser; field numbers are those of tensorflow/core/protobuf/meta_graph.proto and saved_model.proto.
"""

import ctypes
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

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
INPUTS, OUTPUTS, METHOD = 1, 2, 3
NAME, DTYPE, SHAPE = 1, 2, 3
DIMENSION, SIZE, UNKNOWN_RANK = 2, 1, 3  # of a TensorShapeProto
Shape = tuple[int | None, ...]
LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")  # the second needs the first
VARIABLE = "TENSORFLOW_C_API"  # the environment variable that names a folder with other libraries
STRING, STRING_BYTES = 7, 24  # sizeof(TF_TString)
CODES = {name: code for code, name in DTYPES.items()}
STATUS = {2: "Unknown", 3: "InvalidArgument", 5: "NotFound", 8: "ResourceExhausted", 9: "FailedPrecondition"}
STATUS |= {11: "OutOfRange", 12: "Unimplemented", 13: "Internal", 15: "DataLoss"}


@dataclass(frozen=True)
class GraphSignature:
    """A signature."""

    inputs: dict[str, tuple[str, int, str]]  # {argument name: (operation, index, dtype name)}
    outputs: dict[str, tuple[str, int, str]]  # as `inputs`
    shapes: dict[str, Shape] = field(default_factory=dict)  # the shape of each input whose rank is known
    output_shapes: dict[str, Shape] = field(default_factory=dict)  # that of each output
    method: str = ""  # the method name, such as "tensorflow/serving/predict"

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise ValueError for inputs that are not those of the signature."""
        # TensorFlow does not check their shapes, and a kernel of oneDNN ends the process where one has another rank.
        if set(inputs) != set(self.inputs):
            raise ValueError(f"takes {sorted(self.inputs)}, not {sorted(inputs)}")
        for name, expected in self.shapes.items():
            shape = getattr(inputs[name], "shape", ())
            if len(shape) != len(expected) or any(n not in (None, m) for n, m in zip(expected, shape, strict=True)):
                raise ValueError(f"{name} has shape {tuple(shape)}, not {expected}")


def read_signatures(meta_graph: bytes) -> dict[str, GraphSignature]:
    """Return the callable signatures of a serialised MetaGraphDef by name."""
    signatures = {}
    for number, entry in fields(meta_graph):
        if number == SIGNATURE_DEF:
            name, body = _entry(entry)
            method = dict(fields(body)).get(METHOD, b"").decode()
            tensors, shapes = ([read(body, kind) for kind in (INPUTS, OUTPUTS)] for read in (_tensors, _shapes))
            signatures[name] = GraphSignature(*tensors, *shapes, method)
    return {
        name: signature for name, signature in signatures.items() if signature.outputs and not name.startswith("__")
    }


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield (field number, value) of a protobuf message: bytes, or an integer for a varint."""
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
        dtype = parts.get(DTYPE, 0)  # 0 is absent in a message
        tensors[name] = (operation, int(index or 0), DTYPES.get(dtype, f"dtype {dtype}"))
    return tensors


def _shapes(signature: bytes, kind: int) -> dict[str, Shape]:
    shapes = {}
    for name, info in (_entry(value) for number, value in fields(signature) if number == kind):
        shape = list(fields(dict(fields(info)).get(SHAPE, b"")))
        if (UNKNOWN_RANK, 1) not in shape:
            sizes = [dict(fields(value)).get(SIZE, 0) for number, value in shape if number == DIMENSION]
            shapes[name] = tuple(None if size >= 1 << 63 else size for size in sizes)  # -1 is unknown
    return shapes


class _Output(ctypes.Structure):
    _fields_ = (("operation", c_void_p), ("index", c_int))


class _Buffer(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p))


_LIST = (POINTER(_Output), POINTER(c_void_p), c_int)  # positions, tensors, count

FUNCTIONS = {  # name: (result, arguments); tensorflow/c/c_api.h, tf_tensor.h, tf_tstring.h, tf_status.h
    "TF_Version": (c_char_p, ()),
    "TF_NewStatus": (c_void_p, ()),
    "TF_DeleteStatus": (None, (c_void_p,)),
    "TF_GetCode": (c_int, (c_void_p,)),
    "TF_Message": (c_char_p, (c_void_p,)),
    "TF_NewBuffer": (POINTER(_Buffer), ()),
    "TF_DeleteBuffer": (None, (POINTER(_Buffer),)),
    "TF_NewGraph": (c_void_p, ()),
    "TF_NewSessionOptions": (c_void_p, ()),
    "TF_DeleteSessionOptions": (None, (c_void_p,)),
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        (c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, POINTER(_Buffer), c_void_p),
    ),
    "TF_GraphOperationByName": (c_void_p, (c_void_p, c_char_p)),
    "TF_SessionRun": (None, (c_void_p, c_void_p, *_LIST, *_LIST, POINTER(c_void_p), c_int, c_void_p, c_void_p)),
    "TF_AllocateTensor": (c_void_p, (c_int, POINTER(c_int64), c_int, c_size_t)),
    "TF_DeleteTensor": (None, (c_void_p,)),
    "TF_TensorType": (c_int, (c_void_p,)),
    "TF_NumDims": (c_int, (c_void_p,)),
    "TF_Dim": (c_int64, (c_void_p, c_int)),
    "TF_TensorByteSize": (c_size_t, (c_void_p,)),
    "TF_TensorData": (c_void_p, (c_void_p,)),
    "TF_StringInit": (None, (c_void_p,)),
    "TF_StringCopy": (None, (c_void_p, c_char_p, c_size_t)),
    "TF_StringGetDataPointer": (c_void_p, (c_void_p,)),
    "TF_StringGetSize": (c_size_t, (c_void_p,)),
    "TF_StringDealloc": (None, (c_void_p,)),
}


def folder() -> Path:
    """Return the folder of the libraries: that of the environment variable, else that of the installed TensorFlow."""
    if given := os.environ.get(VARIABLE):
        folders = [Path(given)]
    else:
        spec = importlib.util.find_spec("tensorflow")  # finds the folder, imports nothing
        folders = [Path(path) for path in (spec.submodule_search_locations or ())] if spec else []
    found = next((path for path in folders if all((path / name).is_file() for name in LIBRARIES)), None)
    if found is None:
        raise ImportError(f"{given or 'the installed TensorFlow'} does not contain {LIBRARIES[1]}")
    return found


@cache
def library() -> Any:
    """Return the C API with the types of its functions declared."""
    directory = folder()
    ctypes.CDLL(str(directory / LIBRARIES[0]))
    loaded = ctypes.CDLL(str(directory / LIBRARIES[1]))
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def version() -> str:
    """Return the version of the library."""
    return library().TF_Version().decode()


class TensorFlowError(RuntimeError):
    """A TensorFlow error: the name of its status code, then the message; `code` is that of gRPC, too."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class _Status:
    """A TF_Status whose context raises the error that it contains on exit."""

    def __enter__(self) -> int:
        self._status = library().TF_NewStatus()
        return self._status

    def __exit__(self, kind: Any, *rest: Any) -> None:
        code, message = library().TF_GetCode(self._status), library().TF_Message(self._status)
        library().TF_DeleteStatus(self._status)
        if code and kind is None:
            text = f"{STATUS.get(code, f'status {code}')}: {message.decode(errors='replace')}"
            raise TensorFlowError(text, code)


class Session:
    """A SavedModel, loaded; `signatures` by name."""

    def __init__(self, folder: Path, tags: Sequence[str] = ("serve",)) -> None:
        """Load the meta graph with these tags: restores the variables and runs the initialisers."""
        tf = library()
        self._graph, options, buffer = tf.TF_NewGraph(), tf.TF_NewSessionOptions(), tf.TF_NewBuffer()
        names = (c_char_p * len(tags))(*(tag.encode() for tag in tags))
        try:
            with _Status() as status:
                self._session = tf.TF_LoadSessionFromSavedModel(
                    options, None, str(folder).encode(), names, len(tags), self._graph, buffer, status
                )
            self.signatures = read_signatures(ctypes.string_at(buffer.contents.data, buffer.contents.length))
        finally:
            tf.TF_DeleteSessionOptions(options)
            tf.TF_DeleteBuffer(buffer)

    def run(self, signature: GraphSignature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature by name."""
        signature.check(inputs)
        tf, names = library(), list(signature.outputs)
        feeds = (_Output * len(inputs))(*(self._output(signature.inputs[name]) for name in inputs))
        fetches = (_Output * len(names))(*(self._output(signature.outputs[name]) for name in names))
        results = (c_void_p * len(names))()
        feed_tensors = (c_void_p * len(inputs))(
            *(_to_tensor(value, signature.inputs[name][2]) for name, value in inputs.items())
        )
        try:
            with _Status() as status:
                tf.TF_SessionRun(
                    *(self._session, None, feeds, feed_tensors, len(inputs)),
                    *(fetches, results, len(names), None, 0, None, status),
                )
            return {name: _to_array(tensor) for name, tensor in zip(names, results, strict=True)}
        finally:
            for tensor in feed_tensors:
                _free(tensor)
            for tensor in filter(None, results):
                tf.TF_DeleteTensor(tensor)

    def _output(self, tensor: tuple[str, int, str]) -> _Output:
        operation = library().TF_GraphOperationByName(self._graph, tensor[0].encode())
        if not operation:
            raise ValueError(f"the graph has no operation {tensor[0]!r}, which a signature names")
        return _Output(operation, tensor[1])


def _strings(tensor: int, count: int) -> list[int]:
    """Return the addresses of the strings of a tensor."""
    start = library().TF_TensorData(tensor)
    return [start + i * STRING_BYTES for i in range(count)]


def _to_tensor(value: np.ndarray, dtype: str) -> int:
    """Return a TF_Tensor with a copy of an array."""
    tf, code = library(), CODES[dtype]
    array = np.ascontiguousarray(value, object if code == STRING else dtype).reshape(np.shape(value))
    shape = (c_int64 * array.ndim)(*array.shape)
    size = array.size * STRING_BYTES if code == STRING else array.nbytes
    tensor = tf.TF_AllocateTensor(code, shape, array.ndim, size)
    if code != STRING:
        ctypes.memmove(tf.TF_TensorData(tensor), array.ctypes.data, size)
        return tensor
    for address, item in zip(_strings(tensor, array.size), array.reshape(-1), strict=True):
        data = item.encode() if isinstance(item, str) else bytes(item)
        tf.TF_StringInit(address)
        tf.TF_StringCopy(address, data, len(data))
    return tensor


def _free(tensor: int) -> None:
    """Delete a tensor that `_to_tensor` allocated, including its strings, which TensorFlow does not own."""
    tf = library()
    if tf.TF_TensorType(tensor) == STRING:
        for address in _strings(tensor, tf.TF_TensorByteSize(tensor) // STRING_BYTES):
            tf.TF_StringDealloc(address)
    tf.TF_DeleteTensor(tensor)


def _to_array(tensor: int) -> np.ndarray:
    """Return a copy of a TF_Tensor as an array, strings as objects of bytes."""
    tf, code = library(), library().TF_TensorType(tensor)
    shape = tuple(tf.TF_Dim(tensor, i) for i in range(tf.TF_NumDims(tensor)))
    if code == STRING:
        items = np.empty(int(np.prod(shape)), object)
        items[:] = [
            ctypes.string_at(tf.TF_StringGetDataPointer(address), tf.TF_StringGetSize(address))
            for address in _strings(tensor, items.size)
        ]
        return items.reshape(shape)
    if code not in DTYPES:
        raise ValueError(f"an output has TensorFlow dtype {code}, which NumPy does not have")
    data = ctypes.string_at(tf.TF_TensorData(tensor), tf.TF_TensorByteSize(tensor))
    return np.frombuffer(data, DTYPES[code]).reshape(shape).copy()
