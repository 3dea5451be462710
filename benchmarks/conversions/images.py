"""Two image networks in Keras, and in plain TensorFlow operators: a classifier and a decoder."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.conversions import Conversion, trained

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSIFIER_BUGS = {
    "mean_and_deviation": "mean and deviation are 0.5 instead of ImageNet's",
    "bgr": "the channels are read as BGR",
    "no_rescaling": "pixels are taken to be in [0, 1]: they are not divided by 255",
    "integer_pixels": "the file casts pixels to uint8 first, which truncates resized images",
    "symmetric_padding": "a convolution with stride 2 pads one row on each side, as PyTorch does, instead of SAME",
    "batch_norm_epsilon": "batch normalisation has epsilon 1e-5 instead of Keras's 1e-3",
    "batch_norm_training": "batch normalisation takes the statistics of the batch",
    "relu_for_relu6": "ReLU instead of ReLU6",
    "leaky_slope": "leaky ReLU has slope 0.2 instead of 0.3",
    "depthwise_order": "the channels of a depthwise convolution with multiplier 2 are in the other order",
    "dilation": "dilation 1 instead of 2",
    "max_pool_padding": "maximum pooling pads with zeros instead of minus infinity",
    "average_pool_padding": "average pooling counts the padding",
    "flatten_order": "the features are flattened as NCHW",
    "hard_sigmoid": "hard sigmoid is 0.2 x + 0.5, as in Keras 2, instead of x / 6 + 0.5",
    "softmax_axis": "softmax over the batch instead of the classes",
    "dropout": "dropout is left on",
    "float16_layer": "the weights of one layer are rounded to float16",
    "int8_layer": "the weights of one layer are rounded to int8",
    "one_bias": "the bias of one of 16 units is missing",
}
DECODER_BUGS = {
    "transposed_kernel": "the kernel of a transposed convolution is flipped",
    "align_corners": "bilinear resize aligns the corners",
    "nearest": "resize takes the nearest pixel instead of interpolating",
    "no_half_pixel": "bilinear resize without half-pixel centers, as TensorFlow 1 did",
}


def classifier() -> Any:
    """Return the Keras model: image (B, 24, 24, 3) float32 in [0, 255] -> probabilities (B, 5)."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    image = keras.Input((24, 24, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Normalization(mean=MEAN, variance=np.square(DEVIATION))(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6)(x)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    y = layers.LeakyReLU(0.3)(y)
    y = layers.Conv2D(16, 3, dilation_rate=2, padding="same", name="dilated")(y)
    x = layers.Add()([y, layers.Conv2D(16, 1, name="shortcut")(x)])
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = layers.AveragePooling2D(3, 2, padding="same")(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    x = layers.Dense(16, activation="hard_sigmoid", name="hidden")(x)
    return trained(keras.Model(image, layers.Dense(5, activation="softmax", name="classes")(x)))


def classifier_port(w: Mapping[str, np.ndarray], bug: str | None) -> Callable[..., Any]:
    """Return the classifier in TensorFlow operators, with one bug or none."""
    import tensorflow as tf

    mean, deviation = ((0.5,) * 3, (0.5,) * 3) if bug == "mean_and_deviation" else (MEAN, DEVIATION)
    epsilon = 1e-5 if bug == "batch_norm_epsilon" else 1e-3
    w = dict(w)
    if bug == "float16_layer":
        w["dilated/kernel"] = w["dilated/kernel"].astype(np.float16).astype(np.float32)
    if bug == "int8_layer":
        step = np.abs(w["dilated/kernel"]).max() / 127
        w["dilated/kernel"] = (np.rint(w["dilated/kernel"] / step) * step).astype(np.float32)
    if bug == "one_bias":
        w["hidden/bias"] = w["hidden/bias"] * (np.arange(16) != 3)
    if bug == "depthwise_order":
        kernel = w["depthwise/kernel"]
        w["depthwise/kernel"] = kernel.reshape(3, 3, 2, 8).swapaxes(2, 3).reshape(kernel.shape)

    def call(image: Any) -> Any:
        x = tf.cast(tf.cast(image, tf.uint8), tf.float32) if bug == "integer_pixels" else image
        x = x[..., ::-1] if bug == "bgr" else x
        x = x if bug == "no_rescaling" else x / 255.0
        x = (x - tf.constant(mean)) / tf.constant(deviation)
        if bug == "symmetric_padding":
            x = tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), w["stem/kernel"], 2, "VALID")
        else:
            x = tf.nn.conv2d(x, w["stem/kernel"], 2, "SAME")
        x = x + w["stem/bias"]
        center, variance = w["norm/moving_mean"], w["norm/moving_variance"]
        if bug == "batch_norm_training":
            center = tf.reduce_mean(x, [0, 1, 2])
            variance = tf.reduce_mean(tf.square(x - center), [0, 1, 2])
        x = (x - center) * tf.math.rsqrt(variance + epsilon) * w["norm/gamma"] + w["norm/beta"]
        x = tf.nn.relu(x) if bug == "relu_for_relu6" else tf.nn.relu6(x)
        y = tf.nn.depthwise_conv2d(x, w["depthwise/kernel"], [1, 1, 1, 1], "SAME") + w["depthwise/bias"]
        y = tf.nn.leaky_relu(y, 0.2 if bug == "leaky_slope" else 0.3)
        dilation = 1 if bug == "dilation" else 2
        y = tf.nn.conv2d(y, w["dilated/kernel"], 1, "SAME", dilations=dilation) + w["dilated/bias"]
        x = y + tf.nn.conv2d(x, w["shortcut/kernel"], 1, "SAME") + w["shortcut/bias"]
        if bug == "max_pool_padding":
            x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]), 3, 2, "VALID")
        else:
            x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        if bug == "average_pool_padding":
            x = tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]), 3, 2, "VALID")
        else:
            x = tf.nn.avg_pool2d(x, 3, 2, "SAME")
        x = tf.transpose(x, [0, 3, 1, 2]) if bug == "flatten_order" else x
        x = tf.reshape(x, [-1, 3 * 3 * 16])
        if bug == "dropout":
            x = tf.where(tf.random.uniform(tf.shape(x)) < 0.2, 0.0, x / 0.8)
        x = tf.matmul(x, w["hidden/kernel"]) + w["hidden/bias"]
        x = tf.clip_by_value(x * 0.2 + 0.5, 0, 1) if bug == "hard_sigmoid" else tf.nn.relu6(x + 3) / 6
        x = tf.matmul(x, w["classes/kernel"]) + w["classes/bias"]
        if bug == "softmax_axis":
            x = tf.exp(x - tf.reduce_max(x, 0, keepdims=True))
            return x / tf.reduce_sum(x, 0, keepdims=True)
        return tf.nn.softmax(x)

    return call


