"""The feature extractor for the metrics of generated images."""

import functools
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pipelines.catalogue import OWN
from pipelines.dataset import Info
from zoo.core.environment import dtype_policy
from zoo.evaluation.generative_metrics import SIDE, FeatureExtractor
from zoobase.errors import DataError, MissingError, ZooError
from zoobase.files import sha256

GARMENTS = frozenset({"fashion_mnist", "edges_to_garments", "sneakers_to_boots"})  # datasets of Fashion-MNIST's images
# A classifier of the zoo (test accuracy 0.9400), trained at commit 9907aec: fixed, so that distances stay comparable
CLASSIFIER = Path(__file__).parent / "files" / "garment_classifier.keras"
CLASSIFIER_SHA256 = "f9c8dbfeb34d03e60430f90638b0168f81d93f4c132834300ab8219d2ed6d62f"
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
ENLARGED = 96  # side to which images are resized for the network of photographs


def feature_extractor_for(info: Info, shape: tuple[int, int, int]) -> FeatureExtractor:
    """Return the feature extractor for the images (H, W, C) of a dataset."""
    # For garments the inputs of the last layer of a trained Fashion-MNIST classifier; for others the averages of the
    # fifth stage (112) of EfficientNet-Lite0 trained on ImageNet. Where its weights are not available, pixels averaged
    # to 8x8; the name, which every table of distances states, says which it was.
    if info.name.removeprefix(OWN) in GARMENTS and shape == (28, 28, 1):  # also a part of it, in one's own folder
        return _of_garments()
    try:
        return _of_photographs()
    except MissingError:
        return averaged_pixels(shape[2])


@functools.lru_cache(maxsize=1)
def _of_garments() -> FeatureExtractor:
    if sha256(CLASSIFIER) != CLASSIFIER_SHA256:
        raise ZooError(f"{CLASSIFIER} is damaged: its sha256 is another one; reinstall the package")
    model = keras.saving.load_model(CLASSIFIER, compile=False)
    body = keras.Model(model.input, model.get_layer("pool").output)
    return FeatureExtractor(
        "features of the zoo's fashion_mnist",
        body.output.shape[-1],
        lambda x: body(x, training=False),
        lambda x: model(x, training=False),
        CLASS_NAMES,
    )


@functools.lru_cache(maxsize=1)
def _of_photographs() -> FeatureExtractor:
    from zoo.modeling import backbones

    backbone = backbones.get("efficientnet_lite0")
    with dtype_policy("float32"):
        body = backbone.build((ENLARGED, ENLARGED, 3), "middle")
    try:
        backbone.pretrain(body)
    except DataError as error:
        raise MissingError(str(error)) from error

    def features(images: Any) -> tf.Tensor:
        colours = tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        return body(tf.image.resize(tf.cast(colours, tf.float32), [ENLARGED, ENLARGED]), training=False)

    return FeatureExtractor("features of EfficientNet-Lite0, stage 5", body.output.shape[-1], features)


@functools.lru_cache(maxsize=2)
def averaged_pixels(channels: int) -> FeatureExtractor:
    """Return pixels averaged to 8x8 as features."""

    def features(images: Any) -> tf.Tensor:
        small = tf.image.resize(tf.cast(images, tf.float32) / 255.0, [SIDE, SIDE], method="area")
        return tf.reshape(small, [-1, SIDE * SIDE * channels])

    return FeatureExtractor(f"pixels averaged to {SIDE}x{SIDE}", SIDE * SIDE * channels, features)
