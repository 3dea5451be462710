"""Third-party backbones: networks of keras.applications, and SavedModels of tensorflow_hub."""

import hashlib
import http.server
import os
import shutil
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
import zoobase.errors
from tests.zoo.conftest import fit
from zoo.modeling import backbones
from zoo.modeling.efficientnet_lite import features
from zoobase.errors import CheckFailed, ZooError

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")


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


def test_the_weights_of_a_saved_model_are_saved_and_loaded(saved_model, tmp_path):
    path, _ = saved_model
    arguments = {"backbone": path, "num_classes": 3, "image_shape": (96, 96, 3)}
    model, again = zoo.build("flowers", **arguments), zoo.build("flowers", **arguments)
    model.set_weights([w * 1.1 for w in model.get_weights()])
    expected = model.predict(IMAGES, verbose=0)
    model.save_weights(tmp_path / "m.weights.h5")
    again.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_allclose(again.predict(IMAGES, verbose=0), expected, atol=1e-5)


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


@pytest.mark.parametrize("safe_mode", [True, False])
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
