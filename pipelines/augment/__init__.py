"""Augmentation of batches, keyed by example, and policies. Importing this package does not import TensorFlow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.augment.ops import FILLS, Op, compose, cutout, flip_horizontal, gaussian_noise, on_images, shift
    from pipelines.augment.policies import POLICIES, mask_policy, policy

__all__ = [
    "FILLS",
    "POLICIES",
    "Op",
    "compose",
    "cutout",
    "flip_horizontal",
    "gaussian_noise",
    "mask_policy",
    "on_images",
    "policy",
    "shift",
]


def __getattr__(name: str) -> Any:
    """Import names that need TensorFlow on first access (PEP 562)."""
    if name in __all__:
        module = "policies" if name in ("POLICIES", "mask_policy", "policy") else "ops"
        return getattr(importlib.import_module(f"pipelines.augment.{module}"), name)
    raise AttributeError(f"module 'pipelines.augment' has no attribute {name!r}")
