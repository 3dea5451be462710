"""EfficientNet-Lite, our own: ImageNet weights for Lite0 from its package."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.backbones import Backbone

if TYPE_CHECKING:
    import keras

TINY = "efficientnet_lite_tiny"  # for tests: seconds instead of minutes, no pretrained weights
NAMES = (*(f"efficientnet_lite{i}" for i in range(5)), TINY)


def get(name: str) -> Backbone:
    """Return one of `NAMES`."""
    pretrain = _pretrain if name == "efficientnet_lite0" else None
    return Backbone(functools.partial(_build, name), pretrain, "ImageNet" if pretrain else "")


def _build(name: str, image_shape: Sequence[int], level: str) -> keras.Model:
    from zoo.models import efficientnet_lite

    width, depth = (0.25, 0.3) if name == TINY else efficientnet_lite.VARIANTS[name][:2]
    return efficientnet_lite.features("backbone", image_shape, width, depth, level)


def _pretrain(model: keras.Model) -> None:
    from zoo import registry
    from zoo.weights import efficientnet_lite0

    whole = registry.get_builder("efficientnet_lite0")()
    whole.load_weights(efficientnet_lite0.fetch())
    held = {v.path: v for v in whole.weights}
    for variable in model.weights:
        variable.assign(held[variable.path])
