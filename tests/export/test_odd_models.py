"""Models whose outputs, names, sizes or classes are unusual: exported, or refused by one clear line."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from export import ExportError, export_model, infer_contract
from export.formats import saved_model
from export.formats.obstacles import check_graph_names, code_dependency, unimportable
from export.protocol.calls import flatten, name_outputs


def rows_of(bundle):
    return {row.format: row for row in bundle.certificate.rows if not row.extra}


def nested():
    """Nested outputs, one of them bfloat16, from a sequence that must be longer than the usual 16 steps."""
    x = keras.Input((None, 3), name="x")
    h = layers.Conv1D(4, 9, strides=2)(layers.Conv1D(4, 9, strides=2)(x))
    h = layers.GlobalAveragePooling1D()(h)
    half = layers.Dense(2, dtype="mixed_bfloat16")(h)
    return keras.Model(x, {"head": {"boxes": layers.Dense(4)(h), "half precision": half}, "rest": [h]})


@pytest.mark.extended
def test_nested_and_bfloat16_outputs_of_long_sequences(tmp_path):
    bundle = export_model(nested(), tmp_path / "bundle", formats=("keras", "weights", "saved_model"))
    (endpoint,) = bundle.contract.endpoints
    assert {t.name: t.dtype for t in endpoint.outputs} == dict.fromkeys(
        ("head_boxes", "head_half_precision", "rest_1"), "float32"
    )
    assert endpoint.inputs[0].min_size == 32
    assert {row.state for row in rows_of(bundle).values()} == {"pass"}


def test_flatten_keeps_the_order_of_a_list_and_the_paths_of_the_rest():
    assert flatten([1, 2]) == [1, 2]
    assert flatten(3) == [3]
    assert flatten([1, {"a b": 2, "c": (3, 4)}]) == {
        "output_1": 1,
        "output_2_a_b": 2,
        "output_2_c_1": 3,
        "output_2_c_2": 4,
    }
    endpoint = {"name": "e", "outputs": [{"name": "head_a"}]}
    with pytest.raises(ValueError, match="returned \\['head_b'\\], the contract declares \\['head_a'\\]"):
        name_outputs(endpoint, {"head": {"b": 1}})


class InList(layers.Layer):
    """Tables in a list, where TensorFlow finds them only as it saves."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        ids = tf.range(5, dtype="int64")
        self.tables = [tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(ids, 2 * ids), 7)]

    def call(self, x):
        return tf.cast(self.tables[0].lookup(tf.cast(x, "int64")), "float32")


def test_a_table_in_a_list_is_saved(tmp_path):
    x = keras.Input((3,), dtype="int32", name="x")
    model, rows = keras.Model(x, InList()(x)), np.array([[0, 1, 4], [3, 3, 9]], np.int32)
    saved_model.save(model, infer_contract(model, {"x": rows}).endpoints, tmp_path / "s")
    (outputs,) = tf.saved_model.load(tmp_path / "s").signatures["serving_default"](x=tf.constant(rows)).values()
    assert outputs.numpy().tolist() == [[0, 2, 8], [6, 6, 7]]


def test_sizes_that_are_too_small_are_found_without_an_error():
    """Kernels of oneDNN answer with the content of memory where a convolution has no output."""
    x = keras.Input((None, None, 3), name="x")
    h = layers.Conv2D(4, 9, strides=4)(layers.Conv2D(4, 9, strides=4)(x))
    model = keras.Model(x, layers.GlobalAveragePooling2D()(h))
    assert infer_contract(model).endpoints[0].inputs[0].min_size == 64
    sample = np.zeros((2, 57, 60, 3), "float32")
    assert infer_contract(model, {"x": sample}).endpoints[0].inputs[0].min_size == 60


class Positions(layers.Layer):
    """Adds a vector for each of at most twelve positions."""

    def build(self, shape):
        self.table = self.add_weight((12, shape[-1]))

    def call(self, x):
        return x + keras.ops.slice(self.table, (0, 0), (keras.ops.shape(x)[1], x.shape[-1]))


