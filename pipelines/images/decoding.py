"""Decoding of image files to pixels of one size, in graphs, by one function for the feed and the export.

EXIF orientation is applied in the graph: TensorFlow's decoders ignore it, and most photographs of phones have one.
Reference: EXIF 2.32 (CIPA DC-008-2019), tag 0x0112; for PNG the eXIf chunk of its third edition.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from pipelines.images.pixels import EXIF_BYTES, EXIF_ORIENTATION, FITS, IGNORE, JPEG_SCALES
from zoobase.errors import USAGE, DataError

_plain = tf.autograph.experimental.do_not_convert  # AutoGraph is not needed here, and takes seconds


def decode(encoded: tf.Tensor, height: int, width: int, channels: int = 3, fit: str = "stretch") -> tf.Tensor:
    """Decode an image file to pixels of one size, in a graph.

    JPEG (grey, RGB and CMYK, at the smallest DCT scale that still covers the target), PNG, GIF (first frame) and BMP.
    EXIF orientation is applied, transparency is composed on white, and 16 bits are scaled to 8.

    Args:
        encoded: String scalar, the bytes of the file.
        height: Height of the result.
        width: Width of the result.
        channels: 1 for grey, 3 for RGB.
        fit: "stretch" ignores the aspect ratio; "crop" keeps it and crops the centre; "pad" keeps it and pads with
            black.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: The fit is unknown.
        tf.errors.InvalidArgumentError: The bytes are not such an image, when the graph runs.
    """
    if fit not in FITS:
        raise DataError(f'fit "{fit}" is not one of {", ".join(FITS)}', USAGE)
    return _decoder(height, width, channels, fit)(encoded)


@functools.lru_cache(maxsize=64)
def _decoder(height: int, width: int, channels: int, fit: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the function that decodes to a size; it is traced once, for all pipelines and endpoints that use it."""

    def call(encoded: tf.Tensor) -> tf.Tensor:
        exif_orientation = orientation(encoded)
        decoded = tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: _decode_jpeg(encoded, height, width, exif_orientation, fit),
            lambda: decode_image(encoded),
        )
        image = _fit(upright(tf.ensure_shape(decoded, [None, None, 3]), exif_orientation), height, width, fit, resize)
        return tf.ensure_shape(grey(image) if channels == 1 else image, [height, width, channels])

    return tf.function(call, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)


def _decode_jpeg(encoded: tf.Tensor, height: int, width: int, exif_orientation: tf.Tensor, fit: str) -> tf.Tensor:
    size = tf.io.extract_jpeg_shape(encoded)[:2]
    size = tf.where(exif_orientation >= 5, tf.reverse(size, [0]), size)
    scales = tf.cast(size, tf.float32) / [height, width]
    shrink = tf.reduce_max(scales) if fit == "pad" else tf.reduce_min(scales)
    index = tf.reduce_sum(tf.cast(shrink >= JPEG_SCALES[1:], tf.int32))
    return tf.switch_case(index, [lambda r=ratio: tf.io.decode_jpeg(encoded, 3, ratio=r) for ratio in JPEG_SCALES])


@_plain
def decode_mask(encoded: tf.Tensor, height: int, width: int, fit: str = "stretch") -> tf.Tensor:
    """Decode a mask to the geometry that `decode` gives its image, by nearest neighbours.

    Args:
        encoded: String scalar, the bytes of a grey PNG whose values are class ids.
        height: Height of the result.
        width: Width of the result.
        fit: As in `decode`; "pad" pads with `IGNORE`.

    Returns:
        uint8 (height, width).

    Raises:
        tf.errors.InvalidArgumentError: The bytes are not a PNG, when the graph runs.
    """
    mask = tf.ensure_shape(tf.io.decode_png(encoded, 1), [None, None, 1])
    difference = _fit(IGNORE - mask, height, width, fit, _resize_nearest)  # zeros, the padding, become IGNORE
    return tf.ensure_shape(IGNORE - difference, [height, width, 1])[..., 0]


