"""A failed row names the first layer that differs, in Keras files and SavedModels."""

import h5py
import keras
import numpy as np
import pytest

from export import verify_bundle
from export.proof.layer_diff import compare
from tests.export.conftest import exchanged, reseal
from tests.export.test_faults import reason_of
from tests.plugins.tiers import first


def tensorflow_in(folder):
    return verify_bundle(folder, runtimes=["tensorflow"])


@pytest.mark.parametrize("layer", first(["conv", "logits"]))
def test_a_wrong_weight_in_a_keras_file(damaged, layer):
    folder = damaged("functional_cnn")
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        names = []
        file.visititems(
            lambda name, item: names.append(name) if getattr(item, "ndim", 0) == (4 if layer == "conv" else 2) else None
        )
        file[names[0]][...] += 0.05
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["keras"])
    reason = reason_of(certificate, "weights")
    assert "logits in case batch_7 differs by" in reason
    assert f"the first layer that differs is {layer}, by" in reason
    assert reason_of(certificate, "keras") is None


@pytest.mark.extended
def test_a_wrong_weight_in_a_saved_model(with_saved_model):
    def change(model):
        kernel = model.layers[-1].kernel
        kernel.assign(kernel + 0.05 * np.eye(*kernel.shape))

    folder = with_saved_model("sequential_cnn", lambda model, x: {"output": model(x["input"], training=False)}, change)
    layer = keras.saving.load_model(folder / "model.keras").layers[-1].name
    assert f"the first layer that differs is {layer}, by" in reason_of(tensorflow_in(folder), "saved_model")


@pytest.mark.extended
def test_wrong_normalisation_is_found_in_the_first_layer(with_saved_model):
    folder = with_saved_model("sequential_cnn", lambda model, x: {"output": model(x["input"] / 255, training=False)})
    layer = keras.saving.load_model(folder / "model.keras").layers[2].name  # the random layers do nothing
    reason = reason_of(tensorflow_in(folder), "saved_model")
    assert "output in case batch_7 differs by" in reason
    assert f"the first layer that differs is {layer}, by" in reason
    assert "its values are 0.00392 times the reference's, which suggests another normalisation" in reason


@pytest.mark.extended
def test_swapped_outputs_have_no_differing_layer(with_saved_model):
    reason = reason_of(tensorflow_in(with_saved_model("two_by_two", exchanged)), "saved_model")
    assert "mean is what spread should be: outputs are swapped" in reason
    assert reason.endswith("every layer agrees: what is before or after the model differs")


def test_compare_names_the_first_difference_and_skips_missing_layers():
    values = {(f"{i:04d}", name): np.array([0.0, 0.0, 2.0, 1.0, float(i)]) for i, name in enumerate("abc")}
    wrong = values | {
        ("0001", "b"): values[("0001", "b")] + [0, 0, 0, 0, 0.5],
        ("0002", "c"): values[("0002", "c")] * 0,
    }
    assert compare(values, wrong).startswith("the first layer that differs is b, by 0.5")
    assert compare(values, {("0000", "a"): values[("0000", "a")]}).startswith("every layer agrees")
    assert compare(values, {}) is None
    other_size = {("0000", "a"): np.array([0.0, 0.0, 3.0, 1.0, 0.0])}
    assert compare(values, other_size) is None


def test_another_scale_suggests_normalisation_and_another_weight_does_not():
    rng = np.random.default_rng(0)
    values = np.concatenate([[0, 0, 40], rng.normal(size=40)])
    scaled = np.concatenate([[0, 0, 40], values[3:] * 2 - 1])
    assert compare({"0/a": values}, {"0/a": scaled}).endswith(
        "2 times the reference's -1, which suggests another normalisation"
    )
    other = scaled.copy()
    other[5] += 0.05
    assert "normalisation" not in compare({"0/a": values}, {"0/a": other})
    assert "normalisation" not in compare({"0/a": values[:10]}, {"0/a": scaled[:10]})
