"""Index of image files: the digest of their contents, and whether they can be decoded."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from pipelines.images import decoding, reading
from pipelines.sources.storage import check_name, check_size, log
from zoobase.errors import DataError
from zoobase.files import write_atomic

_CHUNK = 2**14  # files that are checked at once
_INTERVAL = 60.0  # seconds of work after which the results are stored, so that a killed process has not worked in vain
_TASK = 256  # files that a thread examines at once
_BATCH = 1024
Result = tuple[str, str, tuple[int, int, int] | None]  # digest, problem and shape, as in `ImageFile`


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file."""

    path: Path
    sha256: str  # digest of its contents
    problem: str  # why it cannot be used, or ""
    # (height, width, channels) in its header, channels 1 for grey and else 3; None if it cannot be used
    shape: tuple[int, int, int] | None = None


def common_shape(images: Iterable[ImageFile]) -> list[int] | None:
    """Return (H, W, C) if all images have one size, C being 1 if all are grey; else None."""
    shapes = {image.shape for image in images}
    sizes = {shape and shape[:2] for shape in shapes}
    if len(sizes) != 1 or None in sizes:
        return None
    return [*sizes.pop(), max(shape[2] for shape in shapes)]


def read(paths: Sequence[Path], cache: Path) -> dict[Path, ImageFile]:
    """Read and decode every file once, in parallel; results are cached by path, size and modification time."""
    for path in paths:
        check_name(path)
    names = [str(path) for path in paths]
    folder = os.path.commonpath([min(names), max(names)]) if names else ""
    cache_file = cache / "images" / f"{hashlib.sha256(folder.encode()).hexdigest()[:20]}.jsonl"
    cached = _cached(cache_file)
    keys = [_key(name) for name in names]
    new = [number for number, key in enumerate(keys) if key not in cached]
    if len(new) > 1000:
        log.info("checking %d images in %s, once", len(new), folder)
    stored = time.monotonic()
    for start in range(0, len(new), _CHUNK):
        chunk = new[start : start + _CHUNK]
        results = _check([names[number] for number in chunk])
        cached |= zip((keys[number] for number in chunk), results, strict=True)
        if start + _CHUNK >= len(new) or time.monotonic() > stored + _INTERVAL:
            with contextlib.suppress(OSError):
                lines = (json.dumps([key, *cached[key]]) for key in keys if key in cached)
                write_atomic(cache_file, "\n".join(lines))
            stored = time.monotonic()
    return {path: ImageFile(path, *cached[key]) for path, key in zip(paths, keys, strict=True)}


def _key(name: str) -> str:
    status = os.stat(name)
    return f"{name}|{status.st_size}|{status.st_mtime_ns}"


def _cached(cache_file: Path) -> dict[str, Result]:
    entries = {}
    shapes: dict[Any, Any] = {}  # one tuple for all images of a size
    try:
        with open(cache_file, encoding="utf-8") as file:
            for line in file:
                key, sha256, problem, shape = json.loads(line)
                shape = shape and tuple(shape)
                entries[key] = (sha256, problem, shapes.setdefault(shape, shape))
    except (OSError, ValueError):  # what could be read is valid
        pass
    return entries


def _check(names: Sequence[str]) -> list[Result]:
    """Read and decode files; return digest, problem and shape of each."""
    parts = [names[start : start + _TASK] for start in range(0, len(names), _TASK)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = [result for part in pool.map(lambda part: [*map(_examine, part)], parts) for result in part]
    candidates = [number for number, (_, problem, _) in enumerate(results) if not problem]
    for number in set(candidates) - _decodable(names, candidates):
        results[number] = (results[number][0], "damaged", results[number][2])
    return results


def _examine(name: str) -> Result:
    path = Path(name)
    try:
        check_size(path)
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return hashlib.sha256(content).hexdigest(), *_read_header(content)


def _read_header(content: bytes) -> tuple[str, tuple[int, int, int] | None]:
    """Return why the header of a file shows that it cannot be used, or "", and its shape."""
    try:
        form, shape = reading.header(content)
    except UnidentifiedImageError:
        return "not an image" if content else "empty", None
    except Image.DecompressionBombError:
        return f"more than {reading.MAX_PIXELS:,} pixels", None
    except (OSError, SyntaxError, ValueError, EOFError):
        return "damaged", None
    return ("", shape) if form in reading.NATIVE else (f"a {form} file; convert it to JPEG or PNG", None)


def _decodable(names: Sequence[str], numbers: Sequence[int]) -> set[int]:
    """Return the numbers of the files that can be decoded, by decoding them in parallel."""
    if not numbers:
        return set()

    def decode(number: tf.Tensor, name: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number, tf.reduce_max(decoding.decode(tf.io.read_file(name), 32, 32))

    files = tf.data.Dataset.from_tensor_slices((list(numbers), [names[number] for number in numbers]))
    decoded = files.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    return {int(number) for batch, _ in decoded.batch(_BATCH).as_numpy_iterator() for number in batch}
