"""Perceptual losses: distances of images in the features of a trained network.

Reference: Gatys, Ecker, Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", CVPR,
doi:10.1109/CVPR.2016.265; Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155 (total variation).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

CONTENT_LAYERS = ("block4_conv2",)
STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
MEAN = (103.939, 116.779, 123.68)  # ImageNet mean in the order blue, green, red, with which VGG was trained


PADDING = 16  # pixels by which an image is continued at each edge; a position of block 5 is 16 pixels wide


class Features:
    """The outputs of selected layers of a VGG network, for images in [0, 255]."""

    # An image is continued by its reflection. With the zeros of VGG alone, the features at the edges of a small image
    # are other than those of a large one, and losses of both are lowered by a bright frame.
    def __init__(self, vgg: keras.Model, layers: Sequence[str]) -> None:
        """Select layers by name; layers above the highest of them are not computed."""
        self.layers = tuple(dict.fromkeys(layers))
        self.network = keras.Model(vgg.inputs, [vgg.get_layer(name).output for name in self.layers])
        self.network.trainable = False

    def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return layer name -> features (B, h, w, C) float32 of RGB images (B, H, W, 3) in [0, 255], H and W > 16."""
        pads = [[0, 0], [PADDING, PADDING], [PADDING, PADDING], [0, 0]]
        padded = tf.pad(tf.reverse(tf.cast(image, tf.float32), [-1]) - tf.constant(MEAN), pads, "REFLECT")
        outputs = self.network(padded, training=False)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        return {name: _inside(name, tf.cast(x, tf.float32)) for name, x in zip(self.layers, outputs, strict=True)}


def _inside(name: str, features: tf.Tensor) -> tf.Tensor:
    """Return the features of a layer "blockN_convM" without those of the padding."""
    edge = PADDING >> (int(name[len("block")]) - 1)
    return features[:, edge:-edge, edge:-edge]


REFERENCE_PIXELS = 512 * 512


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the loss."""

    alpha: float = 1.0  # content loss
    beta: float = 1e4  # style loss
    variation: float = 1.0  # total variation loss
    # relative weights of the `STYLE_LAYERS` in the style loss, not all zero
    layers: tuple[float, ...] = (1.0,) * len(STYLE_LAYERS)


class Objective:
    """The loss alpha * content + beta * style + variation * total variation, for the style of one image."""

    def __init__(self, vgg: keras.Model, style: np.ndarray, weights: Weights) -> None:
        """Compute the Gram matrices of the style image, uint8 (H, W, 3)."""
        self.weights = weights
        self.features = Features(vgg, (*CONTENT_LAYERS, *STYLE_LAYERS))
        features = self.features(tf.constant(style[None], tf.float32))
        self.style = {name: gram_matrix(features[name]) for name in STYLE_LAYERS}

    def content(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the content features of images (B, H, W, 3) in [0, 255]."""
        features = self.features(image)
        return {name: features[name] for name in CONTENT_LAYERS}

    def losses(self, image: tf.Tensor, content: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return total, content, style and total variation loss of images (B, H, W, 3) in [0, 255]: (B,) each."""
        # Content and total variation are sums over positions and the style is a mean, so that in the paper the balance
        # of their weights depends on the size of the image. Here the sums are scaled to an image of 512x512.
        features = self.features(image)
        scale = REFERENCE_PIXELS / tf.cast(tf.shape(image)[1] * tf.shape(image)[2], tf.float32)
        terms = {
            "content": scale * content_loss(features, content),
            "style": style_loss(features, self.style, self.weights.layers),
            "variation": scale * total_variation(image),
        }
        w = self.weights
        total = w.alpha * terms["content"] + w.beta * terms["style"] + w.variation * terms["variation"]
        return {"total": total, **terms}


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Return the correlations of the channels, (B, C, C), averaged over the positions of features (B, h, w, C)."""
    shape = tf.shape(features)
    positions = tf.reshape(features, [shape[0], -1, shape[3]])
    return tf.matmul(positions, positions, transpose_a=True) / tf.cast(shape[1] * shape[2], features.dtype)


def content_loss(features: Mapping[str, tf.Tensor], content: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Return half the squared difference of the features, summed over layers, positions and channels: (B,)."""
    return tf.add_n([0.5 * tf.reduce_sum(tf.square(features[k] - content[k]), axis=[1, 2, 3]) for k in content])


def style_loss(
    features: Mapping[str, tf.Tensor], grams: Mapping[str, tf.Tensor], weights: Sequence[float] | None = None
) -> tf.Tensor:
    """Return the squared difference of Gram matrices, averaged over the layers with their weights: (B,)."""
    # The term of a layer is 1 / (4 C^2) times the sum over its matrix. Gatys also divides by the square of the number
    # of positions; here each Gram matrix is divided by its own: content and style may have different sizes.
    weights = weights or (1.0,) * len(grams)
    terms = []
    for (name, gram), weight in zip(grams.items(), weights, strict=True):
        channels = float(gram.shape[-1])
        difference = gram_matrix(features[name]) - gram
        terms.append(weight * tf.reduce_sum(tf.square(difference), axis=[1, 2]) / (4.0 * channels**2))
    return tf.add_n(terms) / float(sum(weights))


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Return the squared differences of neighbouring pixels, summed: (B,), for images (B, H, W, C)."""
    down, right = image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]
    return tf.reduce_sum(tf.square(down), axis=[1, 2, 3]) + tf.reduce_sum(tf.square(right), axis=[1, 2, 3])
