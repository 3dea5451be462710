"""Mixup: convex combinations of two images and of their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import stateless_random

_MIX = 7  # stream id, besides those of `pipelines.augment.ops`
_STEPS = 1024


def mixup(batch: tuple[Any, ...], keys: tf.Tensor, *, num_classes: int, alpha: float = 0.2) -> tuple[Any, ...]:
    """Mix each example with the previous one in the batch.

    The share depends on the example's key; the partner depends on the batch, and is the same in every run of an epoch.
    Reference: Zhang 2018, arXiv:1710.09412.

    Args:
        batch: (images (B, H, W, C), labels integer (B,)[, weights (B,)]).
        keys: Integer (B, K).
        num_classes: Number of classes.
        alpha: Parameter of the beta distribution of the shares; small values mix little.

    Returns:
        (images, labels float32 (B, num_classes)[, weights]); images keep their dtype.
    """
    from scipy import stats

    quantiles = stats.beta.ppf((np.arange(_STEPS) + 0.5) / _STEPS, alpha, alpha)
    share = tf.gather(tf.constant(quantiles, tf.float32), stateless_random.integers(keys, _MIX, 1, 0, _STEPS - 1)[:, 0])
    images, labels, *weights = batch
    mixed = _mix(tf.cast(images, tf.float32), share[:, None, None, None])
    mixed = tf.cast(mixed if images.dtype.is_floating else tf.round(mixed), images.dtype)
    return (mixed, _mix(tf.one_hot(labels, num_classes), share[:, None]), *(_mix(w, share) for w in weights))


def _mix(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return values * share + tf.roll(values, 1, 0) * (1 - share)
