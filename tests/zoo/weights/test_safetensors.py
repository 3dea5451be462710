import json

import numpy as np
import pytest

from zoo.weights.readers import safetensors
from zoobase.errors import ZooError


def write(path, tensors, **changes):
    """Write a file as the library does; `changes` replace entries of the header."""
    header, values = {"__metadata__": {"format": "np"}}, b""
    for name, value in tensors.items():
        kind = {np.dtype("f4"): "F32", np.dtype("i8"): "I64"}[value.dtype]
        header[name] = {
            "dtype": kind,
            "shape": list(value.shape),
            "data_offsets": [len(values), len(values) + value.nbytes],
        }
        values += value.tobytes()
    text = json.dumps({**header, **changes}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
    return path


TENSORS = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.array(7, "i8"), "none": np.zeros((0, 3), "f4")}


def test_tensors_are_read(tmp_path):
    tensors = safetensors.read(write(tmp_path / "x.safetensors", TENSORS))
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], value)
        assert tensors[name].dtype == value.dtype


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 999]},
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [-24, 0]},
        {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [2.0, 3], "data_offsets": [0, 24]},
        {"dtype": "O", "shape": [3], "data_offsets": [0, 24]},
        {"shape": [2, 3], "data_offsets": [0, 24]},
        7,
    ],
)
def test_a_header_that_does_not_fit_is_an_error(entry, tmp_path):
    with pytest.raises(ZooError, match="not a complete safetensors file"):
        safetensors.read(write(tmp_path / "x.safetensors", TENSORS, a=entry))


def test_a_truncated_file_is_an_error(tmp_path):
    content = write(tmp_path / "x.safetensors", TENSORS).read_bytes()
    for size in (0, 7, 20, len(content) - 1):
        with pytest.raises(ZooError, match="not a complete safetensors file"):
            safetensors.parse(content[:size], "x")
    with pytest.raises(ZooError, match="header is longer than the file"):
        safetensors.parse(b"\xff" * 8 + content[8:], "x")