def test_a_table_of_positions_bounds_the_length():
    """Other golden cases are longer than the samples, where the model can be."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.GlobalAveragePooling1D()(Positions()(layers.Embedding(9, 4)(tokens)))
    (endpoint,) = infer_contract(keras.Model(tokens, x), {"tokens": np.zeros((2, 12), "int32")}).endpoints
    assert endpoint.inputs[0].shape == (None, 12)


@pytest.mark.extended
def test_a_unet_may_refuse_odd_sides(tmp_path):
    x = keras.Input((None, None, 3), name="x")
    down = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(down)
    model = keras.Model(x, layers.Conv2D(3, 1)(layers.Concatenate()([x, up])))
    bundle = export_model(model, tmp_path / "bundle", formats=("saved_model", "tflite"))
    assert "raises for odd_sides; so must every artifact" in rows_of(bundle)["reference"].note
    assert rows_of(bundle)["tflite"].state == "pass"


def test_outputs_without_rows_are_refused():
    x = keras.Input((4,), name="x")
    model = keras.Model(x, {"rows": x * 2, "total": keras.ops.mean(x)})
    with pytest.raises(ExportError, match=r"output total .* is one number for the whole batch"):
        infer_contract(model)


def test_a_stateful_layer_is_named_with_its_batch():
    layers = [keras.Input((5, 3), batch_size=2), keras.layers.GRU(4, stateful=True, name="memory")]
    with pytest.raises(ExportError, match=r"layer memory is stateful with batch size 2: .* stateful=False"):
        infer_contract(keras.Sequential(layers))


def test_a_fixed_batch_is_found():
    x = keras.Input((4,), batch_size=3, name="x")
    model = keras.Model(x, keras.ops.reshape(keras.ops.reshape(x, (12,)), (3, 4)))
    assert infer_contract(model).endpoints[0].batch == 3


@pytest.mark.parametrize(("name", "layer", "where"), [("mödel x", "d", "the model"), ("m", "a b", "class Dense")])
def test_names_that_no_graph_can_have(tmp_path, name, layer, where):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name=layer)], name=name)
    with pytest.raises(ExportError, match=where):
        export_model(model, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
    check_graph_names(keras.Sequential([keras.Input((4,), name="ö"), keras.layers.Dense(3)], name="fine-name"))


@pytest.mark.extended
def test_quantised_layers_are_one_unsupported_file(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.layers[0].quantize("int8")
    rows = rows_of(export_model(model, tmp_path / "bundle"))
    assert (rows["saved_model"].state, rows["tflite"].state) == ("pass", "unsupported")
    assert "no operator for layers of model.quantize('int8')" in rows["tflite"].reason


def local_model():
    @keras.saving.register_keras_serializable("tests")
    class Double(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    return keras.Sequential([keras.Input((4,)), Double(), keras.layers.Dense(2)])


def test_a_class_inside_a_function_is_needed_by_keras_files_only(tmp_path):
    rows = rows_of(export_model(local_model(), tmp_path / "bundle"))
    states = {format: row.state for format, row in rows.items()}
    assert states == {"reference": "pass", "saved_model": "pass", "tflite": "pass"} | dict.fromkeys(
        ("keras", "hdf5", "weights"), "unsupported"
    )
    assert rows["keras"].reason.startswith("needs custom code: Double is defined inside a function")
    assert rows["keras"].reason.endswith("move it to the top level of a module")


def test_classes_of_scripts_and_functions_without_a_name():
    model = local_model()
    type(model.layers[0]).__module__ = "__main__"
    assert code_dependency(model) is None
    assert unimportable(model).startswith("needs custom code: Double is defined in __main__")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation=rows_of)])
    assert "rows_of is a function that is not registered" in unimportable(model)
    assert unimportable(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="relu")])) is None
