"""Pictures: from the bytes of a file to pixels of one size, by one function for the feed, the export and `read`.

EXIF orientation is applied in the graph: TensorFlow's decoders ignore it, and most photographs of telephones have one.
Reference: EXIF 2.32 (CIPA DC-008-2019), tag 0x0112; for PNG the eXIf chunk of its third edition.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.errors import MISSING, USAGE, DataError

MAX_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb: 256 MB of RGB
NATIVE = ("JPEG", "MPO", "PNG", "GIF", "BMP")  # formats, as Pillow calls them, that TensorFlow decodes
FITS = ("stretch", "crop", "pad")
_plain = tf.autograph.experimental.do_not_convert  # AutoGraph has nothing to do here, and takes seconds for it
_RATIOS = (1, 2, 4, 8)  # the scales of the discrete cosine transform at which a JPEG can be decoded
_HEAD = 4096  # bytes of the file that are searched: EXIF stands at the beginning, its first directory at its beginning
_ENTRIES = r"\C\C(?:\C{12})*?"  # number of the directory's entries, and those before ours
_PATTERN = (
    r"(?s)^\C*?(?:Exif\x00\x00|eXIf)(?:"
    rf"II\*\x00\x08\x00\x00\x00{_ENTRIES}\x12\x01\x03\x00\x01\x00\x00\x00(\C)"
    rf"|MM\x00\*\x00\x00\x00\x08{_ENTRIES}\x01\x12\x00\x03\x00\x00\x00\x01\x00(\C)"
    r")\C*$"
)


@_plain
def decode(encoded: tf.Tensor, height: int, width: int, channels: int = 3, fit: str = "stretch") -> tf.Tensor:
    """Decode an image file to pixels of one size, in a graph.

    JPEG (grey, RGB and CMYK, at the smallest DCT scale that still covers the target), PNG, GIF (first frame) and BMP.
    EXIF orientation is respected, transparency is laid on white, 16 bits become 8.

    Args:
        encoded: String scalar, the bytes of the file.
        height: Rows wanted.
        width: Columns wanted.
        channels: 1 for grey, 3 for RGB.
        fit: "stretch" fills the target without regard to the aspect; "crop" keeps it and cuts the middle out; "pad"
            keeps it and puts black beside.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: The fit is unknown.
        tf.errors.InvalidArgumentError: The bytes are no such image, when the graph runs.
    """
    if fit not in FITS:
        raise DataError(f'fit "{fit}" is not one of {", ".join(FITS)}', USAGE)
    turn = orientation(encoded)
    decoded = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: _decode_jpeg(encoded, height, width, turn, fit),
        lambda: decode_image(encoded),
    )
    image = _fit(upright(tf.ensure_shape(decoded, [None, None, 3]), turn), height, width, fit)
    return tf.ensure_shape(grey(image) if channels == 1 else image, [height, width, channels])


def _decode_jpeg(encoded: tf.Tensor, height: int, width: int, turn: tf.Tensor, fit: str) -> tf.Tensor:
    size = tf.io.extract_jpeg_shape(encoded)[:2]
    size = tf.where(turn >= 5, tf.reverse(size, [0]), size)
    scales = tf.cast(size, tf.float32) / [height, width]
    shrink = tf.reduce_max(scales) if fit == "pad" else tf.reduce_min(scales)
    place = tf.reduce_sum(tf.cast(shrink >= _RATIOS[1:], tf.int32))
    return tf.switch_case(place, [lambda r=ratio: tf.io.decode_jpeg(encoded, 3, ratio=r) for ratio in _RATIOS])


def _fit(image: tf.Tensor, height: int, width: int, fit: str) -> tf.Tensor:
    """Bring uint8 (H, W, C) to (height, width, C)."""
    if fit == "stretch":
        return resize(image, height, width)
    size = tf.shape(image)[:2]
    scales = tf.cast(size, tf.float64) / [height, width]
    if fit == "crop":
        part = tf.cast(tf.round(tf.reduce_min(scales) * [height, width]), tf.int32)
        part = tf.clip_by_value(part, 1, size)
        (top, left), (rows, columns) = tf.unstack((size - part) // 2), tf.unstack(part)
        return resize(image[top : top + rows, left : left + columns], height, width)
    part = tf.cast(tf.round(tf.cast(size, tf.float64) / tf.reduce_max(scales)), tf.int32)
    rows, columns = tf.unstack(tf.clip_by_value(part, 1, [height, width]))
    before = [(height - rows) // 2, (width - columns) // 2]
    return tf.image.pad_to_bounding_box(resize(image, rows, columns), *before, height, width)


@_plain
def decode_image(encoded: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """Decode JPEG, PNG, GIF (first frame) or BMP at its own size; transparency is laid on white, CMYK becomes RGB.

    EXIF orientation is not seen here; `decode` and `read` respect it.

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
    colour = tf.cond(depth % 2 == 0, lambda: _on_white(image), lambda: image)  # grey and alpha, or RGB and alpha
    rgb = tf.broadcast_to(colour, [tf.shape(image)[0], tf.shape(image)[1], 3])
    return tf.ensure_shape(grey(rgb) if channels == 1 else rgb, [None, None, channels])


