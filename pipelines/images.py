"""Image files and encoded images into pixels.

`decode_image` is the one preprocessing of encoded images: the feed, and the `bytes` endpoint of an exported model, call
this very function. `read` is for files of a stranger, of any size and mode.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.errors import DAMAGED, MISSING, DataError


def decode_image(encoded: tf.Tensor, height: int, width: int, channels: int = 3) -> tf.Tensor:
    """Decode JPEG, PNG, GIF (first frame) or BMP and scale it to a size; pure TensorFlow, for graphs.

    Grey, RGB, RGBA (on white) and CMYK are understood. EXIF orientation is not in TensorFlow's decoders: see `read`.

    Args:
        encoded: Scalar string.
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        channels: 1 (grey by ITU-R 601 luma) or 3.

    Returns:
        uint8 (height, width, channels).
    """
    pixels = tf.io.decode_image(encoded, channels=0, expand_animations=False)
    pixels = _on_white(tf.cast(pixels, tf.float32), channels)
    if channels == 1:
        pixels = tf.cond(
            tf.shape(pixels)[-1] == 3,
            lambda: tf.reduce_sum(pixels * tf.constant([0.299, 0.587, 0.114]), axis=-1, keepdims=True),
            lambda: pixels,
        )
    else:
        pixels = tf.broadcast_to(pixels, tf.concat([tf.shape(pixels)[:2], [3]], axis=0))
    pixels.set_shape([None, None, channels])
    return to_size(pixels, height, width)


def _on_white(pixels: tf.Tensor, channels: int) -> tf.Tensor:
    """Composite grey+alpha (2) and RGBA (4) on white; (H, W, 1..4) float32 in [0, 255] -> (H, W, 1 or 3)."""
    depth = tf.shape(pixels)[-1]

    def composite() -> tf.Tensor:
        alpha = pixels[..., -1:] / 255.0
        return pixels[..., :-1] * alpha + 255.0 * (1.0 - alpha)

    return tf.cond((depth == 2) | (depth == 4), composite, lambda: pixels)


def to_size(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Scale pixels (H, W, C) float32 in [0, 255] to uint8 (height, width, C): bilinear, antialiased when shrinking.

    An image that has the size already is returned value for value.
    """
    same = tf.reduce_all(tf.shape(pixels)[:2] == [height, width])
    scaled = tf.cond(
        same, lambda: pixels, lambda: tf.image.resize(pixels, [height, width], method="bilinear", antialias=True)
    )
    scaled = tf.ensure_shape(scaled, [height, width, pixels.shape[-1]])
    return tf.cast(tf.clip_by_value(tf.round(scaled), 0.0, 255.0), tf.uint8)


def read(path: str | os.PathLike, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Read an image file of any size and mode as a model takes it.

    EXIF orientation is applied, transparency is put on white, CMYK, palette, 16-bit and grey images are converted.

    Args:
        path: The file.
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        channels: 1 (grey) or 3.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: There is no such file, it is no image, it is damaged, or it is too large to be honest.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such image file", MISSING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                mode = "L" if channels == 1 else "RGB"
                pixels = np.asarray(_flat(ImageOps.exif_transpose(image)).convert(mode), np.float32)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DataError(f"{path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels; shrink it first", DAMAGED) from None
    except UnidentifiedImageError:
        what = "is empty" if path.stat().st_size == 0 else "is not an image that Pillow can read"
        raise DataError(f"{path}: {what}", DAMAGED) from None
    except (OSError, SyntaxError, ValueError) as e:  # Pillow raises SyntaxError for a broken PNG
        raise DataError(f"{path}: damaged image ({e})", DAMAGED) from None
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return to_size(tf.constant(pixels), height, width).numpy()


def _flat(image: Image.Image) -> Image.Image:
    """Return an 8-bit image without transparency."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray((np.asarray(image).astype(np.float64) / 257).round().clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray(np.asarray(image).clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image
