"""Writes a dataset as shards; a run that was killed continues after the last file that it finished."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.dataset import Dataset
from pipelines.shards import examples
from pipelines.shards.manifest import MANIFEST, SPLITS, UNFINISHED, Manifest, Shard, file_name
from pipelines.sources import storage
from zoobase.errors import USAGE, DataError
from zoobase.files import sha256, write_atomic

Report = Callable[[Shard, bool], Any]
_PART = ".part"  # ending of a file that is being written


def write_shards(
    dataset: Dataset, folder: str | os.PathLike, shards: int = 8, report: Report = lambda shard, written: None
) -> Manifest:
    """Write a dataset as TFRecord files, which `pipelines.load("shards", folder)` reads.

    Each file holds consecutive examples, so that their order does not depend on the number of files. A file appears
    under its name when it is complete, the manifest when all are. The same call continues after an interruption.

    Args:
        dataset: The dataset.
        folder: A new folder, an unfinished one, or a finished one of the same data, which is checked and left as it is.
        shards: Number of files of each split; fewer if it has fewer examples.
        report: Called after each file with the `Shard`, and whether it was written now.

    Returns:
        The manifest.

    Raises:
        DataError: The folder holds something else, or shards of other data or settings.
        OSError: A file cannot be written.

    Example:
        >>> import pipelines
        >>> manifest = write_shards(pipelines.load("digits"), "digits-shards", shards=3)
        >>> manifest.files
        {'train': 3, 'validation': 3, 'test': 3}
        >>> pipelines.load("shards", "digits-shards").info.counts
        {'train': 1257, 'validation': 270, 'test': 270}
    """
    if "://" in os.fspath(folder):
        raise DataError(
            f"shards are written to a local folder, not to {folder}; copy the folder there afterwards", USAGE
        )
    if shards < 1:
        raise DataError(f"shards={shards} is not a positive number", USAGE)
    root, counts = Path(folder).expanduser(), dataset.info.counts
    planned = Manifest(
        info=dataset.info,
        features=examples.features_of(dataset.train),
        files={split: min(shards, counts[split]) for split in SPLITS},
    )
    root.mkdir(parents=True, exist_ok=True)
    with storage.preparing(root):
        manifest = _started(root, planned)
        for split in SPLITS:
            finished = tuple(
                itertools.takewhile(
                    lambda s: (root / s.file).is_file() and sha256(root / s.file) == s.sha256, manifest.shards[split]
                )
            )
            for shard in finished:
                report(shard, False)
            manifest = _with(manifest, split, finished)
            done = sum(shard.examples for shard in finished)
            rows = dataset[split].skip(done).as_numpy_iterator()
            for number in range(len(finished), manifest.files[split]):
                end = counts[split] * (number + 1) // manifest.files[split]
                file = root / file_name(split, number, manifest.files[split])
                shard = _write(file, rows, end - done, manifest)
                done, manifest = end, _with(manifest, split, (*manifest.shards[split], shard))
                write_atomic(root / UNFINISHED, manifest.to_json())
                (root / MANIFEST).unlink(missing_ok=True)  # of a finished folder with a damaged file
                report(shard, True)
            if len(finished) < manifest.files[split] and next(rows, None) is not None:
                raise DataError(f"{split} of {dataset.info.name} has more than the {done} examples that it states")
        if (root / MANIFEST).exists():
            (root / UNFINISHED).unlink(missing_ok=True)
        else:
            os.replace(root / UNFINISHED, root / MANIFEST)
        for draft in root.glob(f".{UNFINISHED}.*"):  # of a process that was killed
            draft.unlink(missing_ok=True)
    return manifest


def _started(root: Path, planned: Manifest) -> Manifest:
    """Return the manifest of a folder that was begun with the same data and settings, else begin with `planned`."""
    for name in (MANIFEST, UNFINISHED):
        if (root / name).is_file():
            manifest = Manifest.from_json((root / name).read_bytes(), str(root / name))
            if different := manifest.differences(planned):
                raise DataError(
                    f"{root} holds shards of {manifest.info.name} that differ in {', '.join(different)}: choose "
                    "another folder with -o, or remove it",
                    USAGE,
                )
            return manifest
    if any(path.name != storage.LOCK and not path.name.endswith(_PART) for path in root.iterdir()):
        raise DataError(f"{root} is not empty and holds no shards: choose another folder with -o", USAGE)
    write_atomic(root / UNFINISHED, planned.to_json())
    return planned


def _with(manifest: Manifest, split: str, shards: tuple[Shard, ...]) -> Manifest:
    return dataclasses.replace(manifest, shards={**manifest.shards, split: shards})


def _write(file: Path, rows: Iterator[dict[str, Any]], count: int, manifest: Manifest) -> Shard:
    part = file.with_name(f".{file.name}{_PART}")
    written = 0
    try:
        with tf.io.TFRecordWriter(str(part)) as writer:
            for row in itertools.islice(rows, count):
                writer.write(examples.encode(row, manifest.features))
                written += 1
        if written < count:
            raise DataError(f"{manifest.info.name} ended {count - written} examples before {file.name} was complete")
        with open(part, "rb") as content:
            os.fsync(content.fileno())
        shard = Shard(file.name, count, part.stat().st_size, sha256(part))
        part.replace(file)
    except tf.errors.OpError as error:
        raise OSError(None, f"cannot be written: {error.message}", str(file)) from error
    finally:
        part.unlink(missing_ok=True)
    return shard
