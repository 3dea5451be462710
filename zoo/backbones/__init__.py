"""Pretrained networks that others are built on: pixels in [0, 255] in, one embedding an image out.

A backbone is a name: `efficientnet_lite0` (ours), one of `keras.applications`, or the place of a SavedModel that
`tensorflow_hub` reads (a handle, or a folder).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import unknown

if TYPE_CHECKING:
    import keras

LEVELS = ("last", "middle")


@dataclass(frozen=True)
class Backbone:
    """One network.

    Attributes:
        build: (image shape, level) -> model of fresh weights: image (B, H, W, 3) in [0, 255] -> embedding (B, D).
        pretrain: Puts pretrained weights into such a model; None where `build` has done so, or there are none.
        origin: Where the pretrained weights come from, in words; "" where there are none.
    """

    build: Callable[[Sequence[int], str], keras.Model]
    pretrain: Callable[[keras.Model], None] | None
    origin: str


def get(name: str) -> Backbone:
    """Return a backbone by name; UsageError with the nearest for an unknown one."""
    from zoo.backbones import applications, lite

    for family in (lite, applications):
        if name in family.NAMES:
            return family.get(name)
    if name.startswith("https://") or Path(name).is_dir():
        from zoo.backbones import hub

        return hub.get(name)
    raise unknown("backbone", name, (*lite.NAMES, *applications.NAMES))
