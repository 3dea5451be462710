"""Augmentation policies: settings such as "rotation=15,zoom=0.1,flip"."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from pipelines.augment import affine, ops
from pipelines.augment.ops import (
    Op,
    compose,
    cutout,
    flip_horizontal,
    gaussian_noise,
    is_flipped,
    offsets,
    on_images,
    shift,
)
from pipelines.images import IGNORE, boxes
from zoobase import suggestion
from zoobase.errors import USAGE, DataError

WARPS = ("rotation", "width_shift", "height_shift", "shear", "zoom", "flip", "fill", "value")
LIGHTS = ("brightness", "contrast")
AMOUNTS = {"shift": 0.1, "cutout": 0.3, "noise": 8.0}  # if the setting has no value
SETTINGS = (*WARPS, *LIGHTS, *AMOUNTS, "mixup")
NAMED = {
    "photographs": "rotation=15,width_shift=0.1,height_shift=0.1,shear=5,zoom=0.15,flip,fill=reflect,"
    "brightness=0.1,contrast=0.2"
}
NAMED |= {"flowers": NAMED["photographs"], "skin_lesions": NAMED["photographs"].replace("15", "180", 1)}
NAMED["landmarks"] = NAMED["photographs"].replace("rotation=15", "rotation=5")


def _ops(settings: Mapping[str, Any]) -> tuple[Op, ...]:
    """Return the operations on images of settings, in the order in which they are applied."""
    ops = []
    warp_settings = {k: v for k, v in settings.items() if k in WARPS}
    if warp_settings.keys() == {"flip"}:
        ops.append(flip_horizontal)  # exact, and faster than an affine map
    elif warp_settings:
        ops.append(functools.partial(affine.warp, **warp_settings))
    if "shift" in settings:
        ops.append(functools.partial(shift, fraction=settings["shift"]))
    if light_settings := {k: v for k, v in settings.items() if k in LIGHTS}:
        ops.append(functools.partial(affine.adjust_light, **light_settings))
    if "noise" in settings:
        ops.append(functools.partial(gaussian_noise, stddev=settings["noise"]))
    if "cutout" in settings:
        ops.append(functools.partial(cutout, fraction=settings["cutout"]))
    return tuple(ops)


def without_mixup(text: str) -> str:
    """Return a policy without mixup, whose results cannot be cached by image."""
    settings = [part for part in NAMED.get(text, text).split(",") if part.strip().partition("=")[0] != "mixup"]
    return ",".join(settings) or "none"


def _settings(text: str) -> dict[str, Any]:
    """Return the settings of a policy by name; {} for "none"."""
    settings: dict[str, Any] = {}
    parts = () if text == "none" else (part.strip() for part in NAMED.get(text, text).split(","))
    for setting in filter(None, parts):
        name, _, value = setting.partition("=")
        if name not in SETTINGS:
            raise DataError(f'there is no augmentation "{name}"; {suggestion(name, (*SETTINGS, *NAMED))}', USAGE)
        settings[name] = _value(name, value)
    if settings.get("fill", "nearest") not in affine.FILLS:
        raise DataError(f'fill "{settings["fill"]}" is not one of {", ".join(affine.FILLS)}', USAGE)
    return settings


def _value(name: str, value: str) -> Any:
    if name in ("flip", "fill"):
        return True if name == "flip" else value
    if not value and name in AMOUNTS:
        return AMOUNTS[name]
    try:
        number = float(value)
    except ValueError:
        raise DataError(f'augmentation "{name}" needs a number, such as {name}=0.1, not "{value}"', USAGE) from None
    largest = 180 if name in ("rotation",) else 60 if name == "shear" else 255 if name in ("noise", "value") else 0.9
    low = 1e-3 if name == "mixup" else 0
    if not low <= number <= (10 if name == "mixup" else largest):
        raise DataError(f'augmentation "{name}={value}" is outside {low:g} to {largest:g}', USAGE)
    return number


def policy(name: str, num_classes: int | None = None) -> Callable[[Any, tf.Tensor], Any] | None:
    """Return the argument of `feed(augment=...)` for a policy.

    Args:
        name: "none", a name of `NAMED`, or settings such as "rotation=15,zoom=0.1,flip": rotation and shear in
            degrees; width_shift, height_shift, zoom, brightness, contrast, shift (by whole pixels) and cutout as
            fractions; flip; fill (and value); noise in pixel values; mixup (alpha).
        num_classes: Number of classes, for a policy that mixes labels.

    Returns:
        (batch, keys) -> batch, which changes the images x of a batch (x, y[, weight]), or a batch that is a tensor of
        images; None for "none".

    Raises:
        DataError: A setting is unknown, or a value is not a number.

    Example:
        >>> augment = policy("rotation=15,zoom=0.1,flip")
        >>> images, keys = tf.zeros((2, 8, 8, 3)), tf.constant([[0, 0, 0], [0, 0, 1]])
        >>> augment(images, keys).shape
        TensorShape([2, 8, 8, 3])
    """
    settings = _settings(name)
    if not settings:
        return None
    augment = on_images(*_ops(settings))
    if "mixup" not in settings:
        return augment
    if num_classes is None:
        raise DataError("mixup needs labels, and this dataset has none", USAGE)
    return lambda batch, keys: ops.mixup(augment(batch, keys), keys, num_classes=num_classes, alpha=settings["mixup"])


def mask_policy(name: str, ignore: int = IGNORE) -> Callable[[Any, tf.Tensor], Any] | None:
    """Return the argument of `feed(augment=...)` for a policy of images and their masks.

    Geometric operations move both alike, masks by nearest neighbours; where an operation fills with a constant, the
    mask is ignored. Other operations change the images only.

    Args:
        name: As in `policy`.
        ignore: The label of pixels that are ignored.

    Returns:
        (batch, keys) -> batch, for batches (images (B, H, W, C), masks uint8 (B, H, W)); None for "none".

    Raises:
        DataError: The name is unknown, or the policy mixes the labels of images.

    Example:
        >>> augment = mask_policy("rotation=15,fill=constant,brightness=0.1")
        >>> images, masks = tf.zeros((2, 8, 8, 3)), tf.zeros((2, 8, 8), tf.uint8)
        >>> _, moved = augment((images, masks), tf.constant([[0, 0, 0], [0, 0, 1]]))
        >>> moved.shape
        TensorShape([2, 8, 8])
    """
    settings = _settings(name)
    if "mixup" in settings:
        raise DataError("mixup mixes whole images, and masks cannot be mixed; omit it", USAGE)
    ops = _ops(settings)
    if not ops:
        return None
    on_image, on_mask = compose(*ops), compose(*filter(None, (_for_masks(op, ignore) for op in ops)))

    def augment(batch: tuple, keys: tf.Tensor) -> tuple:
        images, masks, *others = batch
        return on_image(images, keys), on_mask(masks[..., None], keys)[..., 0], *others

    return augment


def _for_masks(op: Op, ignore: int) -> Op | None:
    """Return the same geometric operation for masks; None for an operation that leaves pixels in their places."""
    function = op.func if isinstance(op, functools.partial) else op
    if function is affine.warp:
        return functools.partial(op, interpolation="nearest", value=ignore)
    if function is shift:
        return functools.partial(op, value=ignore)
    return op if function is flip_horizontal else None


def box_policy(name: str) -> Callable[[Any, tf.Tensor], Any] | None:
    """Return the argument of `feed(augment=...)` for a policy of images and the boxes of their objects.

    Geometric operations move both alike; an object of which less than a quarter remains in the image is none any more.
    Other operations change the images only.

    Args:
        name: As in `policy`.

    Returns:
        (batch, keys) -> batch, for batches (images (B, H, W, C), rows float32 (B, M, 6), as of
        `pipelines.images.boxes`); None for "none".

    Raises:
        DataError: The name is unknown, or the policy mixes images, or shows objects that have no box.

    Example:
        >>> augment = box_policy("width_shift=0.2,zoom=0.2,flip,brightness=0.1")
        >>> images, rows = tf.zeros((1, 8, 8, 3)), tf.constant([[[1.0, 2.0, 5.0, 6.0, 0.0, 0.0]]])
        >>> augment((images, rows), tf.constant([[0, 0, 0]]))[1].shape
        TensorShape([1, 1, 6])
    """
    settings = _settings(name)
    if "mixup" in settings:
        raise DataError("mixup mixes whole images, and their boxes cannot be mixed; omit it", USAGE)
    if settings.get("fill") in ("reflect", "wrap"):
        raise DataError(
            f"fill={settings['fill']} repeats objects at the edges, without their boxes: use constant or nearest", USAGE
        )
    ops = _ops(settings)
    if not ops:
        return None
    on_image = compose(*ops)

    def augment(batch: tuple, keys: tf.Tensor) -> tuple:
        images, rows, *others = batch
        height, width = tf.unstack(tf.shape(images)[1:3])
        for op in ops:
            motion = _motion(op, keys, height, width)
            rows = rows if motion is None else tf.ensure_shape(boxes.moved(rows, motion, height, width), rows.shape)
        return on_image(images, keys), rows, *others

    return augment


def _motion(op: Op, keys: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor | None:
    """Return where a geometric operation takes pixels from, float64 (B, 2, 3) as `affine.matrices`; None for others."""
    function, given = (op.func, op.keywords) if isinstance(op, functools.partial) else (op, {})
    if function is affine.warp:
        geometry = {k: v for k, v in given.items() if k not in ("fill", "value", "interpolation")}
        return affine.matrices(keys, height, width, **geometry)
    if function is shift:
        down, right = tf.unstack(tf.cast(offsets(keys, height, width, **given), tf.float64), axis=1)
        return _matrix(tf.ones_like(right), -right, -down)
    if function is flip_horizontal:
        sign = tf.where(is_flipped(keys), tf.constant(-1.0, tf.float64), 1.0)
        return _matrix(sign, (1 - sign) / 2 * tf.cast(width - 1, tf.float64), tf.zeros_like(sign))
    return None


def _matrix(xx: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Return matrices (B, 2, 3) that scale x, and shift x and y."""
    zero, one = tf.zeros_like(xx), tf.ones_like(xx)
    return tf.reshape(tf.stack([xx, zero, x, zero, one, y], axis=1), [-1, 2, 3])
