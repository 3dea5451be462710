"""TensorFlow Datasets builders: prepared atomically, read in a fixed order with encoded images."""

import contextlib
import io
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from pipelines.dataset import Dataset, Info
from pipelines.sources import search, storage
from zoobase.errors import USAGE, DataError, SourceUnavailable


def builder_class(name: str) -> type[Any]:
    """Return the builder class of a TFDS dataset."""
    return tfds.builder_cls(name)


def raw_files(name: str) -> dict[str, Any]:
    """Return the files that TFDS downloads for a dataset: URL -> size, checksum (sha256) and filename."""
    return dict(tfds.builder_cls(name).url_infos)


def prepare(builder: Any, downloads: Path, manual_dir: Path | None = None) -> None:
    """Download the files of a builder, unless `manual_dir` has them, check their checksums, and write its records."""
    config = tfds.download.DownloadConfig(manual_dir=manual_dir and str(manual_dir), try_download_gcs=False)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints the path of our staging folder
            builder.download_and_prepare(download_dir=downloads, download_config=config)
    except NonMatchingChecksumError as error:
        raise SourceUnavailable("the checksum of a file differs from the publisher's") from error
    except (tfds.download.DownloadError, requests.RequestException) as error:
        raise SourceUnavailable(f"download failed: {error}") from error
    except OSError as error:
        raise DataError(f"cannot prepare {builder.name} in {downloads.parent}: {error.strerror or error}") from error
    shutil.rmtree(downloads, ignore_errors=True)


def download(name: str, ready: Path, hint: str, url: str = "", config: str = "") -> tuple[str, Any]:
    """Return the name of the source and a builder of data that TFDS downloads, prepared once."""

    def builder_in(folder: Path) -> Any:
        return builder_class(name)(data_dir=folder, **({"config": config} if config else {}))

    def prepare_once() -> Any:
        with storage.staged(ready) as stage:
            prepare(builder_in(stage), stage / "downloads")
        return builder_in(ready)

    def sources() -> list[search.Source[Any]]:
        first = url or next(u for u in raw_files(name) if config in u)
        return [search.Source("TFDS download", lambda: search.check_url(first), prepare_once)]

    return search.load_prepared(name, {ready: builder_in}, sources, hint)


def slices(policy: tuple[int, int, int]) -> dict[str, str]:
    """Return our split -> its slice of the TFDS split train, for percentages of train, validation and test."""
    first, second = policy[0], policy[0] + policy[1]
    return {"train": f"train[:{first}%]", "validation": f"train[{first}%:{second}%]", "test": f"train[{second}%:]"}


def read(builder: Any, split: str) -> tf.data.Dataset:
    """Read a split in the order of its records."""
    images = {name for name, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)}
    return builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=dict.fromkeys(images, tfds.decode.SkipDecoding()),
        read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
    )


def derived(parent: type[Any], name: str, members: dict[str, Any]) -> type[Any]:
    """Return a builder class that inherits from `parent`, overrides `members`, and is not registered in TFDS."""
    with tfds.core.registered.skip_registration():
        return type(name, (parent,), members | {"__module__": parent.__module__})


def dataset(
    builder: Any,
    parts: Mapping[str, str],
    select: Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]],
    features: Mapping[str, str],
    statistics: Mapping[str, Any],
    *,
    label: str | None = None,
    class_names: tuple[str, ...] = (),
    **about: Any,
) -> Dataset:
    """Return the dataset."""
    examples = {ours: read(builder, theirs).map(select) for ours, theirs in parts.items()}
    counts = {ours: int(split.cardinality()) for ours, split in examples.items()}
    if not all(counts.values()):
        raise DataError(f"{about['name']} has too few examples for these splits: {counts}", USAGE)
    if label is not None:
        class_names = tuple(builder.info.features[label].names)
        features = {**features, "label": f"int64, 0 to {len(class_names) - 1}"}
        class_counts = Counter(examples["train"].map(lambda example: example["label"]).as_numpy_iterator())
        statistics = {"class_counts": {c: class_counts[i] for i, c in enumerate(class_names)}, **statistics}
    info = Info(
        **about,
        homepage=builder.info.homepage,
        features=features,
        counts=counts,
        class_names=class_names,
        statistics=statistics,
        sha256={f"{ours}, {theirs}": f"{builder.info.full_name} {counts[ours]}" for ours, theirs in parts.items()},
    )
    return Dataset(**examples, info=info)
