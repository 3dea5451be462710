"""Reading of image files: without TensorFlow where that gives the same pixels, and with clear errors."""

import contextlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.images import pixels
from pipelines.sources import storage
from zoobase.errors import MISSING, DataError
from zoobase.importing import import_tensorflow

MAX_PIXELS = 89_478_485  # limit of Pillow's decompression bomb warning: 256 MB of RGB
JPEG = ("JPEG", "MPO")
NATIVE = (*JPEG, "PNG", "GIF", "BMP")  # formats that TensorFlow decodes, by their names in Pillow


def read(path: str | os.PathLike, height: int, width: int, channels: int, fit: str = "stretch") -> np.ndarray:
    """Read an image file of any size and mode; Pillow converts formats that TensorFlow cannot decode (WebP, TIFF, ...).

    Args:
        path: The file.
        height: Height of the result.
        width: Width of the result.
        channels: 1 for grey, 3 for RGB.
        fit: As in `decode`.

    Returns:
        uint8 (height, width, channels), as `decode` returns it.

    Raises:
        DataError: There is no such file, it is not an image, it is damaged, or it is too large.
    """
    with _as_data_error(path):
        storage.check_size(Path(path))
        content = Path(path).read_bytes()
        if header(content)[0] not in NATIVE:
            content = _as_png(content)
        image = _exact(content, height, width, fit) if fit in pixels.FITS else None
        if image is not None:
            return pixels.grey(image) if channels == 1 else image
        tf = import_tensorflow()

        from pipelines.images import decoding

        try:
            return decoding.decode(tf.constant(content), height, width, channels, fit).numpy()
        except tf.errors.OpError as error:
            raise ValueError(reason(error)) from error


def _exact(content: bytes, height: int, width: int, fit: str) -> np.ndarray | None:
    """Return the pixels of a file that Pillow decodes to the same bits as TensorFlow, uint8 (height, width, 3)."""
    # None for others: full-size JPEGs, for which TensorFlow chooses a faster transform that Pillow does not offer; 16
    # bits; one transparent colour; GIF and BMP; and damaged files, of which TensorFlow's decoders say what is wrong.
    orientation = pixels.orientation(content)
    decoded = None
    with contextlib.suppress(OSError, SyntaxError, ValueError, EOFError, struct.error), _opened(content) as image:
        if image.format in JPEG:
            size = image.size if orientation >= 5 else image.size[::-1]
            decoded = _reduced_jpeg(image, pixels.jpeg_scale(size, height, width, fit))
        elif image.format == "PNG" and _has_valid_checksums(content):
            decoded = _png(image, bits=content[24])  # in the header, which is the first part
    if decoded is None:
        return None
    return pixels.fitted(pixels.upright(decoded, orientation), height, width, fit)


def _has_valid_checksums(png: bytes) -> bool:
    """Return whether all chunks of a PNG have their checksum: TensorFlow refuses some that Pillow does not check."""
    start, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", png, start)
        end = start + 8 + length
        if struct.unpack_from(">I", png, end) != (zlib.crc32(png[start + 4 : end]),):
            return False
        start = end + 4
    return True


def _reduced_jpeg(image: Image.Image, scale: int) -> np.ndarray | None:
    if image.mode not in ("L", "RGB") or scale < 4:  # at a quarter and an eighth there is one transform only
        return None
    scaled = tuple(-(-side // scale) for side in image.size)
    image.draft(None, tuple(side // scale for side in image.size))
    return np.asarray(image.convert("RGB")) if image.size == scaled else None


def _png(image: Image.Image, bits: int) -> np.ndarray | None:
    if bits == 16 or getattr(image, "is_animated", False) or (image.mode != "P" and "transparency" in image.info):
        return None
    if image.mode in ("LA", "RGBA") or "transparency" in image.info:
        return pixels.on_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB")) if image.mode in ("1", "L", "P", "RGB") else None


def upright_size(path: str | os.PathLike) -> tuple[int, int]:
    """Return width and height of an image file as displayed, with its EXIF orientation applied.

    Raises:
        DataError: As in `read`, as far as the header of the file shows.
    """
    with _as_data_error(path):
        storage.check_size(Path(path))
    with _as_data_error(path), _opened(path) as image:
        return _upright(image)


@contextlib.contextmanager
def _opened(file: str | os.PathLike | bytes) -> Iterator[Image.Image]:
    """Open an image file, or the bytes of one, without decoding it; raises as `header`."""
    file = io.BytesIO(file) if isinstance(file, bytes) else file
    with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        yield image


def _upright(image: Image.Image) -> tuple[int, int]:
    """Return width and height of an image as displayed: EXIF orientations 5 to 8 are rotated by a quarter."""
    return image.size[::-1] if image.getexif().get(0x0112) in (5, 6, 7, 8) else image.size


@contextlib.contextmanager
def _as_data_error(path: str | os.PathLike) -> Iterator[None]:
    """Turn errors of reading an image into a DataError."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", MISSING) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; make it smaller first") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is empty or not an image; give a JPEG or PNG file") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
        raise DataError(f"{path} cannot be read as an image ({text})") from error


def reason(error: Exception) -> str:
    """Return the line of a decoder's error that describes the problem."""
    text = str(getattr(error, "message", "") or error).partition(" [Op:")[0].strip()
    lines = [line for line in text.splitlines() if line.strip() and "[[" not in line] or [type(error).__name__]
    line = lines[-1] if lines[0].startswith("Graph execution error") else lines[0]  # of `predict`, after a traceback
    return line.replace("{{function_node ", "").rpartition("}} ")[2]


def header(content: bytes) -> tuple[str, tuple[int, int, int]]:
    """Return the format in the header of a file, by its name in Pillow, and (height, width, channels).

    Nothing is decoded. The channels are 1 for grey images and 3 for all others.

    Raises:
        UnidentifiedImageError: It is not an image.
        Image.DecompressionBombError: It has more than `MAX_PIXELS`.
    """
    with _opened(content) as image:
        width, height = _upright(image)
        return image.format, (height, width, 1 if image.mode in ("1", "L", "I", "I;16", "F") else 3)


def _as_png(content: bytes) -> bytes:
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
        image.load()
        upright_image = ImageOps.exif_transpose(image)
        if upright_image.mode.startswith("I;16"):  # Pillow's own conversion would clip 16 bits, not scale them
            upright_image = Image.fromarray((np.asarray(upright_image) // 257).astype(np.uint8))
        has_alpha = upright_image.mode in ("LA", "PA", "RGBa", "La") or "transparency" in upright_image.info
        upright_image = upright_image.convert("RGBA" if has_alpha or upright_image.mode == "RGBA" else "RGB")
        png = io.BytesIO()
        upright_image.save(png, "PNG", compress_level=1)
        return png.getvalue()
