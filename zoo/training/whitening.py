"""Initial weights of the first convolution: the principal components of the patches that it sees."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from export.protocol.layers import intercepted
from zoobase.errors import UsageError

EPSILON = 5e-3  # added to the variances, of inputs in [0, 1]
IMAGES = 1000


def whiten(model: keras.Model, inputs: Any) -> None:
    """Set filters of the first `Conv2D` to whitened principal components of patches, and to their negatives."""
    # Their outputs are uncorrelated and of similar variance, so that the next layers learn faster. Those of the largest
    # variance come first, as many as the layer has filters; further filters keep their values. All are trained, other
    # than in Jordan 2024, arXiv:2404.00498, section 3.2.
    layer = next((layer for layer in model.layers if hasattr(layer, "kernel")), None)
    if type(layer) is not layers.Conv2D:
        raise UsageError(f"recipe.whiten needs a model that begins with a convolution, and this {model.name} does not")
    seen = tf.cast(_input_of(layer, model, inputs), tf.float32)
    height, width, channels, filters = layer.kernel.shape
    patches = tf.image.extract_patches(
        seen, [1, height, width, 1], [1, *layer.strides, 1], [1, *layer.dilation_rate, 1], layer.padding.upper()
    )
    patches = patches.numpy().reshape(-1, height * width * channels).astype(np.float64)
    variances, components = np.linalg.eigh(patches.T @ patches / len(patches))  # in increasing order
    whitened = components / np.sqrt(variances + EPSILON)
    both = np.concatenate([whitened, -whitened], axis=1)[:, ::-1][:, :filters]
    kernel = layer.kernel.numpy().reshape(-1, filters)
    kernel[:, : both.shape[1]] = both
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))


def _input_of(layer: keras.Layer, model: keras.Model, inputs: Any) -> Any:
    """Return what a layer receives when a model is called, which may be of any API."""
    received = []

    def observed(layer: keras.Layer) -> Any:
        call = layer.call
        return lambda x, *args, **options: received.append(x) or call(x, *args, **options)

    with intercepted([layer], observed):
        model(inputs, training=False)
    return received[0]
