"""What is known of picture files once they were read: the digest of their contents, and whether they can be decoded."""

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
from pipelines.sources.storage import log, write_atomic


@dataclass(frozen=True)
class Picture:
    """One file.

    Attributes:
        path: Where it is.
        sha256: Of its contents.
        problem: Why it cannot be fed, in a few words; "" where it can.
    """

    path: Path
    sha256: str
    problem: str


def read(paths: Sequence[Path], cache: Path) -> dict[Path, Picture]:
    """Read and decode every file once.

    Args:
        paths: The files.
        cache: Folder in which the answers are kept, by path, size and time of change; files that have not changed are
            not read again. A cache that cannot be written is done without.

    Returns:
        What was found, by path, in order.
    """
    folder = os.path.commonpath(paths) if paths else ""
    memory = cache / "pictures" / f"{hashlib.sha256(folder.encode()).hexdigest()[:20]}.json"
    known = _remembered(memory)
    stats = {path: path.stat() for path in paths}
    keys = {path: f"{path}|{stat.st_size}|{stat.st_mtime_ns}" for path, stat in stats.items()}
    fresh = [path for path in paths if keys[path] not in known]
    if len(fresh) > 1000:
        log.info("checking %d pictures in %s, once", len(fresh), folder)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        answers = dict(zip(fresh, pool.map(_look, fresh), strict=True))
    promising = [path for path in fresh if not answers[path][1]]
    for path in set(promising) - _decodable(promising):
        answers[path][1] = "damaged"
    known |= {keys[path]: answer for path, answer in answers.items()}
    if fresh:
        with contextlib.suppress(OSError):
            write_atomic(memory, json.dumps({key: known[key] for key in keys.values()}))
    return {path: Picture(path, *known[keys[path]]) for path in paths}


def _remembered(memory: Path) -> dict[str, list[str]]:
    try:
        return json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}


def _look(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return [hashlib.sha256(content).hexdigest(), _problem(content)]


def _problem(content: bytes) -> str:
    """Return what the header of a file tells against it."""
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
    """Return the files that decode, found by decoding them in parallel."""
    if not paths:
        return set()

    def decode(place: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return place, tf.reduce_max(decoding.decode(tf.io.read_file(path), 32, 32))

    files = tf.data.Dataset.from_tensor_slices([str(p) for p in paths]).enumerate()
    decoded = files.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    return {paths[int(place)] for place, _ in decoded}
