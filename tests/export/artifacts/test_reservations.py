"""What a graph may do differently in calls that no proof has made."""

import keras
import pytest

from export import Contract, Endpoint, Tensor, export_model, publish, verify_bundle
from export.__main__ import verbs
from export.artifacts import describe, reservations
from export.artifacts.equivalence import compare
from export.proof.certificate import RESERVED
from export.runtime.backend import load_tensorflow
from zoobase.errors import CheckFailed, ExportError

tf = load_tensorflow()


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


def test_compare_states_the_reservations_of_both(tmp_path):
    always, later = (lambda x: 2 * x), (lambda x: tf.where(tf.timestamp() > 4e9, -x, 2 * x))
    for name, call in (("a", always), ("b", later)):
        function = tf.function(call, input_signature=[tf.TensorSpec((None, 4), name="x")], autograph=False)
        tf.saved_model.save(tf.Module(), str(tmp_path / name), signatures=function)
    result = compare(tmp_path / "a", tmp_path / "b", trust=["Timestamp"])
    assert result.verdict == "same"
    assert "reservation: candidate: it reads the clock (Timestamp)" in result.notes


def test_a_pass_with_reservations_is_published_only_by_leave(tmp_path):
    """The branch is never taken by golden inputs, so that every comparison holds."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

    def call(inputs):
        y = model(inputs["x"], training=False)
        return {"y": tf.cond(tf.reduce_max(inputs["x"]) > 1e6, lambda: -y, lambda: y)}

    x, y = Tensor("x", "float32", (None, 4), low=-1, high=1), Tensor("y", "float32", (None, 2))
    contract = Contract((Endpoint("serving_default", (x,), (y,), call, ("saved_model",)),))
    bundle = export_model(model, tmp_path / "b", contract=contract, formats=("saved_model",))
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
