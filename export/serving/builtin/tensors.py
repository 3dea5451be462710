"""TensorProto to arrays and back, without TensorFlow for Python (tensorflow/core/framework/tensor.proto)."""

from __future__ import annotations

import numpy as np
from tensorflow.core.framework import tensor_pb2

from export.wire import c_api

FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "float16": "half_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
} | dict.fromkeys(("int32", "int16", "int8", "uint8", "uint16"), "int_val")
LARGEST = 2**31  # bytes of a tensor that a message can ask for by repeating a value


def to_array(message: tensor_pb2.TensorProto) -> np.ndarray:
    """Return the array; strings as objects of bytes. The last value of a short list stands for all that follow.

    Raises:
        ValueError: If the content does not have the shape, or NumPy lacks the dtype.
    """
    name = c_api.DTYPES.get(message.dtype)
    if name is None or message.tensor_shape.unknown_rank:
        raise ValueError(f"a tensor of dtype {message.dtype} cannot be read here, nor one without a shape")
    shape = tuple(dimension.size for dimension in message.tensor_shape.dim)
    size = int(np.prod(shape, dtype=object))
    dtype = np.dtype(object if name == "string" else name)
    if min(shape, default=0) < 0 or size * dtype.itemsize > LARGEST:
        raise ValueError(f"a tensor of shape {shape} cannot be read")
    if message.tensor_content:
        return np.frombuffer(message.tensor_content, dtype).reshape(shape)
    values = getattr(message, FIELDS[name])
    if len(values) > size or (size and not values and name == "string"):
        raise ValueError(f"a tensor of shape {shape} has {len(values)} values")
    array = np.empty(size, dtype)
    if name == "float16":
        array.view(np.uint16)[: len(values)] = values
    else:
        array[: len(values)] = values
    array[len(values) :] = array[len(values) - 1] if len(values) else 0
    return array.reshape(shape)


def to_message(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Return a message with the values in the field of their dtype, as TF Serving answers."""
    name = "string" if array.dtype.kind in "OSU" else array.dtype.name
    message = tensor_pb2.TensorProto(dtype=c_api.CODES[name])
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    flat = np.ascontiguousarray(array).reshape(-1)
    values = flat.view(np.uint16) if name == "float16" else flat
    getattr(message, FIELDS[name]).extend(values.tolist())
    return message
