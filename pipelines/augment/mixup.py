"""Mixup: examples that are part one picture, part another, and so are their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import stateless_random

_MIX = 7  # salt, beside those of `pipelines.augment`
_STEPS = 1024


def mixup(batch: tuple[Any, ...], keys: tf.Tensor, *, num_classes: int, alpha: float = 0.2) -> tuple[Any, ...]:
    """Mix each example with the one before it in the batch.

    The share is drawn by the example's key; the partner is a matter of the batch, the same in every run of an epoch.
    Reference: Zhang 2018, arXiv:1710.09412.

    Args:
        batch: (images (B, H, W, C), labels integer (B,)[, weights (B,)]).
        keys: Integer (B, K).
        num_classes: Of the labels.
        alpha: Of the beta distribution from which the shares come; small ones mix little.

    Returns:
        (images, labels float32 (B, num_classes)[, weights]); images have the type that they had.
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
