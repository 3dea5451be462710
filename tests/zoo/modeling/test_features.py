"""Every image classifier as a backbone: embedding, feature maps, frozen layers; other networks and SavedModels."""

import hashlib
import http.server
import os
import shutil
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
import zoobase.errors
from pipelines import DataError
from tests.plugins.tiers import first
from tests.zoo.conftest import fit
from zoo.modeling import backbones
from zoo.modeling.efficientnet_lite import features
from zoo.modeling.features import feature_maps
from zoobase.errors import CheckFailed, UsageError, ZooError

TINY = {"backbone": "efficientnet_lite_tiny", "image_shape": (64, 64, 3)}
CLASSIFIERS = {
    "fashion_mnist": {"filters": (4, 8), "depths": (1, 2)},
    "efficientnet_lite0": {"width": 0.25, "depth": 0.3, "image_shape": (64, 64, 3)},
    "flowers": TINY,
    "skin_lesions": TINY,
}


@pytest.mark.extended
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_without_the_head(name):
    keras.utils.set_random_seed(0)
    whole = zoo.build(name, **CLASSIFIERS[name])
    keras.utils.set_random_seed(0)
    body = zoo.build(name, include_top=False, **CLASSIFIERS[name])
    assert len(body.output_shape) == 2
    image = np.random.default_rng(0).uniform(0, 255, (2, *whole.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(whole.get_layer("logits")(body(image)), whole(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_feature_maps(name):
    maps = zoo.build(name, features_only=True, **CLASSIFIERS[name])
    size = maps.input_shape[1]
    got = maps(np.zeros((1, *maps.input_shape[1:]), np.float32))
    strides = [int(key.removeprefix("stride_")) for key in got]
    assert strides == sorted(strides)
    assert len(strides) >= 2
    for stride, tensor in zip(strides, got.values(), strict=True):
        assert tensor.shape[1] == -(-size // stride)


@pytest.mark.extended
def test_feature_maps_of_a_nested_network():
    """Which scales its images before `keras.applications` sees them."""
    model = zoo.build("flowers", backbone="mobilenet_v2", image_shape=(64, 64, 3))
    network = next(layer for layer in model.get_layer("backbone").layers if isinstance(layer, keras.Model))
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    want = network(keras.applications.mobilenet_v2.preprocess_input(image.copy()))
    np.testing.assert_allclose(feature_maps(model)(image)["stride_32"], want, rtol=1e-4, atol=1e-5)


def test_a_model_with_trained_weights():
    whole, body = zoo.build("fashion_mnist", "default"), zoo.build("fashion_mnist", "default", include_top=False)
    image = np.random.default_rng(0).uniform(0, 255, (2, 28, 28, 1)).astype(np.float32)
    np.testing.assert_allclose(whole.get_layer("logits")(body(image)), whole(image), rtol=1e-4, atol=1e-4)


def test_frozen_layers_are_not_trained():
    model = zoo.build("fashion_mnist", **CLASSIFIERS["fashion_mnist"])
    assert zoo.freeze(model, "block0_pool") < model.count_params()
    before = {variable.path: np.array(variable) for variable in model.weights}
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.random.default_rng(0).uniform(0, 255, (16, 28, 28, 1)), np.arange(16) % 10, verbose=0)
    changed = {variable.path.split("_")[0] for variable in model.weights if (before[variable.path] != variable).any()}
    assert changed == {"block1", "logits/kernel", "logits/bias"}


def test_layers_of_a_nested_backbone_are_frozen():
    model = zoo.build("flowers", **TINY)
    whole = sum(np.prod(v.shape) for v in model.trainable_variables)
    some = zoo.freeze(model, "stem_norm")
    assert 0 < zoo.freeze(model) < some < whole
    assert {v.path.split("/")[0] for v in model.trainable_variables} == {"logits"}


def test_files(tmp_path):
    Image.fromarray(np.full((50, 40, 3), 200, np.uint8)).save(tmp_path / "a.png")
    assert zoo.preprocess("fashion_mnist")([tmp_path / "a.png"] * 2).shape == (2, 28, 28, 1)
    pixels = zoo.preprocess("flowers", (32, 48, 3))([tmp_path / "a.png"])
    assert (pixels.shape, pixels.dtype) == ((1, 32, 48, 3), np.uint8)
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(DataError, match="not an image"):
        zoo.preprocess("flowers")([tmp_path / "b.png"])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: zoo.build("autoencoder", include_top=False), "no order|no head"),
        (lambda: zoo.build("fashion_mnist", include_top=False, api="subclassed"), "build it with another api"),
        (lambda: zoo.build("mnist", features_only=True), "no feature maps"),
        (lambda: zoo.freeze(zoo.build("mnist"), "hiden"), "unknown layer of mnist"),
        (lambda: zoo.preprocess("sentiment"), "does not take images"),
        (lambda: zoo.preprocess("dcgan"), "does not take images"),
    ],
)
def test_errors(call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call()


def test_the_maps_of_a_segmentation_are_not_its_class_logits():
    model = zoo.build("unet", num_classes=3, width=4, depth=2, image_shape=(32, 32, 3))
    maps = feature_maps(model).output
    assert {key: tensor.shape[1:] for key, tensor in maps.items()} == {
        "stride_1": (32, 32, 4),
        "stride_2": (16, 16, 8),
        "stride_4": (8, 8, 16),
    }


@pytest.mark.parametrize("has_class_token", first([False, True]))
def test_the_last_tokens_of_a_transformer_are_a_map(has_class_token):
    """The patches alone would be the input of the transformer, not its features."""
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Reshape((16, 8))(keras.layers.Conv2D(8, 8, strides=8, name="patches")(image))
    if has_class_token:
        x = keras.layers.ZeroPadding1D((1, 0))(x)
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    tokens = keras.layers.LayerNormalization(name="norm")(x)
    logits = keras.layers.Dense(5, name="logits")(keras.layers.GlobalAveragePooling1D()(tokens))
    maps = feature_maps(keras.Model(image, logits, name="vit"))
    pixels = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype(np.float32)
    want = keras.Model(image, tokens)(pixels)[:, -16:]
    np.testing.assert_allclose(maps(pixels)["stride_8"], np.reshape(want, (2, 4, 4, 8)), rtol=1e-5, atol=1e-6)


def test_what_has_no_feature_maps_and_no_head_says_so():
    for name in ("table", "admissions", "bike_sharing", "sentiment", "text_rnn"):
        with pytest.raises(UsageError, match="does not take images"):
            zoo.build(name, features_only=True)
    for name in ("table", "dcgan"):
        with pytest.raises(UsageError, match=r"has no head|is a subclassed model"):
            zoo.build(name, include_top=False)


IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")


@pytest.mark.extended
def test_a_network_of_keras_applications_takes_pixels(monkeypatch):
    model = backbones.get("mobilenet_v2").build((96, 96, 3), "last")
    assert model.output.shape == (None, 1280)
    assert backbones.get("mobilenet_v2").build((96, 96, 3), "middle").output.shape == (None, 96)
    donor = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3), pooling="avg")
    monkeypatch.setattr(backbones, "_network", lambda name, shape, weights: donor)  # as if it had been downloaded
    donor._name = next(layer.name for layer in model.layers if layer.name.startswith("mobilenet"))
    backbones._pretrain_application("mobilenet_v2", model)
    expected = donor(keras.applications.mobilenet_v2.preprocess_input(IMAGES.copy()), training=False)
    np.testing.assert_allclose(model(IMAGES, training=False), expected, atol=1e-4)


