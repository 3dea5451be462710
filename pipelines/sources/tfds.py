"""TensorFlow Datasets builders: prepared quietly and whole, read in a fixed order with their images still encoded."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from pipelines.errors import DataError, NotHere
from pipelines.sources import search, storage


def builder_class(name: str) -> type[Any]:
    """Return the builder class that TFDS has under a name, without its deprecation warning."""
    return tfds.builder_cls(name)


def raw_files(name: str) -> dict[str, Any]:
    """Return what TFDS expects to download for a dataset: URL -> size, checksum (sha256) and filename."""
    return dict(tfds.builder_cls(name).url_infos)


def prepare(builder: Any, downloads: Path, manual_dir: Path | None = None) -> None:
    """Let a builder download (unless `manual_dir` has the files) and write its records; checksums are TFDS's own.

    Args:
        builder: The builder; its data_dir is best a staging folder.
        downloads: A folder for what it downloads and extracts, deleted afterwards.
        manual_dir: Where the files are, under their original names.

    Raises:
        NotHere: The download failed, or a file is not the publisher's.
        DataError: The disk is full or cannot be written.
    """
    config = tfds.download.DownloadConfig(manual_dir=manual_dir and str(manual_dir), try_download_gcs=False)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints where it writes, which is our staging folder
            builder.download_and_prepare(download_dir=downloads, download_config=config)
    except NonMatchingChecksumError as error:
        raise NotHere("what it gave does not have the publisher's checksum") from error
    except (tfds.download.DownloadError, requests.RequestException) as error:
        raise NotHere(f"download failed: {error}") from error
    except OSError as error:
        raise DataError(f"cannot prepare {builder.name} in {downloads.parent}: {error.strerror or error}") from error
    shutil.rmtree(downloads, ignore_errors=True)


def downloaded(name: str, ready: Path, mend: str, url: str = "", config: str = "") -> tuple[str, Any]:
    """Return the name of the source and a builder of what TFDS itself downloads, prepared once.

    Args:
        name: Of the dataset.
        ready: Folder in which it is, or will be, prepared.
        mend: The one command that helps without a network.
        url: Which must answer before TFDS is asked; by default that of its first file (of the configuration).
        config: Of the builder, where there are several.

    Raises:
        DataError: It is not there and cannot be downloaded.
    """

    def genuine(folder: Path) -> Any:
        return builder_class(name)(data_dir=folder, **({"config": config} if config else {}))

    def take() -> Any:
        with storage.staged(ready) as stage:
            prepare(genuine(stage), stage / "downloads")
        return genuine(ready)

    def fresh() -> list[search.Source[Any]]:
        first = url or next(u for u in raw_files(name) if config in u)
        return [search.Source("TFDS download", lambda: search.look_ahead(first), take)]

    return search.prepared_once(name, {ready: genuine}, fresh, mend)


def read(builder: Any, split: str) -> tf.data.Dataset:
    """Read a split in the order of its records.

    Args:
        builder: A prepared builder.
        split: TFDS split with its slice, such as "train[:55000]".

    Returns:
        Feature dicts; images are their encoded bytes (scalar string).
    """
    images = {name for name, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)}
    return builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=dict.fromkeys(images, tfds.decode.SkipDecoding()),
        read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
    )


def derived(parent: type[Any], name: str, members: dict[str, Any]) -> type[Any]:
    """Make a builder class that inherits everything from `parent` except `members`, unknown to TFDS's registry."""
    with tfds.core.registered.skip_registration():
        return type(name, (parent,), members | {"__module__": parent.__module__})
