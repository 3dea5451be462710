"""Index of image files: the digest of their contents, and whether they can be decoded."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from pipelines.errors import DataError
from pipelines.images import decoding
from pipelines.sources.storage import check_name, check_size, log, write_atomic


@dataclass(frozen=True)
class ImageFile:
    """An image file.

    Attributes:
        path: Its path.
        sha256: Digest of its contents.
        problem: Why it cannot be used, or "".
    """

    path: Path
    sha256: str
    problem: str


def read(paths: Sequence[Path], cache: Path) -> dict[Path, ImageFile]:
    """Read and decode every file once.

    Args:
        paths: The files.
        cache: Folder of the cached results, by path, size and modification time; unchanged files are not read again. If
            it cannot be written, results are not cached.

    Returns:
        The entries by path, in order.

    Raises:
        DataError: A file cannot be read, or its path is not UTF-8.
    """
    for path in paths:
        check_name(path)
    folder = os.path.commonpath(paths) if paths else ""
    cache_file = cache / "pictures" / f"{hashlib.sha256(folder.encode()).hexdigest()[:20]}.json"
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
    return {path: ImageFile(path, *entries[keys[path]]) for path in paths}


def _cached(cache_file: Path) -> dict[str, list[str]]:
    try:
        return json.loads(cache_file.read_text())
    except (OSError, ValueError):
        return {}


def _examine(path: Path) -> list[str]:
    try:
        check_size(path)
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return [hashlib.sha256(content).hexdigest(), _problem(content)]


def _problem(content: bytes) -> str:
    """Return why the header of a file shows that it cannot be used, or ""."""
    try:
        form = decoding.header(content)
    except UnidentifiedImageError:
        return "not an image" if content else "empty"
    except Image.DecompressionBombError:
        return f"more than {decoding.MAX_PIXELS:,} pixels"
    except (OSError, SyntaxError, ValueError, EOFError):
        return "damaged"
    return "" if form in decoding.NATIVE else f"a {form} file; convert it to JPEG or PNG"


def _decodable(paths: Sequence[Path]) -> set[Path]:
    """Return the files that can be decoded, by decoding them in parallel."""
    if not paths:
        return set()

    def decode(index: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index, tf.reduce_max(decoding.decode(tf.io.read_file(path), 32, 32))

    files = tf.data.Dataset.from_tensor_slices([str(p) for p in paths]).enumerate()
    decoded = files.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    return {paths[int(index)] for index, _ in decoded}
