"""Every field of a SavedModel is compared with the one that the Keras file writes, whoever reads it."""

import dataclasses
import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from export import infer_contract, verify_bundle
from export.artifacts import saved_again
from export.artifacts.whole_saved_model import OBJECTS, WITHOUT_LAYERS, SavedModel, checkpoint_differences
from export.contract import Endpoint, Tensor
from export.formats.saved_model import save
from export.proof.certificate import FAIL, INCOMPLETE
from export.protocol import calls
from export.runners import run_keras
from tests.export import other_models
from tests.export.conftest import reseal, row_of
from tests.export.saved_model_faults import FAULTS, apply, negated
from tests.plugins.tiers import only


def read(folder):
    return SavedModel(folder, ["bytes"])


def differences(folder, changed, model=WITHOUT_LAYERS):
    ours, theirs = read(folder), read(changed)
    found = [*ours.differences(theirs), *checkpoint_differences(ours, theirs, model)]
    return [*found, *theirs.writes()]


@pytest.fixture
def changed(bundles, tmp_path):
    """Return a function from a change of a SavedModel to what differs then."""
    original = bundles("functional_cnn").path / "saved_model/1"

    def differing(change, model=WITHOUT_LAYERS):
        folder = shutil.copytree(original, tmp_path / "changed")
        apply(change, folder)
        return differences(original, folder, model)

    return differing


@pytest.mark.parametrize("fault", FAULTS)
def test_a_change_is_seen(changed, fault):
    assert changed(fault)


@pytest.mark.parametrize("fault", only(FAULTS, (), proof=[*FAULTS][3:]))  # each is seen above
def test_a_changed_bundle_fails(damaged, fault):
    folder = damaged("functional_cnn")
    apply(fault, folder / "saved_model/1")
    reseal(folder)
    row = row_of(verify_bundle(folder), runtime="structure")
    assert row.state == FAIL, FAULTS[fault]


# === What is made canonical, and what that hides ===


def other_layer_names(e):
    """Names of layers count to the last part, which says what a variable is to its layer: kernel, bias."""
    for item in e.objects:
        if item.WhichOneof("kind") == "variable":
            item.variable.name = item.variable.name.replace("conv/", "other/")


def other_function_names(e):
    """A function is known by where it is called, so that its name hides nothing but itself."""
    names = {f.signature.name: f"{f.signature.name}_more" for f in e.library.function}
    for function in e.library.function:
        function.signature.name = names[function.signature.name]
    for node in (*e.graph.node, *(n for f in e.library.function for n in f.node_def)):
        for value in node.attr.values():
            if value.func.name:
                value.func.name = names[value.func.name]
    for item in e.objects:
        if item.WhichOneof("kind") == "function":
            item.function.concrete_functions[:] = [names[n] for n in item.function.concrete_functions]
        elif item.WhichOneof("kind") == "bare_concrete_function":
            item.bare_concrete_function.concrete_function_name += "_more"
    for name in [*e.concrete]:
        e.concrete[names[name]].CopyFrom(e.concrete.pop(name))


def order_of_the_library(e):
    functions = [type(f).FromString(f.SerializeToString()) for f in e.library.function]
    del e.library.function[:]
    e.library.function.extend(reversed(functions))


def order_of_what_the_endpoints_use(e):
    tensors = e.tensors()
    tracked = TrackableObjectGraph.FromString(tensors[OBJECTS])
    for nodes in (e.objects, tracked.nodes):
        edges = nodes[e.child("_all_variables").node_id].children
        for edge, number in zip(edges, [edge.node_id for edge in edges][::-1], strict=True):
            edge.node_id = number
    text = tracked.SerializeToString()
    saved = next(n for n in e.graph.node if n.op == "Const" and n.attr["dtype"].type == tf.string)
    saved.attr["value"].tensor.string_val[:] = [text]
    e.store(tensors | {OBJECTS: text})


def debug_information(e):
    e.graph.node[0].experimental_debug_info.original_node_names.append("elsewhere")


