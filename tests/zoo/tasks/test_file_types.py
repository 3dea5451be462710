"""Types of files: bytes as tokens, the conversion of Magika, and predictions for files."""

import json

import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from tests.zoo.conftest import data_dir
from zoo import predict
from zoo.tasks import file_types
from zoo.weights import magika
from zoo.weights.readers import onnx
from zoobase.errors import DataError, ZooError

RANDOM = np.random.default_rng(0)
SPACES = np.frombuffer(b" \n\x0b\x0c\xff\xc3a\x85\xa0", np.uint8)
CONTENTS = [
    b"",
    b" ",
    b"  a b ",
    b"x" * 5000,
    b" " * 3000 + b"ab" + b" " * 5000,
    *(RANDOM.integers(0, 256, n).astype(np.uint8).tobytes() for n in (1, 7, 8, 9, 63, 64, 65, 4095, 4096, 4097, 9000)),
    *(RANDOM.choice(SPACES, n).tobytes() for n in RANDOM.integers(0, 6000, 50)),
]


def test_python_and_graph_give_the_same_tokens():
    inside = tf.function(lambda t: file_types.encode_tensor(t, 64))(tf.constant(CONTENTS)).numpy()
    np.testing.assert_array_equal(inside, [file_types.encode(content, 64) for content in CONTENTS])
    assert file_types.encode(b"  a b ", 4).tolist() == [97, 32, 98, 32, 32, 97, 32, 98]
    assert file_types.encode(b"ab", 3).tolist() == [97, 98, 256, 256, 97, 98]


def as_original(model):
    """Return the weights of a model under their names, and in the layout, of the original."""
    tensors = {"const_axes__98": np.zeros(1, "int64"), "jax2tf_get_logits_/Const_4:0": np.array(1.0, "float32")}
    for variable in model.weights:
        value = np.asarray(variable)
        if variable.path == "bytes/embeddings":
            tensors[magika._BYTES[0]] = value - 1
            tensors[magika._BYTES[1]] = np.ones((1, 1, value.shape[1]), "float32")
        elif variable.path == "conv/kernel":
            tensors[magika._NAMES[variable.path]] = value.transpose(2, 1, 0)[..., None]
        else:
            tensors[magika._NAMES[variable.path]] = value
    return tensors


def test_conversion_takes_every_value_once():
    settings = {"num_classes": 3, "size": 16, "width": 4, "filters": 6}
    model, other = zoo.build("magika", **settings), zoo.build("magika", **settings)
    tensors = as_original(model)
    magika.MAGIKA.assign(other, magika.of_model(tensors))
    tokens = np.array([file_types.encode(b"some bytes", 16)])
    np.testing.assert_allclose(other(tokens), model(tokens), atol=1e-5)
    with pytest.raises(ZooError, match="more values than the model: x"):
        magika.MAGIKA.assign(other, magika.of_model({**tensors, "x": np.zeros(2, "float32")}))
    del tensors["const_fold_opt__209"]
    with pytest.raises(ZooError, match="no const_fold_opt__209"):
        magika.MAGIKA.assign(other, magika.of_model(tensors))


@pytest.mark.needs("onnx")
def test_values_of_an_onnx_file_are_read_without_the_library(tmp_path):
    import onnx as library

    values = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.array([1, -2], "int64"), "c": np.float32(0.5)}
    tensors = [library.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    tensors.append(library.helper.make_tensor("d", library.TensorProto.FLOAT, [2], [1.0, 2.0]))  # not raw
    model = library.helper.make_model(library.helper.make_graph([], "g", [], [], tensors))
    content = model.SerializeToString()
    (tmp_path / "x.onnx").write_bytes(content)
    read = onnx.read(tmp_path / "x.onnx")
    assert read.keys() == {*values, "d"}
    for name, value in values.items():
        np.testing.assert_array_equal(read[name], value)
    np.testing.assert_array_equal(read["d"], [1, 2])
    for size in (0, 10, len(content) - 3):
        (tmp_path / "x.onnx").write_bytes(content[:size])
        with pytest.raises(ZooError, match="not an ONNX file of plain values"):
            onnx.read(tmp_path / "x.onnx")
    tensors[0].dims[0] = 7
    model = library.helper.make_model(library.helper.make_graph([], "g", [], [], tensors))
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ZooError, match="a has another size than its values"):
        onnx.read(tmp_path / "x.onnx")


def test_files_of_a_folder_are_read_in_part(tmp_path):
    for kind, content in (("a", b"1" * 4096 + b"2" * 9000 + b"3" * 4096), ("b", b"x")):
        for i in range(30):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / str(i)).write_bytes(content + bytes([i]) * (kind == "b"))
    data = pipelines.load("file_folder", data_dir=tmp_path, split="60/20/20")
    assert data.info.class_names == ("a", "b")
    assert sum(data.info.counts.values()) == 60
    rows = [row for split in ("train", "validation", "test") for row in data[split].as_numpy_iterator()]
    assert {row["content"] for row in rows if row["label"] == 0} == {b"1" * 4096 + b"3" * 4096}
    assert b"x\x00" in {row["content"] for row in rows if row["label"] == 1}
    with pytest.raises(DataError, match="set --data-dir FOLDER"):
        pipelines.load("file_folder")
    with pytest.raises(DataError, match="no files of two types"):
        pipelines.load("file_folder", data_dir=tmp_path / "a")


@pytest.mark.extended
def test_files_are_predicted_by_their_names(trained, tmp_path):
    run, folder = trained("magika"), data_dir("magika")
    result = predict.run(run, [f"{folder}/csv/7.csv", f"{folder}/nowhere"], top_k=1)
    assert {row["label"] for row in result.rows} <= {"csv", "json", "png"}
    assert "cannot read" in result.problems[0]
    again = predict.run(run / "bundle", [f"{folder}/csv/7.csv"], top_k=1)
    assert again.rows[0]["label"] == result.rows[0]["label"]
    assert json.dumps(result.rows)
