"""The contents of an artifact, whether it can execute code, and what it may do differently in other calls."""

import json
import pickle
import zipfile

import keras
import numpy as np
import pytest

from export import Contract, Endpoint, Tensor, compare, export_model, publish, verify_bundle
from export.__main__ import verbs
from export.artifacts import describe, locate, reservations
from export.contract.endpoints import tensor_endpoint
from export.proof.certificate import RESERVED
from export.runtime.backend import load_tensorflow
from tests.export.test_cli import run
from zoobase.errors import CheckFailed, ExportError, Unavailable

tf = load_tensorflow()


def save(folder, function, signature, **attributes):
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
    layers = [keras.layers.LSTM(3, stateful=True), keras.layers.Dense(2), keras.layers.RandomContrast(0.5)]
    noisy = keras.Sequential([keras.Input((4, 2), batch_size=1), *layers])
    noisy.compile("adam", "mse")
    noisy.save(tmp_path / "noisy.keras")
    flagged = describe(tmp_path / "noisy.keras").flagged
    assert (flagged["random"], flagged["stateful"], flagged["custom"]) == (["RandomContrast"], ["LSTM"], [])


def test_flex_is_flagged(tmp_path):
    folder = save(tmp_path / "m", lambda x: {"y": tf.strings.length(x)}, [tf.TensorSpec((1,), tf.string, "x")])
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    assert describe(tmp_path / "m.tflite").flagged["flex"] == ["FlexStringLength"]


def test_lambda_layers_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert "a Lambda layer contains Python code" in describe(tmp_path / name).risks
    process = run("inspect", tmp_path / "m.keras")
    assert (process.returncode, "Lambda" in process.stderr) == (1, True)
    assert run("inspect", tmp_path / "m.keras", "--trust", "any", "--quiet").returncode == 0


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
        ("m.txt", b"hello", "is not a .keras, .h5, .tflite, .onnx, .pt2 or .xml file"),
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


def write_file():
    with tf.control_dependencies([tf.io.write_file("/tmp/never", "x")]):
        return tf.constant(1)


def print_to_a_file():
    tf.print("x", output_stream="file:///tmp/never")
    return tf.constant(1)


def restored(prefix):
    return tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.int32])[0]


UNSAFE = {
    "ReadFile": lambda: tf.strings.length(tf.io.read_file("/etc/passwd")),
    "WriteFile": write_file,
    "EagerPyFunc": lambda: tf.py_function(lambda: 1, [], tf.int32),
    "PrintV2": print_to_a_file,
    "RestoreV2": lambda: restored("/x"),
    "TextLineDataset": lambda: tf.data.TextLineDataset("/etc/passwd").reduce(0, lambda n, line: n + 1),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_graphs_with_unsafe_operators_are_refused(tmp_path, kind):
    serve = lambda x: {"y": x + tf.cast(UNSAFE[kind](), tf.float32)}  # noqa: E731
    folder = save(tmp_path / "m", serve, [tf.TensorSpec((None, 2), tf.float32, "x")])
    (text,) = describe(folder).risks
    assert kind in text
    with pytest.raises(CheckFailed, match="is refused"):
        compare(folder, folder)


def graphs():
    """Return {name: (function of a (B, 4) float32 tensor, its reservations)}."""
    calls = tf.Variable(0, dtype=tf.int64)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0, 1], [5.0, 7.0]), -1.0)

    def assertion(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 1e9)]):
            return tf.identity(x)

    def counted(x):
        return tf.where(calls.assign_add(1) > 1000, -x, x)

    def printed(x):
        tf.print("x")
        return tf.identity(x)

    def inner(x):
        return tf.cond(x[0, 0] > 1e6, lambda: -x, lambda: x)

    nested = tf.function(inner)
    return {
        "random": (lambda x: x + 0 * tf.random.normal(tf.shape(x)), {"random": ["RandomStandardNormal"]}),
        "seeded": (lambda x: x + tf.random.stateless_normal(tf.shape(x), (1, 2)), {}),
        "counter": (counted, {"stateful": ["AssignAddVariableOp"]}),
        "clock": (lambda x: tf.where(tf.timestamp() > 2e9, -x, x), {"clock": ["Timestamp"]}),
        "print": (printed, {"external": ["PrintV2"]}),
        "if": (inner, {"branches": ["StatelessIf"]}),
        "if in a function": (lambda x: nested(x), {"branches": ["StatelessIf"]}),
        "if in a loop": (
            lambda x: tf.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, inner(v)), (0, x))[1],
            {"branches": ["StatelessIf"]},
        ),
        "while": (
            lambda x: tf.while_loop(lambda v: tf.reduce_max(v) > 9, lambda v: v / 2, [x])[0],
            {"branches": ["StatelessWhile"]},
        ),
        "loop over time": (
            lambda x: tf.scan(lambda state, row: state + row, tf.transpose(x), initializer=tf.zeros(tf.shape(x)[:1])),
            {},
        ),
        "loop over rows": (lambda x: tf.map_fn(lambda row: 2 * row, x), {}),
        "if of a shape": (lambda x: tf.cond(tf.shape(x)[0] > 4, lambda: x + 1, lambda: x), {}),
        "assertion": (assertion, {}),
        "table": (lambda x: table.lookup(tf.cast(x, tf.int32)), {}),
    }, [calls, table]


