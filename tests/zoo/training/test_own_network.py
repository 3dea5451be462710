"""A Keras model of one's own has everything that a run has: resume, evaluation, a proven bundle, predictions."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import zoo
from export.bundle.layout import read_manifest
from tests import commands
from zoo import train
from zoo.core.run_folder import RunFolder
from zoobase.errors import UsageError

ROWS = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
CLASSES = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)
QUICK = {"settings": {"recipe.epochs": 2, "recipe.batch_size": 64}, "export": False, "evaluate": False}


def binary(**compiled):
    """A classifier as Keras' users write it: one number, between 0 and 1."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
    model.compile(
        **{"optimizer": keras.optimizers.Adam(0.03), "loss": "binary_crossentropy", "metrics": ["accuracy"]} | compiled
    )
    return model


def images(info):
    x = image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(x))
    x = keras.layers.Dense(info.num_classes)(keras.layers.Flatten()(x))
    return keras.Model(image, keras.layers.Softmax()(x), name="of_images")


@pytest.mark.extended
def test_a_bundle_of_rows_passes_and_predicts(tmp_path):
    out = tmp_path / "run"
    settings = {"recipe.epochs": 20, "recipe.batch_size": 16}
    summary = train.run(None, model=binary(), dataset=(ROWS, CLASSES), out=out, settings=settings, quick=True)
    assert summary["bundles"][0]["verdict"] == "pass"
    assert summary["metrics"]["accuracy"] > 0.85
    assert summary["gains"]["logistic regression"]
    labels = [int(one.rows[0]["label"]) for one in zoo.load(out).predict(ROWS)]
    assert np.mean(labels == CLASSES) > 0.85
    logits = RunFolder(out).model().predict({f"feature_{i}": ROWS[:, i] for i in range(3)}, verbose=0)
    assert not logits[:, 0].any()
    assert logits[:, 1].min() < 0  # not a probability
    assert "a Keras model of one's own" in (out / "bundle" / "README.md").read_text()
    assert read_manifest(out / "bundle")["metadata"]["zoo"]["plan"]["network"]
    line = '{"feature_0": 3, "feature_1": 3, "feature_2": 0}'
    result = commands.run("-m", "zoo.predict", str(out), line, "--json")
    assert '"label": "1"' in result.stdout, result.stderr


@pytest.mark.extended
def test_a_function_of_the_data_for_images(tmp_path):
    digits = load_digits()
    data = ((digits.images * 15).astype(np.uint8), digits.target)
    summary = train.run(None, model=images, dataset=data, out=tmp_path / "run", **QUICK | {"evaluate": True})
    assert summary["metrics"]["accuracy"] > 0.2  # after two epochs
    assert summary["model"] == "mnist"
    model = RunFolder(tmp_path / "run").model()
    assert model.output_shape == (None, 10)
    assert model.predict(data[0][:8], verbose=0).min() < 0  # logits


@pytest.mark.extended
def test_it_starts_from_its_weights_and_resumes(tmp_path):
    """The optimizer of the model is that of the training: with a rate of 0 the weights stay."""
    still = binary(optimizer=keras.optimizers.SGD(0.0))
    train.run(None, model=still, dataset=(ROWS, CLASSES), out=tmp_path / "still", **QUICK)
    for trained, given in zip(RunFolder(tmp_path / "still").model().get_weights(), still.get_weights(), strict=True):
        np.testing.assert_array_equal(trained, given)

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model, weights = binary(), []
    for name, callbacks in (("whole", []), ("resumed", [Interrupt()])):
        options = {"model": model, "dataset": (ROWS, CLASSES), "out": tmp_path / name, **QUICK}
        if callbacks:
            with pytest.raises(KeyboardInterrupt):
                train.run(None, callbacks=callbacks, **options)
            assert len(RunFolder(tmp_path / name).history()) == 1
        train.run(None, **options)
        weights.append(RunFolder(tmp_path / name).model().get_weights())
    for whole, resumed in zip(*weights, strict=True):
        np.testing.assert_array_equal(whole, resumed)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(UsageError, match="already holds a finished run"):
        train.run(None, **options | {"model": other})


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def ends_in(*layers, inputs=3):
    return keras.Sequential([keras.Input((inputs,)), *layers])


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (lambda: ends_in(keras.layers.Lambda(lambda x: x), keras.layers.Dense(2)), {}, "Lambda"),
        (lambda: ends_in(Doubled(), keras.layers.Dense(2)), {}, "Doubled is not of Keras"),
        (lambda: ends_in(keras.layers.Dense(5)), {}, r"returns \(None, 5\).*needs\s+\(None, 2\)"),
        (lambda: ends_in(keras.layers.Dense(2), inputs=4), {}, "cannot be built"),
        (
            lambda: keras.Sequential([keras.layers.Dense(2)]),
            {},
            "the model cannot be rebuilt from its configuration: .*no defined",
        ),
        (lambda: binary(loss="mse"), {}, "ends in a sigmoid.*give a loss of logits"),
        (lambda: 3, {}, "model= is a int"),
        (binary, {"init": "default"}, "init has no effect with a model of your own"),
        (binary, {"settings": {"model.units": (3,)}}, r"model\.units has no effect"),
        (binary, {"settings": {"recipe.restarts": 2}}, r"recipe\.restarts has no effect"),
        (binary, {"dataset": None}, "needs a dataset="),
        (binary, {"name": "flowers", "dataset": None}, "flowers is trained in phases"),
    ],
)
def test_what_cannot_be(model, options, message, tmp_path):
    options = {"dataset": (ROWS, CLASSES), "out": tmp_path / "run", "name": None, **QUICK} | options
    with pytest.raises(UsageError, match=message):
        train.run(options.pop("name"), model=model(), **options)
    assert not (tmp_path / "run").exists()