def decode_upright(encoded: tf.Tensor) -> tf.Tensor:
    """Decode an image file at its own size, its EXIF orientation respected: string scalar -> uint8 (H, W, 3)."""
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
    """Resize uint8 (..., H, W, C) to uint8 (..., height, width, C): bilinear, the aspect is not kept.

    Antialiased where it shrinks by more than two: below that, two neighbours are all that a pixel has.
    """
    size, wanted = tf.shape(images)[-3:-1], tf.stack([height, width])
    shrink = tf.reduce_max(tf.cast(size, tf.float32) / tf.cast(wanted, tf.float32))

    def resized(antialias: bool) -> tf.Tensor:
        pixels = tf.image.resize(images, wanted, antialias=antialias)
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    place = tf.where(tf.reduce_all(size == wanted), 0, tf.where(shrink > 2, 2, 1))
    return tf.switch_case(place, [lambda: images, lambda: resized(False), lambda: resized(True)])


def read(path: str | os.PathLike, height: int, width: int, channels: int, fit: str = "stretch") -> np.ndarray:
    """Read an image file of any size and mode; what TensorFlow cannot decode (WebP, TIFF, ...), Pillow brings to PNG.

    Args:
        path: The file.
        height: Rows wanted.
        width: Columns wanted.
        channels: 1 for grey, 3 for RGB.
        fit: As of `decode`.

    Returns:
        uint8 (height, width, channels), what `decode` gives.

    Raises:
        DataError: There is no such file, it is no image, it is damaged, or it is too large.
    """
    with _explained(path):
        content = Path(path).read_bytes()
        if header(content) not in NATIVE:
            content = _as_png(content)
        return decode(tf.constant(content), height, width, channels, fit).numpy()


def upright_size(path: str | os.PathLike) -> tuple[int, int]:
    """Return width and height of an image file as it is looked at, its EXIF orientation respected.

    Raises:
        DataError: As of `read`, as far as the header of the file tells.
    """
    with _explained(path), warnings.catch_warnings(action="ignore"), Image.open(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        return image.size[::-1] if image.getexif().get(0x0112) in (5, 6, 7, 8) else image.size


@contextlib.contextmanager
def _explained(path: str | os.PathLike) -> Iterator[None]:
    """Turn whatever reading an image raises into the sentence of a DataError."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", MISSING) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; make it smaller first") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is empty or not an image; give a JPEG or PNG file") from error
    except (OSError, SyntaxError, ValueError, EOFError, tf.errors.OpError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
        raise DataError(f"{path} cannot be read as an image ({text})") from error


def reason(error: Exception) -> str:
    """Return the one line of an error of a decoder that tells what is wrong."""
    text = str(getattr(error, "message", "") or error).partition(" [Op:")[0].strip()
    return (text.splitlines() or [type(error).__name__])[0].replace("{{function_node ", "").rpartition("}} ")[2]


def header(content: bytes) -> str:
    """Return the format that the header of a file tells, as Pillow calls it; nothing is decoded.

    Raises:
        UnidentifiedImageError: It is no image.
        Image.DecompressionBombError: It has more than `MAX_PIXELS`.
    """
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        return image.format


def _as_png(content: bytes) -> bytes:
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
        image.load()
        plain = ImageOps.exif_transpose(image)
        if plain.mode.startswith("I;16"):  # Pillow's own conversion would clip 16 bits, not scale them
            plain = Image.fromarray((np.asarray(plain) // 257).astype(np.uint8))
        clear = plain.mode in ("LA", "PA", "RGBa", "La") or "transparency" in plain.info
        plain = plain.convert("RGBA" if clear or plain.mode == "RGBA" else "RGB")
        png = io.BytesIO()
        plain.save(png, "PNG", compress_level=1)
        return png.getvalue()


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation of an image file.

    Args:
        encoded: String scalar, the bytes of the file.

    Returns:
        int32 scalar, 1 (upright) to 8; 1 where the file says nothing or nonsense.
    """
    head = tf.strings.substr(encoded, 0, _HEAD)
    found = tf.strings.regex_replace(head, _PATTERN, r"\1\2")  # the one byte of the value, or all where nothing matches
    value = tf.cond(
        tf.equal(tf.strings.length(found), 1),
        lambda: tf.cast(tf.io.decode_raw(found, tf.uint8)[0], tf.int32),
        lambda: tf.constant(1),
    )
    return tf.where((value >= 1) & (value <= 8), value, 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn and mirror an image (H, W, C), as its orientation (int32 scalar, 1 to 8) asks for."""
    turns = (
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: tf.transpose(image, [1, 0, 2]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [1]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0, 1]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0]),
    )
    return tf.switch_case(orientation - 1, turns)
