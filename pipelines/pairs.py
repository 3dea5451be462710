"""Splits as pairs of image or text and label, for `predict` and `evaluate` of Keras without a feed."""

from collections.abc import Sequence

import tensorflow as tf

from pipelines import images
from zoobase.errors import USAGE, DataError


def decoded(split: tf.data.Dataset, image_shape: Sequence[int] | None = None) -> tf.data.Dataset:
    """Return (x, y) of a split of images or texts with labels, in order, not batched.

    Args:
        split: A split of a `Dataset`.
        image_shape: (height, width, channels) to which images are resized; None is the shape of the first image.

    Returns:
        Examples (pixels uint8 (H, W, C) or a string scalar, label int64).

    Raises:
        DataError: The examples have no label, or neither image nor text.

    Example:
        >>> import pipelines
        >>> test = pipelines.decoded(pipelines.load("digits").test).batch(8)
        >>> test.element_spec[0].shape
        TensorShape([None, 8, 8, 1])
    """
    features = split.element_spec if isinstance(split.element_spec, dict) else {}
    x = next((name for name in ("image", "text") if name in features), None)
    if x is None or "label" not in features:
        raise DataError(f"these examples ({', '.join(features)}) are not images or texts with a label", USAGE)
    if x == "text":
        return split.map(lambda example: (example["text"], example["label"]))
    if image_shape is None:
        image_shape = images.header(next(split.as_numpy_iterator())["image"])[1]
    return split.map(lambda example: (images.decode(example["image"], *image_shape), example["label"]))
