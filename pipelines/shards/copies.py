"""Shards in a store that TensorFlow has no file system for: a file is copied to the cache when it is first read."""

import hashlib
import os
import secrets
from pathlib import Path

import tensorflow as tf

from pipelines.shards.manifest import Shard
from pipelines.sources import remote, stores
from zoobase.errors import DataError
from zoobase.files import cache_root, sha256


def is_needed(root: str) -> bool:
    """Return whether TensorFlow itself cannot read a folder; its own file systems include gs://."""
    return "://" in root and root.partition("://")[0] not in tf.io.gfile.get_registered_schemes()


def read(url: str) -> bytes | None:
    """Return the content of an object; None if there is none."""
    remote.check_url(url)
    with stores.opened(url) as (store, path):
        return store.cat_file(path) if store.exists(path) else None


def check(root: str, shard: Shard) -> None:
    """Raise DataError if a file is missing, or has not the size of the manifest; its digest is that of its copy."""
    url = f"{root}/{shard.file}"
    with stores.opened(url) as (store, path):
        if not store.exists(path):
            raise DataError(f"{url} is missing; copy it again, or write the shards again")
        if (size := store.info(path)["size"]) != shard.bytes:
            raise DataError(f"{url} is damaged: it has {size:,} bytes instead of {shard.bytes:,}")


def local(root: str, shard: Shard, cache_dir: str | os.PathLike | None = None) -> Path:
    """Return the copy of a file, which appears when it is whole and has the digest of the manifest."""
    folder = cache_root(cache_dir) / "shards" / hashlib.sha256(root.encode()).hexdigest()[:20]
    target = folder / f"{shard.sha256[:20]}-{shard.file}"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{target.name}.{secrets.token_hex(4)}"
    try:
        stores.download(f"{root}/{shard.file}", part)
        if sha256(part) != shard.sha256:
            what = "is damaged: its SHA-256 is not that of the manifest; write or copy the shards again"
            raise DataError(f"{root}/{shard.file} {what}")
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return target
