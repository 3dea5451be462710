"""The feature extractor for the metrics of generated images."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from zoo.evaluation.generative_metrics import SIDE, FeatureExtractor


@functools.lru_cache(maxsize=4)
def feature_extractor_for(shape: tuple[int, int, int]) -> FeatureExtractor:
    """Return the feature extractor for images of one shape (H, W, C).

    For 28x28 grey images it is a trained Fashion-MNIST classifier, whose features are the inputs of its last layer; for
    other images it averages the pixels to 8x8, which contain no finer detail.
    """
    if shape == (28, 28, 1):
        from zoo.weights import build_with_weights, description

        with _float32():
            model = build_with_weights("fashion_mnist", "judge", {})
            body = keras.Model(model.inputs, model.get_layer("pool").output)
        names = tuple(description("fashion_mnist", "judge")["info"]["class_names"])
        return FeatureExtractor(
            "features of the zoo's fashion_mnist",
            body.output.shape[-1],
            lambda x: body(x, training=False),
            lambda x: model(x, training=False),
            names,
        )

    def averaged(images: Any) -> tf.Tensor:
        small = tf.image.resize(tf.cast(images, tf.float32) / 255.0, [SIDE, SIDE], method="area")
        return tf.reshape(small, [-1, SIDE * SIDE * shape[2]])

    return FeatureExtractor(f"pixels averaged to {SIDE}x{SIDE}", SIDE * SIDE * shape[2], averaged)


def _float32() -> Any:
    from zoo.core.environment import dtype_policy

    return dtype_policy("float32")
