"""One architecture in three APIs: the same weights, the same outputs."""

import numpy as np
import pytest

import zoo
import zoobase.errors

APIS = ("functional", "sequential", "subclassed")
IMAGES = np.random.default_rng(0).integers(0, 255, (4, 28, 28, 1)).astype("uint8")


@pytest.mark.parametrize("other", APIS)
@pytest.mark.parametrize("one", APIS)
def test_weights_of_one_api_fit_the_others(one, other):
    donor, taker = zoo.build("fashion_mnist", api=one), zoo.build("fashion_mnist", api=other)
    for variable in donor.variables:
        if "moving" in variable.path:  # initial statistics are 0 and 1 in every model
            variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
    taker.set_weights(donor.get_weights())
    np.testing.assert_array_equal(donor.predict(IMAGES, verbose=0), taker.predict(IMAGES, verbose=0))


@pytest.mark.parametrize("api", APIS)
def test_the_weights_of_a_run_fit_every_api(trained, api):
    run = trained("fashion_mnist")
    tiny = {"filters": (8, 16), "depths": (1, 1)}
    model = zoo.build("fashion_mnist", weights=str(run), api=api, **tiny)
    bundle = zoo.build("fashion_mnist", weights=str(run / "bundle"), api=api)
    reference = zoo.build("fashion_mnist", weights=str(run))
    np.testing.assert_array_equal(reference.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    np.testing.assert_array_equal(reference.predict(IMAGES, verbose=0), bundle.predict(IMAGES, verbose=0))


def test_weights_of_another_shape_are_rejected(trained):
    with pytest.raises(zoobase.errors.ZooError, match="other shapes"):
        zoo.build("fashion_mnist", weights=str(trained("fashion_mnist")), filters=(8, 24), depths=(1, 1))


def test_weights_of_another_model_are_rejected(trained):
    with pytest.raises(zoobase.errors.UsageError, match="holds weights of autoencoder"):
        zoo.build("fashion_mnist", weights=str(trained("autoencoder")))


def test_bytes_and_float_pixels_are_the_same_pixels():
    model = zoo.build("fashion_mnist")
    np.testing.assert_array_equal(model(IMAGES), model(IMAGES.astype("float32")))


@pytest.mark.parametrize("api", APIS)
def test_every_api_is_saved_and_loaded(api, tmp_path):
    import keras

    model = zoo.build("fashion_mnist", api=api, filters=(8, 16), depths=(1, 1))
    expected = model.predict(IMAGES, verbose=0)
    for ending in ("keras", "h5"):
        model.save(tmp_path / f"model.{ending}")
        classes = {type(model).__name__: type(model)}  # HDF5 looks classes up by their bare name, not as registered
        again = keras.models.load_model(tmp_path / f"model.{ending}", custom_objects=classes, compile=False)
        np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    again = zoo.build("fashion_mnist", api=api, filters=(8, 16), depths=(1, 1))
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), expected)