def processors_of_the_machine(e):
    config = config_pb2.ConfigProto.FromString(e.call().attr["config_proto"].s)
    config.device_count["GPU"] = 8
    config.intra_op_parallelism_threads = 64
    e.call().attr["config_proto"].s = config.SerializeToString()


def hashes_for_logs(e):
    (e.folder / "fingerprint.pb").write_bytes(b"")


def what_an_endpoint_computes_that_the_keras_file_does_not_carry(e):
    """It is said; examples are all that such an endpoint is compared with."""
    negated(e.named("bytes"))


CANONICAL = (
    other_layer_names,
    other_function_names,
    order_of_the_library,
    order_of_what_the_endpoints_use,
    debug_information,
    processors_of_the_machine,
    hashes_for_logs,
    what_an_endpoint_computes_that_the_keras_file_does_not_carry,
)


@pytest.mark.parametrize("change", CANONICAL)
def test_what_may_differ_between_two_exports_is_no_difference(changed, change):
    assert changed(change) == []


def test_the_state_of_a_random_layer_is_drawn_anew(changed, bundles):
    """Without a seed a layer draws its state when it is built; it has two numbers, and no signature depends on it."""
    model = keras.saving.load_model(bundles("functional_cnn").path / "model.keras", compile=False)

    def other_state(e):
        (index,) = (i for i, v in enumerate(model.variables) if v.path.endswith("seed_generator_state"))
        tensors, key = e.tensors(), f"variables/{index}/.ATTRIBUTES/VARIABLE_VALUE"
        e.store(tensors | {key: tensors[key] + 1})

    assert changed(other_state, model) == []


# === What cannot be compared ===


@pytest.mark.extended
def test_another_release_makes_the_verdict_incomplete(damaged):
    folder = damaged("functional_cnn")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = json.dumps(json.loads(members["metadata.json"]) | {"keras_version": "3.0.0"}).encode()
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    manifest = json.loads((folder / "manifest.json").read_text())
    for artifact in manifest["artifacts"]:
        artifact["producer"] |= {"keras": "3.0.0"} if "keras" in artifact["producer"] else {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)
    certificate = verify_bundle(folder)
    row = row_of(certificate, runtime="structure")
    assert (certificate.verdict, row.state) == (INCOMPLETE, "not_run")
    assert (
        row.reason == f"it was not compared whole: it was written by Keras 3.0.0, and {keras.__version__} is installed"
    )


def test_another_release_of_tensorflow_is_named(damaged):
    folder = damaged("functional_cnn")

    def older(e):
        e.meta.meta_info_def.tensorflow_version = "2.20.0"

    apply(older, folder / "saved_model/1")
    with pytest.raises(saved_again.Incomparable, match=rf"by TensorFlow 2.20.0, and {tf.__version__} is installed"):
        saved_again.differences(None, folder / "model.keras", folder / "saved_model/1", [], folder / "again")


# === Right models ===


def compared(model, folder, *others):
    """Write the Keras file and the SavedModel of a model, and compare them; `others` are further endpoints."""
    endpoints = [*infer_contract(model).endpoints, *others]
    model.save(folder / "model.keras")
    save(model, endpoints, folder / "1", reusable=True)
    loaded = run_keras.load_model({"format": "keras", "path": folder / "model.keras"}, {})

    def own_call(endpoint):
        data = endpoint.to_json()
        return lambda x: calls.name_outputs(data, loaded(calls.arrange(data, x), training=False))

    endpoints = [dataclasses.replace(endpoint, call=own_call(endpoint)) for endpoint in endpoints]
    return saved_again.differences(loaded, folder / "model.keras", folder / "1", endpoints, folder / "again")


