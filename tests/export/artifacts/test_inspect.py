"""The contents of an artifact, and whether it can execute code."""

import json
import pickle
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from export import compare
from export.artifacts import describe, locate
from export.runtime.backend import load_tensorflow
from zoobase.errors import CheckFailed, ExportError, Unavailable

tf = load_tensorflow()


def save(folder, function, signature, **attributes):
    """Write a SavedModel of one function without our exporter."""
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.serve = tf.function(function, input_signature=signature)
    tf.saved_model.save(module, folder, signatures=module.serve)
    return folder


@pytest.mark.parametrize("file", ["model.keras", "model.h5", "saved_model/1", "tflite/float32.tflite"])
def test_our_own_artifacts(bundles, file):
    description = describe(bundles("functional_cnn").path / file)
    signature = next(s for s in description.signatures if s.name in ("", "serving_default"))
    (image,) = signature.inputs
    assert (image.name, image.dtype, image.shape[1:]) == ("image", "float32", (12, 12, 1))
    assert [port.name for port in signature.outputs] == ["logits"]
    assert description.parameters >= 6 * 9 + 4 * 216
    assert description.producer
    assert description.risks == []
    assert {flag: names for flag, names in description.flagged.items() if names} == {}
    assert json.dumps(description.to_json())


def test_weights_and_bundles(bundles):
    path = bundles("functional_cnn").path
    assert describe(path / "model.weights.h5").format == "weights"
    with pytest.raises(ExportError, match="is a bundle; give one of its artifacts"):
        describe(path)
    assert locate(path / "saved_model") == (path / "saved_model/1", "saved_model")


def test_random_and_stateful_layers_are_flagged(tmp_path):
    noisy = keras.Sequential(
        [
            keras.Input((4, 2), batch_size=1),
            keras.layers.LSTM(3, stateful=True),
            keras.layers.Dense(2),
            keras.layers.RandomContrast(0.5),
        ]
    )
    noisy.compile("adam", "mse")
    noisy.save(tmp_path / "noisy.keras")
    flagged = describe(tmp_path / "noisy.keras").flagged
    assert (flagged["random"], flagged["stateful"], flagged["custom"]) == (["RandomContrast"], ["LSTM"], [])


def test_random_and_stateful_graphs_are_flagged(tmp_path):
    counter = tf.Variable(0.0)

    def serve(x):
        counter.assign_add(1.0)
        return {"y": x + tf.random.normal(tf.shape(x)) + counter}

    folder = save(tmp_path / "m", serve, [tf.TensorSpec((None, 2), tf.float32, "x")], counter=counter)
    flagged = describe(folder).flagged
    assert (flagged["random"], flagged["stateful"]) == (["RandomStandardNormal"], ["AssignAddVariableOp"])


def test_flex_is_flagged(tmp_path):
    folder = save(tmp_path / "m", lambda x: {"y": tf.strings.length(x)}, [tf.TensorSpec((1,), tf.string, "x")])
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    assert describe(tmp_path / "m.tflite").flagged["flex"] == ["FlexStringLength"]


@pytest.mark.parametrize("kind", ["ReadFile", "WriteFile", "EagerPyFunc", "PrintV2", "TextLineDataset"])
def test_graphs_with_unsafe_operators_are_refused(tmp_path, kind):
    def serve(x):
        if kind == "ReadFile":
            y = tf.strings.length(tf.io.read_file("/etc/passwd"))
        elif kind == "WriteFile":
            with tf.control_dependencies([tf.io.write_file("/tmp/never", "x")]):
                y = tf.constant(1)
        elif kind == "EagerPyFunc":
            y = tf.py_function(lambda: 1, [], tf.int32)
        elif kind == "PrintV2":
            tf.print("x", output_stream="file:///tmp/never")
            y = tf.constant(1)
        else:
            y = tf.data.TextLineDataset("/etc/passwd").reduce(0, lambda n, line: n + 1)
        return {"y": x + tf.cast(y, tf.float32)}

    folder = save(tmp_path / "m", serve, [tf.TensorSpec((None, 2), tf.float32, "x")])
    (text,) = describe(folder).risks
    assert kind in text
    with pytest.raises(CheckFailed, match="is refused"):
        compare(folder, folder)


def test_save_operators_are_safe_in_the_saver_only(tmp_path):
    kernel = tf.Variable(tf.ones((2, 2)))
    folder = save(
        tmp_path / "m", lambda x: {"y": x @ kernel}, [tf.TensorSpec((None, 2), tf.float32, "x")], kernel=kernel
    )
    assert describe(folder).risks == []

    def serve(x):
        (read,) = tf.raw_ops.RestoreV2(prefix="/x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])
        return {"y": x + read}

    folder = save(tmp_path / "n", serve, [tf.TensorSpec((None, 2), tf.float32, "x")])
    assert "RestoreV2" in describe(folder).risks[0]


def test_lambda_layers_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert "a Lambda layer contains Python code" in describe(tmp_path / name).risks
    command = [sys.executable, "-m", "export", "inspect", tmp_path / "m.keras"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert (process.returncode, "Lambda" in process.stderr) == (1, True)
    assert subprocess.run([*command, "--trust", "any", "--quiet"], capture_output=True).returncode == 0


def test_pickles_are_never_opened(tmp_path):
    (tmp_path / "m.keras").write_bytes(pickle.dumps({"x": np.zeros(2)}))
    with pytest.raises(CheckFailed, match="is a pickle"):
        describe(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "torch.keras", "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    with pytest.raises(CheckFailed, match="contains a pickle"):
        describe(tmp_path / "torch.keras")
    with zipfile.ZipFile(tmp_path / "more.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("run.py", "")
    assert "run.py" in describe(tmp_path / "more.keras").risks[0]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("m.txt", b"hello", "is not a .keras, .h5, .tflite, .onnx or .pt2 file"),
        ("m.tflite", b"\0\0\0\0TFL3" + b"\xff" * 40, "cannot be read as tflite"),
        ("m.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 40, "cannot be read as hdf5"),
        ("m.onnx", b"\xff\xff", "cannot be read"),
    ],
)
def test_files_that_are_not_artifacts(tmp_path, name, content, error):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ExportError, match=error):
        describe(tmp_path / name)
    with pytest.raises(Unavailable, match="there is no artifact"):
        describe(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="is not a SavedModel"):
        describe(tmp_path)