def _resize_nearest(images: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    return tf.image.resize(images, tf.stack([height, width]), method="nearest")


def _fit(image: tf.Tensor, height: int, width: int, fit: str, resize: Callable[..., tf.Tensor]) -> tf.Tensor:
    """Return uint8 (H, W, C) as (height, width, C), resized by `resize`."""
    if fit == "stretch":
        return resize(image, height, width)
    size = tf.shape(image)[:2]
    (rows, columns), before = map(tf.unstack, _inner(size, height, width, fit))
    if fit == "crop":
        top, left = before
        return resize(image[top : top + rows, left : left + columns], height, width)
    return tf.image.pad_to_bounding_box(resize(image, rows, columns), *before, height, width)


def _inner(size: tf.Tensor, height: int, width: int, fit: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the size of the part that "crop" cuts out of an image, or "pad" resizes it to, and what is before it."""
    scales = tf.cast(size, tf.float64) / [height, width]
    if fit == "crop":
        inner = tf.cast(tf.round(tf.reduce_min(scales) * [height, width]), tf.int32)
        inner = tf.clip_by_value(inner, 1, size)
        return inner, (size - inner) // 2
    inner = tf.cast(tf.round(tf.cast(size, tf.float64) / tf.reduce_max(scales)), tf.int32)
    inner = tf.clip_by_value(inner, 1, [height, width])
    return inner, ([height, width] - inner) // 2


def fitted_size(size: tf.Tensor, height: int, width: int, fit: str = "stretch") -> tuple[tf.Tensor, tf.Tensor]:
    """Return start and scale, float32 (2,) each: pixel (y, x) is at `start + scale * (y, x)` of the result."""
    target, whole = tf.constant([height, width], tf.float32), tf.cast(size, tf.float32)
    if fit == "stretch":
        return tf.zeros(2), target / whole
    inner, before = (tf.cast(part, tf.float32) for part in _inner(size, height, width, fit))
    return (-before * target / inner, target / inner) if fit == "crop" else (before, inner / whole)


@_plain
def decode_image(encoded: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """Decode JPEG, PNG, GIF (first frame) or BMP at its own size; transparency is composed on white, CMYK becomes RGB.

    EXIF orientation is ignored here; `decode` and `read` apply it.

    Args:
        encoded: String scalar, the bytes of the file.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 (H, W, channels).

    Raises:
        tf.errors.InvalidArgumentError: The bytes are not such an image, when the graph runs.
    """
    image = tf.io.decode_image(encoded, channels=0, expand_animations=False)
    image.set_shape([None, None, None])
    depth = tf.shape(image)[-1]
    colour = tf.cond(depth % 2 == 0, lambda: _on_white(image), lambda: image)  # grey and alpha, or RGB and alpha
    rgb = tf.broadcast_to(colour, [tf.shape(image)[0], tf.shape(image)[1], 3])
    return tf.ensure_shape(grey(rgb) if channels == 1 else rgb, [None, None, channels])


def decode_upright(encoded: tf.Tensor) -> tf.Tensor:
    """Decode an image file at its own size and apply its EXIF orientation: string scalar -> uint8 (H, W, 3)."""
    return tf.ensure_shape(upright(decode_image(encoded), orientation(encoded)), [None, None, 3])


def _on_white(image: tf.Tensor) -> tf.Tensor:
    colour, alpha = tf.cast(image[..., :-1], tf.float32), tf.cast(image[..., -1:], tf.float32) / 255
    return tf.cast(tf.round(colour * alpha + 255 * (1 - alpha)), tf.uint8)


def grey(rgb: tf.Tensor) -> tf.Tensor:
    """Return uint8 (..., 1) of uint8 RGB (..., 3)."""
    weighted = tf.cast(rgb, tf.float32) * [0.299, 0.587, 0.114]  # ITU-R 601, as Pillow's "L"
    return tf.cast(tf.round(tf.reduce_sum(weighted, axis=-1, keepdims=True)), tf.uint8)


@_plain
def resize(images: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resize uint8 (..., H, W, C) to uint8 (..., height, width, C): bilinear, the aspect ratio is not kept.

    Antialiased if it shrinks by more than two: below that, bilinear interpolation uses every pixel.
    """
    size, target_size = tf.shape(images)[-3:-1], tf.stack([height, width])
    shrink = tf.reduce_max(tf.cast(size, tf.float32) / tf.cast(target_size, tf.float32))

    def resized(antialias: bool) -> tf.Tensor:
        pixels = tf.image.resize(images, target_size, antialias=antialias)
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    index = tf.where(tf.reduce_all(size == target_size), 0, tf.where(shrink > 2, 2, 1))
    return tf.switch_case(index, [lambda: images, lambda: resized(False), lambda: resized(True)])


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation of an image file, int32 from 1 (upright) to 8; 1 if it is missing or invalid."""
    head = tf.strings.substr(encoded, 0, EXIF_BYTES)
    # the byte of the value, or the input without a match
    match = tf.strings.regex_replace(head, EXIF_ORIENTATION, r"\1\2")
    value = tf.cond(
        tf.equal(tf.strings.length(match), 1),
        lambda: tf.cast(tf.io.decode_raw(match, tf.uint8)[0], tf.int32),
        lambda: tf.constant(1),
    )
    return tf.where((value >= 1) & (value <= 8), value, 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotate and mirror an image (H, W, C) according to its EXIF orientation (int32 scalar, 1 to 8)."""
    transforms = (
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: tf.transpose(image, [1, 0, 2]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [1]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0, 1]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0]),
    )
    return tf.switch_case(orientation - 1, transforms)
