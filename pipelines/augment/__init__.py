"""Augmentation of batches, keyed by example, and policies. Importing this package does not import TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoobase.importing import lazy_attributes

if TYPE_CHECKING:
    from pipelines.augment.ops import FILLS, Op, compose, cutout, flip_horizontal, gaussian_noise, on_images, shift
    from pipelines.augment.policies import box_policy, mask_policy, policy

__all__ = [
    "FILLS",
    "Op",
    "box_policy",
    "compose",
    "cutout",
    "flip_horizontal",
    "gaussian_noise",
    "mask_policy",
    "on_images",
    "policy",
    "shift",
]


__getattr__ = lazy_attributes(__name__, __file__)
