"""Index of image files: the digest of their contents, and whether they can be decoded."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from pipelines.errors import DataError
from pipelines.images import decoding
from pipelines.sources.storage import check_size, log, write_atomic


@dataclass(frozen=True)
class ImageFile:
    """An image file.

    Attributes:
        path: Its path.
        sha256: Digest of its contents.
        problem: Why it cannot be used, or "".
        shape: (height, width, channels) in its header, channels being 1 for grey and 3 for all others; None if it
            cannot be used.
    """

    path: Path
    sha256: str
    problem: str
    shape: tuple[int, int, int] | None = None


def common_shape(images: Iterable[ImageFile]) -> list[int] | None:
    """Return (H, W, C) if all images have one size, C being 1 if all are grey; else None."""
    shapes = {image.shape for image in images}
    sizes = {shape and shape[:2] for shape in shapes}
    if len(sizes) != 1 or None in sizes:
        return None
    return [*sizes.pop(), max(shape[2] for shape in shapes)]


def read(paths: Sequence[Path], cache: Path) -> dict[Path, ImageFile]:
    """Read and decode every file once.

    Args:
        paths: The files.
        cache: Folder of the cached results, by path, size and modification time; unchanged files are not read again. If
            it cannot be written, results are not cached.

    Returns:
        The entries by path, in order.
    """
    folder = os.path.commonpath(paths) if paths else ""
    cache_file = cache / "images" / f"{hashlib.sha256(folder.encode()).hexdigest()[:20]}.json"
    entries = _cached(cache_file)
    stats = {path: path.stat() for path in paths}
    keys = {path: f"{path}|{stat.st_size}|{stat.st_mtime_ns}" for path, stat in stats.items()}
    new = [path for path in paths if keys[path] not in entries]
    if len(new) > 1000:
        log.info("checking %d images in %s, once", len(new), folder)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        new_entries = dict(zip(new, pool.map(_examine, new), strict=True))
    candidates = [path for path in new if not new_entries[path][1]]
    for path in set(candidates) - _decodable(candidates):
        new_entries[path][1] = "damaged"
    entries |= {keys[path]: answer for path, answer in new_entries.items()}
    if new:
        with contextlib.suppress(OSError):
            write_atomic(cache_file, json.dumps({key: entries[key] for key in keys.values()}))
    images = {}
    for path in paths:
        sha256, problem, shape = entries[keys[path]]
        images[path] = ImageFile(path, sha256, problem, None if shape is None else tuple(shape))
    return images


def _cached(cache_file: Path) -> dict[str, list[Any]]:
    try:
        return json.loads(cache_file.read_text())
    except (OSError, ValueError):
        return {}


def _examine(path: Path) -> list[Any]:
    try:
        check_size(path)
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return [hashlib.sha256(content).hexdigest(), *_read_header(content)]


def _read_header(content: bytes) -> tuple[str, tuple[int, int, int] | None]:
    """Return why the header of a file shows that it cannot be used, or "", and its shape."""
    try:
        form, shape = decoding.header(content)
    except UnidentifiedImageError:
        return "not an image" if content else "empty", None
    except Image.DecompressionBombError:
        return f"more than {decoding.MAX_PIXELS:,} pixels", None
    except (OSError, SyntaxError, ValueError, EOFError):
        return "damaged", None
    return ("", shape) if form in decoding.NATIVE else (f"a {form} file; convert it to JPEG or PNG", None)


def _decodable(paths: Sequence[Path]) -> set[Path]:
    """Return the files that can be decoded, by decoding them in parallel."""
    if not paths:
        return set()

    def decode(index: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index, tf.reduce_max(decoding.decode(tf.io.read_file(path), 32, 32))

    files = tf.data.Dataset.from_tensor_slices([str(p) for p in paths]).enumerate()
    decoded = files.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    return {paths[int(index)] for index, _ in decoded}
