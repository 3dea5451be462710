"""Files of joblib and of safetensors are read without their code, and anything else is refused."""

import io
import json

import joblib
import numpy as np
import pytest

import zoo
from zoo.weights import mtcnn
from zoo.weights.readers import joblib_pickle, safetensors, tflite
from zoobase.errors import ZooError

HEAD = b"\x04\x22\x4d\x18\x40\x40\xc0"


def compressed(value, blocks=None):
    """Return a frame of LZ4 with what joblib writes, or with given blocks."""
    content = io.BytesIO()
    joblib.dump(value, content)
    blocks = blocks or [(content.getvalue(), True)]
    return HEAD + b"".join((len(b) + (plain << 31)).to_bytes(4, "little") + b for b, plain in blocks) + bytes(4)


@pytest.fixture
def read(tmp_path):
    def call(data):
        (tmp_path / "x.lz4").write_bytes(data)
        return joblib_pickle.read(tmp_path / "x.lz4")

    return call


def test_arrays_are_equal(read):
    arrays = [
        np.arange(24, dtype="float32").reshape(2, 3, 4),
        np.full((7,), -0.5, "float32"),
        np.zeros((0,), "float32"),
    ]
    for one, other in zip(read(compressed(arrays)), arrays, strict=True):
        np.testing.assert_array_equal(one, other)


def test_repetitions_of_blocks_are_expanded():
    """The examples of the specification: a run, which repeats itself, and a repetition of an earlier block."""
    content = bytearray(b"before")
    joblib_pickle._decompress(b"\x1fa\x01\x00\x05" + b"\x50vwxyz", content)
    assert content == b"before" + b"a" * 25 + b"vwxyz"
    joblib_pickle._decompress(b"\x02" + (len(content)).to_bytes(2, "little") + b"\x00", content)
    assert content.endswith(b"vwxyzbefore")
    with pytest.raises(ValueError, match="not of earlier bytes"):
        joblib_pickle._decompress(b"\x10a\x09\x00\x00", bytearray())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([print], "refers to builtins.print"),
        ({"a": 1}, "not a list of arrays"),
        ([np.zeros(3)], "not float32"),
        ([np.array([print], object)], "refers to|not float32"),
        ([np.asfortranarray(np.ones((3, 4), "float32"))], "not in rows"),
    ],
)
def test_anything_else_is_refused(value, reason, read):
    with pytest.raises(ZooError, match=reason):
        read(compressed(value))


def test_damage_is_one_sentence(read):
    whole = compressed([np.arange(24, dtype="float32")])
    for data in (b"", b"PK", whole[:60], whole[:-40], HEAD + b"\x05\x00\x00\x00\xff\xff\xff\xff\xff" + bytes(4)):
        with pytest.raises(ZooError, match="is not a list of arrays by joblib") as raised:
            read(data)
        assert "\n" not in str(raised.value)


def test_arrays_of_another_network_are_refused():
    model = zoo.build("faces", image_shape=(64, 64, 3))
    arrays = {str(i): weight.numpy() + 1 for i, weight in enumerate(model.pnet.weights)}
    mtcnn.MTCNN.assign(model.pnet, arrays)
    np.testing.assert_array_equal(model.pnet.weights[0], arrays["0"])
    for wrong in ({**arrays, "more": np.zeros(1)}, dict(list(arrays.items())[:-1]), dict(reversed(arrays.items()))):
        with pytest.raises(ZooError, match=r"the weights of faces have (no|more)"):
            mtcnn.MTCNN.assign(model.pnet, wrong)


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


@pytest.fixture(scope="module")
def small_tflite(tmp_path_factory):
    """Return a dense layer with half-precision constants, as bytes, and the constants."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((60,)), keras.layers.Dense(50, bias_initializer="normal", name="dense")])
    folder = str(tmp_path_factory.mktemp("small"))
    model.export(folder, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], [tf.float16]
    return converter.convert(), [np.asarray(model.weights[0]).T.astype("float16")]


def test_constants_of_a_tflite_file_are_read_without_the_interpreter(small_tflite, tmp_path):
    content, weights = small_tflite
    (tmp_path / "x.tflite").write_bytes(content)
    assert tflite.read(tmp_path / "x.tflite")
    constants = {value.shape: value for value in tflite.read(tmp_path / "x.tflite").values()}
    for weight in weights:
        np.testing.assert_array_equal(constants[weight.shape], weight)
        assert constants[weight.shape].dtype == np.float16
    for damaged in (b"", content[:20], content[: len(content) // 2], content[:4] + bytes(len(content))):
        (tmp_path / "x.tflite").write_bytes(damaged)
        with pytest.raises(ZooError, match="not a TFLite file of plain values"):
            tflite.read(tmp_path / "x.tflite")
