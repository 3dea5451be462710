"""The network in whose features generated images are compared with real ones."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from zoo.evaluation.generative_metrics import SIDE, Judge


@functools.lru_cache(maxsize=4)
def judge_of(shape: tuple[int, int, int]) -> Judge:
    """Return the judge of images of one shape (H, W, C).

    For 28x28 grey images it is a Fashion-MNIST classifier of ours, whose features are what its last layer sees; else
    it is pixels averaged to 8x8, which know of colours and places but of nothing finer.
    """
    if shape == (28, 28, 1):
        from zoo.weights import build_with_weights, description

        with _float32():
            model = build_with_weights("fashion_mnist", "judge", {})
            seen = keras.Model(model.inputs, model.get_layer("pool").output)
        names = tuple(description("fashion_mnist", "judge")["info"]["class_names"])
        return Judge(
            "features of the zoo's fashion_mnist",
            seen.output.shape[-1],
            lambda x: seen(x, training=False),
            lambda x: model(x, training=False),
            names,
        )

    def averaged(images: Any) -> tf.Tensor:
        small = tf.image.resize(tf.cast(images, tf.float32) / 255.0, [SIDE, SIDE], method="area")
        return tf.reshape(small, [-1, SIDE * SIDE * shape[2]])

    return Judge(f"pixels averaged to {SIDE}x{SIDE}", SIDE * SIDE * shape[2], averaged)


def _float32() -> Any:
    from zoo.core.environment import computing_in

    return computing_in("float32")