def test_weights_that_cannot_be_downloaded_are_a_one_line_error(monkeypatch):
    def unreachable(*args, weights, **kwargs):
        if weights:
            raise Exception("URL fetch failure on https://storage.googleapis.com/...: None -- unreachable")
        return real(*args, weights=weights, **kwargs)

    real = keras.applications.MobileNetV2
    monkeypatch.setattr(keras.applications, "MobileNetV2", unreachable)
    model = backbones.get("mobilenet_v2").build((96, 96, 3), "last")
    with pytest.raises(zoobase.errors.MissingError, match="--backbone efficientnet_lite0"):
        backbones.get("mobilenet_v2").pretrain(model)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A reusable SavedModel in the form of TF Hub: callable, with trainable variables."""
    body = features("tiny", (96, 96, 3), 0.25, 0.3, "middle")

    class Reusable(tf.train.Checkpoint):
        def __init__(self):
            super().__init__()
            self.variables = [v.value for v in body.weights]
            self.trainable_variables = [v.value for v in body.trainable_weights]

        @tf.function(input_signature=[tf.TensorSpec([None, 96, 96, 3], tf.float32)])
        def __call__(self, images):
            return body(255 * images, training=False)

    path = tmp_path_factory.mktemp("hub") / "model"
    tf.saved_model.save(Reusable(), str(path))
    return str(path), body


@pytest.mark.extended
def test_a_local_saved_model_is_a_backbone(saved_model):
    path, body = saved_model
    model = zoo.build("flowers", backbone=path, num_classes=3, image_shape=(96, 96, 3))
    embedding = model.get_layer("backbone")(IMAGES)
    np.testing.assert_allclose(embedding, body(IMAGES, training=False), atol=1e-4)
    trainable = {v.path for v in model.trainable_weights}
    assert len(trainable) == 2 + len(body.trainable_weights)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(IMAGES) ** 2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_weights])
    assert all(g is not None for g in gradients)


@pytest.mark.extended
def test_the_weights_of_a_saved_model_are_saved_and_loaded(saved_model, tmp_path):
    path, _ = saved_model
    arguments = {"backbone": path, "num_classes": 3, "image_shape": (96, 96, 3)}
    model, again = zoo.build("flowers", **arguments), zoo.build("flowers", **arguments)
    model.set_weights([w * 1.1 for w in model.get_weights()])
    expected = model.predict(IMAGES, verbose=0)
    model.save_weights(tmp_path / "m.weights.h5")
    again.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_allclose(again.predict(IMAGES, verbose=0), expected, atol=1e-5)


@pytest.mark.proof
def test_a_saved_model_is_trained_exported_and_verified(saved_model, tmp_path, monkeypatch):
    handle = "https://tfhub.dev/someone/tiny/1"  # cached as tensorflow_hub does
    cache = tmp_path / hashlib.sha1(handle.encode()).hexdigest()
    shutil.copytree(saved_model[0], cache)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    settings = {"task.height": 96, "task.width": 96, "task.policy": "finetune", "task.tune_epochs": 1, "task.views": 1}
    settings |= {"recipe.epochs": 2, "task.baseline": False}
    summary = fit("flowers", tmp_path / "run", settings, model_arguments={"backbone": handle}, export=True)
    (bundle,) = summary["bundles"]
    assert bundle["verdict"] == "pass"
    passed = {row["artifact"] for row in bundle["artifacts"] if row["state"] == "pass"}
    assert {"model.keras", "saved_model/1", "tflite/float32.tflite"} <= passed


@pytest.mark.parametrize("safe_mode", first([True, False]))
def test_nothing_is_downloaded_while_a_file_is_loaded(saved_model, tmp_path, monkeypatch, safe_mode):
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

        log_message = do_HEAD = lambda *_: None

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handle = f"http://127.0.0.1:{server.server_port}/model/1"
        folder = tmp_path / "cache" / hashlib.sha1(handle.encode()).hexdigest()
        shutil.copytree(saved_model[0], folder)
        image = keras.Input((96, 96, 3))
        keras.Model(image, backbones.SavedModel(handle)(image)).save(tmp_path / "model.keras")
        keras.saving.load_model(tmp_path / "model.keras", safe_mode=safe_mode)  # what was downloaded is not asked for
        assert requests == []
        shutil.rmtree(folder)
        with pytest.raises(Exception, match=f"{handle} is not on this machine, and nothing is downloaded"):
            keras.saving.load_model(tmp_path / "model.keras", safe_mode=safe_mode)
        assert requests == []
        with pytest.raises(zoobase.errors.MissingError, match=f"cannot load {handle}"):
            backbones.SavedModel(handle)  # as a user builds one
        assert requests[0].startswith("/model/1")
        server.shutdown()


def test_a_folder_without_a_saved_model_is_a_one_line_error(tmp_path):
    with pytest.raises(zoobase.errors.MissingError, match="cannot load"):
        zoo.build("flowers", backbone=str(tmp_path))


def test_a_saved_model_that_acts_is_no_backbone(tmp_path):
    mark = tmp_path / "mark"

    class Evil(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.float32)])
        def __call__(self, images):
            with tf.control_dependencies([tf.io.write_file(str(mark), "x")]):
                return tf.reduce_mean(images, (1, 2))

    module = Evil()
    tf.saved_model.save(module, tmp_path / "evil")
    with pytest.raises(CheckFailed, match="WriteFile, not on the list of inference operators"):
        backbones._load(str(tmp_path / "evil"))
    assert not mark.exists()


def test_the_cache_of_downloaded_modules_is_our_own(tmp_path, monkeypatch):
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    assert backbones._hub_cache() == tmp_path / "tfhub"
    assert (tmp_path / "tfhub").stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ZooError, match="belongs to another user"):
        backbones._hub_cache()
