"""Policies of augmentation: by name, and in words such as "rotation=15,zoom=0.1,flip"."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pipelines.augment import affine, mixup
from pipelines.augment.ops import Op, cutout, flip_horizontal, gaussian_noise, on_images, shift
from pipelines.errors import USAGE, DataError

WARPS = ("rotation", "width_shift", "height_shift", "shear", "zoom", "flip", "fill", "value")
LIGHTS = ("brightness", "contrast")
OTHERS = ("cutout", "noise", "mixup")
WORDS = (*WARPS, *LIGHTS, *OTHERS)
NAMED = {
    "photographs": "rotation=15,width_shift=0.1,height_shift=0.1,shear=5,zoom=0.15,flip,fill=reflect,"
    "brightness=0.1,contrast=0.2",
}
NAMED |= {"flowers": NAMED["photographs"], "skin_lesions": NAMED["photographs"].replace("15", "180", 1)}
NAMED["landmarks"] = NAMED["photographs"].replace("rotation=15", "rotation=5")
POLICIES: dict[str, tuple[Op, ...]] = {
    "none": (),
    "flip": (flip_horizontal,),
    "shift": (shift,),
    "cutout": (cutout,),
    "noise": (gaussian_noise,),
    "flip_shift": (flip_horizontal, shift),
    "flip_cutout": (flip_horizontal, cutout),
    "flip_shift_cutout": (flip_horizontal, shift, cutout),
}


def is_words(text: str) -> bool:
    """Whether a policy is told in words: named ones, or settings."""
    return text in NAMED or "=" in text or "," in text or text in WORDS


def policy_of_words(text: str, num_classes: int | None = None) -> Callable[[Any, tf.Tensor], Any]:
    """Return what `feed(augment=...)` takes for words such as "rotation=15,zoom=0.1,flip,fill=reflect".

    Args:
        text: A name of `NAMED`, or settings: rotation and shear in degrees; width_shift, height_shift, zoom,
            brightness, contrast and cutout as shares; flip; fill (and value); noise in units of pixels; mixup (alpha).
        num_classes: Of the labels, for mixup.

    Raises:
        DataError: An unknown word, with the nearest, or a value that is no number.
    """
    settings = _settings(NAMED.get(text, text))
    ops = []
    if warped := {k: v for k, v in settings.items() if k in WARPS}:
        ops.append(functools.partial(affine.warp, **warped))
    if lit := {k: v for k, v in settings.items() if k in LIGHTS}:
        ops.append(functools.partial(affine.light, **lit))
    if "noise" in settings:
        ops.append(functools.partial(gaussian_noise, stddev=settings["noise"]))
    if "cutout" in settings:
        ops.append(functools.partial(cutout, fraction=settings["cutout"]))
    moved = on_images(*ops)
    if "mixup" not in settings:
        return moved
    if num_classes is None:
        raise DataError("mixup mixes labels too, and there are none here", USAGE)
    return lambda batch, keys: mixup.mixup(moved(batch, keys), keys, num_classes=num_classes, alpha=settings["mixup"])


def without_mixup(text: str) -> str:
    """Return a policy with its mixup taken away: what mixes labels cannot be cached by picture."""
    kept = [part for part in NAMED.get(text, text).split(",") if part.strip().partition("=")[0] != "mixup"]
    return ",".join(kept) or "none"


def _settings(text: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for setting in filter(None, (part.strip() for part in text.split(","))):
        word, _, value = setting.partition("=")
        if word not in WORDS:
            near = difflib.get_close_matches(word, (*WORDS, *NAMED), cutoff=0.4) or list(WORDS)
            raise DataError(f'there is no augmentation "{word}"; did you mean {" or ".join(near)}?', USAGE)
        settings[word] = _value(word, value)
    if settings.get("fill", "nearest") not in affine.FILLS:
        raise DataError(f'fill "{settings["fill"]}" is not one of {", ".join(affine.FILLS)}', USAGE)
    return settings


def _value(word: str, value: str) -> Any:
    if word in ("flip", "fill"):
        return True if word == "flip" else value
    try:
        number = float(value)
    except ValueError:
        raise DataError(f'augmentation "{word}" wants a number, such as {word}=0.1, not "{value}"', USAGE) from None
    most = 180 if word in ("rotation",) else 60 if word == "shear" else 255 if word in ("noise", "value") else 0.9
    low = 1e-3 if word == "mixup" else 0
    if not low <= number <= (10 if word == "mixup" else most):
        raise DataError(f'augmentation "{word}={value}" is outside {low:g} to {most:g}', USAGE)
    return number


def policy(name: str, num_classes: int | None = None) -> Callable[[Any, tf.Tensor], Any] | None:
    """Return what `feed(augment=...)` takes for a named policy.

    Args:
        name: One of `POLICIES`, or words as of `pipelines.augment.policies`, such as "rotation=15,zoom=0.1,flip".
        num_classes: Of the labels, for a policy that mixes them.

    Returns:
        (batch, keys) -> batch, which changes the images x of a batch (x, y[, weight]), or the batch where it is a
        tensor of images; None for "none".

    Raises:
        DataError: The name is unknown; the nearest are named.
    """
    if name not in POLICIES and is_words(name):
        return policy_of_words(name, num_classes)
    if name not in POLICIES:
        near = difflib.get_close_matches(name, (*POLICIES, *NAMED), cutoff=0.4) or list(POLICIES)
        raise DataError(f'there is no augmentation "{name}"; did you mean {" or ".join(near)}?', USAGE)
    return on_images(*POLICIES[name]) if POLICIES[name] else None