def decoder() -> Any:
    """Return the Keras model: code (B, 5, 5, 4) float32 -> image (B, 24, 24, 3)."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(2)
    code = keras.Input((5, 5, 4), name="code")
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="tanh", name="up")(code)
    x = layers.Resizing(24, 24, interpolation="bilinear")(x)
    return trained(keras.Model(code, layers.Conv2D(3, 3, padding="same", name="pixels")(x)))


def decoder_port(w: Mapping[str, np.ndarray], bug: str | None) -> Callable[..., Any]:
    """Return the decoder in TensorFlow operators, with one bug or none."""
    import tensorflow as tf

    kernel = w["up/kernel"][::-1, ::-1] if bug == "transposed_kernel" else w["up/kernel"]

    def call(code: Any) -> Any:
        x = tf.nn.conv2d_transpose(code, kernel, tf.stack([tf.shape(code)[0], 10, 10, 8]), 2, "SAME")
        x = tf.tanh(x + w["up/bias"])
        if bug == "nearest":
            x = tf.compat.v1.image.resize_nearest_neighbor(x, [24, 24], half_pixel_centers=True)
        else:
            corners, centers = bug == "align_corners", bug not in ("align_corners", "no_half_pixel")
            x = tf.compat.v1.image.resize_bilinear(x, [24, 24], align_corners=corners, half_pixel_centers=centers)
        return tf.nn.conv2d(x, w["pixels/kernel"], 1, "SAME") + w["pixels/bias"]

    return call


CLASSIFIER = Conversion(
    classifier, classifier_port, {"image": ("float32", (24, 24, 3), None)}, "tflite", CLASSIFIER_BUGS
)
DECODER = Conversion(decoder, decoder_port, {"code": ("float32", (5, 5, 4), None)}, "tflite", DECODER_BUGS)
