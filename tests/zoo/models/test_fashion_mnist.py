"""One architecture in three APIs: the same weights, the same outputs."""

import keras
import numpy as np
import pytest

import zoo
import zoobase.errors
from tests.plugins.tiers import first, only
from tests.zoo.conftest import DATA
from zoo import train

APIS = ("functional", "sequential", "subclassed")
IMAGES = np.random.default_rng(0).integers(0, 255, (4, 28, 28, 1)).astype("uint8")


@pytest.mark.extended
@pytest.mark.parametrize("other", APIS)
@pytest.mark.parametrize("one", APIS)
def test_weights_of_one_api_fit_the_others(one, other):
    donor, taker = zoo.build("fashion_mnist", api=one), zoo.build("fashion_mnist", api=other)
    for variable in donor.variables:
        if "moving" in variable.path:  # initial statistics are 0 and 1 in every model
            variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
    taker.set_weights(donor.get_weights())
    np.testing.assert_array_equal(donor.predict(IMAGES, verbose=0), taker.predict(IMAGES, verbose=0))


@pytest.mark.parametrize("api", only(APIS, APIS[:1], APIS[1:]))
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


@pytest.mark.parametrize("api", first(APIS))
def test_every_api_is_saved_and_loaded(api, tmp_path):
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


def test_a_mirrored_model_has_the_mean_of_both_images_and_takes_weights_of_a_network_alone():
    alone, mirrored = (zoo.build("fashion_mnist", weights="default", flip_tta=m) for m in (False, True))
    want = (alone.predict(IMAGES, verbose=0) + alone.predict(IMAGES[:, :, ::-1], verbose=0)) / 2
    np.testing.assert_allclose(mirrored.predict(IMAGES, verbose=0), want, atol=1e-5)
    np.testing.assert_allclose(mirrored(IMAGES), mirrored(IMAGES[:, :, ::-1]), atol=1e-5)


@pytest.mark.proof
def test_a_mean_of_members_and_mirror_images_is_one_proven_model(tmp_path):
    """Members are trained alone; each file has the mean of the logits of both, for the image and its mirror image."""
    tiny = {"filters": (8, 16), "depths": (1, 1)}
    options = {"data_dir": str(DATA["fashion_mnist"]), "precision": "float32", "out": str(tmp_path / "run")}
    settings = {"model.ensemble": 2, "model.flip_tta": True, "recipe.epochs": 1, "recipe.batch_size": 64}
    summary = train.run("fashion_mnist", model_arguments=tiny, settings=settings, **options)
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
    alone, logits = zoo.build("fashion_mnist", **tiny), []
    for i in range(2):
        alone.load_weights(tmp_path / "run" / "restarts" / str(i) / "checkpoints" / "best.weights.h5")
        logits += [alone.predict(images, verbose=0) for images in (IMAGES, IMAGES[:, :, ::-1])]
    assert np.ptp(logits, axis=0).max() > 1e-3
    for name in ("saved_model", "tflite"):
        served = zoo.load(tmp_path / "run" / "bundle", name)
        got = [
            served.call("serving_default", {"image": image[None].astype("float32")})["logits"][0] for image in IMAGES
        ]
        np.testing.assert_allclose(got, np.mean(logits, axis=0), atol=1e-4)
