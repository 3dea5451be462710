"""Pictures: a stranger's file of any size and mode, and encoded bytes inside a graph."""

from __future__ import annotations

import os
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.errors import MISSING, DataError

MAX_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb: 256 MB of RGB


def read(path: str | os.PathLike, height: int, width: int, channels: int) -> np.ndarray:
    """Read an image file of any size, format and mode that Pillow knows.

    EXIF orientation is respected, transparency is laid on white, 16 bits become 8, the first frame is taken, and the
    picture is resized to fill the target (its aspect is not kept), with antialiasing.

    Args:
        path: The file.
        height: Rows wanted.
        width: Columns wanted.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: There is no such file, it is no image, it is damaged, or it is too large.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:  # MAX_PIXELS is stricter on bombs
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            plain = _flat(ImageOps.exif_transpose(image)).convert("L" if channels == 1 else "RGB")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", MISSING) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; make it smaller first") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is empty or not an image; give a JPEG or PNG file") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as an image ({error})") from error
    return np.asarray(plain.resize((width, height), Image.Resampling.BILINEAR)).reshape(height, width, channels)


def _flat(image: Image.Image) -> Image.Image:
    """Bring a picture to 8 bits without transparency; Pillow's own conversion would clip 16 bits, not scale them."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def decode_image(encoded: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """Decode JPEG, PNG, GIF (first frame) or BMP in a graph; transparency is laid on white, CMYK becomes RGB.

    EXIF orientation is not seen here (TensorFlow's decoders ignore it); `read` respects it.

    Args:
        encoded: String scalar, the bytes of the file.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 (H, W, channels).

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no such image, when the graph runs.
    """
    image = tf.io.decode_image(encoded, channels=0, expand_animations=False)
    image.set_shape([None, None, None])
    depth = tf.shape(image)[-1]
    transparent = depth % 2 == 0  # grey and alpha, or RGB and alpha
    alpha = tf.cond(transparent, lambda: tf.cast(image[..., -1:], tf.float32) / 255, lambda: tf.ones([1, 1, 1]))
    colour = tf.cast(image[..., : depth - tf.cast(transparent, tf.int32)], tf.float32)
    colour = colour * alpha + 255 * (1 - alpha)
    rgb = tf.broadcast_to(colour, [tf.shape(image)[0], tf.shape(image)[1], 3])
    if channels == 1:
        rgb = tf.reduce_sum(rgb * [0.299, 0.587, 0.114], axis=-1, keepdims=True)  # ITU-R 601, as Pillow's "L"
    return tf.ensure_shape(tf.cast(tf.round(rgb), tf.uint8), [None, None, channels])


def resize(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resize uint8 (..., H, W, C) to uint8 (..., height, width, C): bilinear, antialiased, aspect not kept."""
    resized = tf.image.resize(images, [height, width], antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
