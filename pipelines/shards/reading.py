"""Reads shards in the order of the examples, from this machine or from any file system of TensorFlow."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.shards import copies, examples
from pipelines.shards.manifest import MANIFEST, SPLITS, UNFINISHED, Manifest, Shard
from pipelines.sources import storage
from zoobase.errors import MISSING, DataError
from zoobase.files import cache_root, sha256, write_atomic

_DIFFERS = "is damaged: its SHA-256 is not that of the manifest; write or copy the shards again"
_TICK = 10**9  # nanoseconds: a file that is changed twice within a tick of the clock may keep its time
_BUFFER = 2**23  # bytes read at once: a request to a store takes longer than to a disk


def read(folder: str | os.PathLike, cache_dir: str | os.PathLike | None = None) -> Dataset:
    """Return the dataset of a folder of `write_shards`, a path or a URL, with its examples in their order."""
    # Sizes are compared with the manifest. Files of a local folder are also compared by SHA-256, once: the result is
    # kept by path, size and time; of others, each record by its checksum when it is read. From a store that TensorFlow
    # cannot read, such as s3://BUCKET/FOLDER, fsspec copies each file to the cache when it is first read.
    root = _root(folder)
    manifest = _manifest(root)
    _check(root, [shard for split in SPLITS for shard in manifest.shards[split]], cache_dir)
    source = f"shards of {manifest.info.name} in {root}"
    storage.log.info("%s: %s", manifest.info.name, source)
    parts = {}
    for split in SPLITS:
        rows = _indexed(root, manifest, manifest.shards[split], cache_dir).map(lambda index, example: example)
        parts[split] = rows.apply(tf.data.experimental.assert_cardinality(manifest.info.counts[split]))
    return Dataset(**parts, info=dataclasses.replace(manifest.info, source=source))


def _root(folder: str | os.PathLike) -> str:
    root = os.fspath(folder)
    return root.rstrip("/") if "://" in root else os.path.abspath(os.path.expanduser(root))


def _manifest(root: str) -> Manifest:
    path = f"{root}/{MANIFEST}"
    try:
        if copies.is_needed(root):
            content = copies.read(path)
            if content is None:
                raise DataError(
                    f"there is no {path}; the folder is a copy of one of python -m pipelines shard", MISSING
                )
        elif tf.io.gfile.exists(path):
            with tf.io.gfile.GFile(path, "rb") as file:
                content = file.read()
        elif tf.io.gfile.exists(f"{root}/{UNFINISHED}"):
            raise DataError(
                f"the shards in {root} are not complete: write them again with the same command, which continues"
            )
        else:
            raise DataError(
                f"there is no {path}: --data-dir is a folder that python -m pipelines shard NAME -o FOLDER has written",
                MISSING,
            )
    except tf.errors.OpError as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}", MISSING) from error
    manifest = Manifest.from_json(content, path)
    for split in SPLITS:
        shards, count = manifest.shards[split], manifest.info.counts.get(split)
        if len(shards) != manifest.files[split] or sum(shard.examples for shard in shards) != count:
            raise DataError(f"{path} is damaged: its shards of {split} do not have {count} examples")
    return manifest


def _reason(error: tf.errors.OpError) -> str:
    return " ".join(error.message.split())


def _check(root: str, shards: Sequence[Shard], cache_dir: str | os.PathLike | None) -> None:
    """Raise DataError for a file that is missing, or is not the one of the manifest."""

    def check(shard: Shard) -> str | None:
        """Return the key of a file whose digest was computed; None for one that is not local, or was just written."""
        path = f"{root}/{shard.file}"
        if copies.is_needed(root):
            copies.check(root, shard)
            return None
        try:
            status = tf.io.gfile.stat(path)
        except tf.errors.NotFoundError:
            raise DataError(f"{path} is missing; copy it again, or write the shards again") from None
        except tf.errors.OpError as error:
            raise DataError(f"{path} cannot be read: {_reason(error)}", MISSING) from error
        if status.length != shard.bytes:
            raise DataError(f"{path} is damaged: it has {status.length:,} bytes instead of {shard.bytes:,}")
        if "://" in root:
            return None
        key = f"{path}|{status.length}|{status.mtime_nsec}|{shard.sha256}"
        if key not in known and sha256(path) != shard.sha256:
            raise DataError(f"{path} {_DIFFERS}")
        return key if time.time_ns() - status.mtime_nsec > _TICK else None

    file = cache_root(cache_dir) / "shards" / f"{hashlib.sha256(root.encode()).hexdigest()[:20]}.json"
    try:
        known = set(json.loads(file.read_text()))
    except (OSError, ValueError):
        known = set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        keys = {key for key in pool.map(check, shards) if key is not None}
    if keys - known:
        with contextlib.suppress(OSError):  # a cache that cannot be written
            write_atomic(file, json.dumps(sorted(keys)))


@contextlib.contextmanager
def naming_damage(folder: str | os.PathLike) -> Iterator[None]:
    """Raise DataError with the name of the file if a record of a folder, here or in a store, cannot be read."""
    try:
        yield
    except tf.errors.DataLossError:
        _find_damage(folder)
        raise


def _find_damage(folder: str | os.PathLike) -> None:
    """Read all files of a folder; raise DataError for the first one that is not that of the manifest."""
    root = _root(folder)
    if copies.is_needed(root):
        return  # the copies have the digests of the manifest
    manifest = _manifest(root)
    for shard in (shard for split in SPLITS for shard in manifest.shards[split]):
        with tf.io.gfile.GFile(f"{root}/{shard.file}", "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(_BUFFER):
                digest.update(block)
        if digest.hexdigest() != shard.sha256:
            raise DataError(f"{root}/{shard.file} {_DIFFERS}")


def files(folder: str | os.PathLike, split: str) -> tuple[Shard, ...]:
    """Return the files of a split, in the order of the examples."""
    return _manifest(_root(folder)).shards[split]


def examples_of(
    folder: str | os.PathLike, shards: Sequence[Shard], cache_dir: str | os.PathLike | None = None
) -> tf.data.Dataset:
    """Return the examples of some files of a folder, in their order."""
    root = _root(folder)
    rows = _indexed(root, _manifest(root), shards, cache_dir).map(lambda index, example: example)
    return rows.apply(tf.data.experimental.assert_cardinality(sum(shard.examples for shard in shards)))


def indexed(folder: str | os.PathLike, split: str) -> tf.data.Dataset:
    """Return (index, example) of a split; the index int64 is right also if parts of the files are read elsewhere."""
    root = _root(folder)
    manifest = _manifest(root)
    return _indexed(root, manifest, manifest.shards[split])


def _indexed(
    root: str, manifest: Manifest, shards: Sequence[Shard], cache_dir: str | os.PathLike | None = None
) -> tf.data.Dataset:
    files = [f"{root}/{shard.file}" for shard in shards]
    by_path = dict(zip(files, shards, strict=True))
    starts = [sum(shard.examples for shard in shards[:number]) for number in range(len(shards))]

    def copy(file: bytes) -> bytes:
        return os.fsencode(copies.local(root, by_path[file.decode()], cache_dir))

    def records(file: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        if copies.is_needed(root):
            file = tf.ensure_shape(tf.numpy_function(copy, [file], tf.string), [])
        return tf.data.TFRecordDataset(file, buffer_size=_BUFFER).enumerate(start)

    def decode(index: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return index, examples.decode(record, manifest.features)

    rows = tf.data.Dataset.from_tensor_slices((files, tf.constant(starts, tf.int64))).flat_map(records)
    return rows.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
