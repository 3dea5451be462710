"""Augmentation of batches by the key of each example, and policies. Importing it does not import TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoobase.importing import lazy_attributes

if TYPE_CHECKING:
    from pipelines.augment.ops import FILLS as FILLS
    from pipelines.augment.ops import Op as Op
    from pipelines.augment.ops import compose as compose
    from pipelines.augment.ops import cutout as cutout
    from pipelines.augment.ops import flip_horizontal as flip_horizontal
    from pipelines.augment.ops import gaussian_noise as gaussian_noise
    from pipelines.augment.ops import on_images as on_images
    from pipelines.augment.ops import shift as shift
    from pipelines.augment.policies import box_policy as box_policy
    from pipelines.augment.policies import mask_policy as mask_policy
    from pipelines.augment.policies import policy as policy

_lazy = lazy_attributes(__name__, __file__)

if not TYPE_CHECKING:  # a type checker reports names that are not imported above
    __getattr__, __all__ = _lazy, sorted(_lazy.modules)