@pytest.mark.parametrize(
    "name",
    [
        *("random", "seeded", "counter", "clock", "print", "if", "if in a function", "if in a loop", "while"),
        *("loop over time", "loop over rows", "if of a shape", "assertion", "table"),
    ],
)
def test_reservations(tmp_path, name):
    cases, resources = graphs()
    call, expected = cases[name]
    module = tf.Module()
    module.resources = resources
    function = tf.function(lambda x: {"y": call(x)}, input_signature=[tf.TensorSpec((None, 4), tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=function)
    description = describe(tmp_path / "m", complete=False)
    assert reservations(description) == expected, description.operations


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("if", ["IF"]), ("if in a loop", ["IF"]), ("while", ["WHILE"])),
        *(("loop over time", []), ("loop over rows", []), ("if of a shape", [])),
    ],
)
def test_branches_of_tflite(tmp_path, name, expected):
    call, _ = graphs()[0][name]
    function = tf.function(call, input_signature=[tf.TensorSpec((2, 4), tf.float32, "x")]).get_concrete_function()
    data = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    (tmp_path / "m.tflite").write_bytes(data)
    assert reservations(describe(tmp_path / "m.tflite")).get("branches", []) == expected


@pytest.mark.extended
def test_compare_states_the_reservations_of_both(tmp_path):
    always, later = (lambda x: 2 * x), (lambda x: tf.where(tf.timestamp() > 4e9, -x, 2 * x))
    for name, call in (("a", always), ("b", later)):
        function = tf.function(call, input_signature=[tf.TensorSpec((None, 4), name="x")], autograph=False)
        tf.saved_model.save(tf.Module(), str(tmp_path / name), signatures=function)
    result = compare(tmp_path / "a", tmp_path / "b", trust=["Timestamp"])
    assert result.verdict == "same"
    assert "reservation: candidate: it reads the clock (Timestamp)" in result.notes


@pytest.mark.extended
def test_a_pass_with_reservations_is_published_only_by_leave(tmp_path):
    """The branch is never taken by golden inputs, so that every comparison holds."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

    def call(inputs):
        y = model(inputs["x"], training=False)
        return {"y": tf.cond(tf.reduce_max(inputs["x"]) > 1e6, lambda: -y, lambda: y)}

    x, y = Tensor("x", "float32", (None, 4), low=-1, high=1), Tensor("y", "float32", (None, 2))
    contract = Contract((tensor_endpoint(model, (x,), (y,)), Endpoint("guarded", (x,), (y,), call, ("saved_model",))))
    bundle = export_model(model, tmp_path / "b", contract=contract, formats=("keras", "saved_model"))
    assert bundle.certificate.verdict == RESERVED == "pass, with stated reservations"
    (text,) = bundle.certificate.reservations()
    assert text.startswith("saved_model/1: it chooses by input numbers")
    assert "(StatelessIf)" in text
    assert text in (bundle.path / "README.md").read_text()
    assert verify_bundle(bundle.path, runtimes=["c_api"]).verdict == RESERVED
    with pytest.raises(CheckFailed, match="--allow branches lets it be published"):
        publish(bundle.path, tmp_path / "models", allow=["random"])
    assert publish(bundle.path, tmp_path / "models", allow=["branches"]).version == 1
    with pytest.raises(ExportError, match="unknown reservation 'branch'; did you mean branches"):
        verbs.main(["publish", str(bundle.path), str(tmp_path / "models"), "--allow", "branch"], standalone_mode=False)
    verbs.main(["publish", str(bundle.path), str(tmp_path / "models"), "--allow", "any"], standalone_mode=False)
    assert (tmp_path / "models/2").is_dir()