def test_what_other_endpoints_use_is_used_in_their_place(tmp_path):
    """A table and a constant of the model, a variable of their own, and nothing."""
    kind = keras.Input((1,), dtype="string", name="kind")
    lookup = keras.layers.StringLookup(vocabulary=["a", "b", "c"])
    normalization = keras.layers.Normalization(mean=1.0, variance=2.0)
    x = normalization(keras.ops.cast(lookup(kind), "float32"))
    model = keras.Model(kind, keras.layers.Dense(2)(x))
    scale = tf.Variable(3.0, name="scale")
    texts, numbers = Tensor("kind", "string", (None, 1), "text"), Tensor("y", "float32", (None, 1))

    def other(name, function):
        return Endpoint(name, (texts,), (numbers,), lambda x: {"y": function(x["kind"])}, ("saved_model",))

    others = {
        "ids": lambda kind: tf.cast(lookup(kind), tf.float32),
        "numbers": lambda kind: normalization(tf.cast(lookup(kind), tf.float32)) * scale,
        "lengths": lambda kind: tf.cast(tf.strings.length(kind), tf.float32),
        "dice": lambda kind: tf.random.uniform(tf.shape(kind)),
    }
    assert compared(model, tmp_path, *(other(name, function) for name, function in others.items())) == []


def test_a_table_that_the_keras_file_does_not_use_cannot_be_compared(tmp_path):
    text, number = keras.Input((1,), dtype="string", name="text"), keras.Input((2,), name="number")
    model = keras.Model(number, keras.layers.Dense(2)(number))
    model.table = keras.layers.StringLookup(vocabulary=["a", "b"])
    model.table(text)
    tensors = Tensor("text", "string", (None, 1), "text"), Tensor("ids", "int64", (None, 1))
    endpoint = Endpoint("ids", tensors[:1], tensors[1:], lambda x: {"ids": model.table(x["text"])}, ("saved_model",))
    with pytest.raises(saved_again.Incomparable, match="a table that no function of the Keras file uses"):
        compared(model, tmp_path, endpoint)


def test_variables_of_float8_cannot_be_compared(tmp_path):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    model.quantize("float8")
    with pytest.raises(saved_again.Incomparable, match="float8"):
        compared(model, tmp_path)


@pytest.mark.parametrize(
    "name", only(other_models.MODELS, [*other_models.MODELS][:1], {*[*other_models.MODELS][9:], "frozen_backbone"})
)
def test_a_right_model_has_no_differences(name, tmp_path):
    keras.utils.set_random_seed(0)
    assert compared(other_models.MODELS[name](), tmp_path) == []


@pytest.mark.proof
@pytest.mark.parametrize("name", other_models.APPLICATIONS)
def test_a_network_of_keras_has_no_differences(name, tmp_path):
    assert compared(other_models.APPLICATIONS[name](), tmp_path) == []


@keras.saving.register_keras_serializable("tests")
class Tables(keras.layers.Layer):
    """A table from strings to numbers that are no integers, and one that can change."""

    def __init__(self, **options):
        super().__init__(**options)
        values = tf.lookup.KeyValueTensorInitializer(["a", "b"], [0.5, 1.5], tf.string, tf.float32)
        self.scores = tf.lookup.StaticHashTable(values, -1.0)
        self.ids = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)

    def call(self, text):
        scores = self.scores.lookup(text) + tf.cast(self.ids.lookup(text), tf.float32)
        return tf.ensure_shape(scores, text.shape)


def test_tables_of_any_types_are_compared(tmp_path):
    text = keras.Input((1,), dtype="string", name="text")
    assert compared(keras.Model(text, Tables()(text)), tmp_path) == []


def test_lora_counts_as_keras_saves_it(tmp_path, monkeypatch):
    """A Keras file has the sum of a kernel and its factors, so that only this sum is compared."""
    keras.utils.set_random_seed(0)
    model = other_models.lora()
    model.save(tmp_path / "model.keras")
    dense = model.layers[0]
    dense.lora_kernel_a.assign_add(np.full(dense.lora_kernel_a.shape, 1e-3))
    monkeypatch.setattr(model, "save", lambda path: None)
    assert compared(model, tmp_path) == [f"its layer {dense.name} with LoRA has other weights"]
