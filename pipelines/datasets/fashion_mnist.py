"""Fashion-MNIST: 70,000 grey pictures of clothes, 28x28, ten classes.

Reference: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747. Licence: MIT.
Sources:   data_dir (the four .gz idx files, or a TFDS folder), the prepared cache, the installed Debian package
           dataset-fashion-mnist, TFDS download, the Debian package fetched without root. All end in TFDS's own builder.
Features:  {"image": PNG bytes, "label": int64}.
Splits:    "official" keeps the official test set and takes the last twelfth of train (5,000) for validation.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines import builders, idx, packages, sources, splits
from pipelines.dataset import Dataset, Info
from pipelines.errors import MISSING, DataError

NAME = "fashion_mnist"
PACKAGE = "dataset-fashion-mnist"
SYSTEM = Path("/usr/share/datasets/fashion-mnist")
MEND = f"sudo apt-get install {PACKAGE} (or --data-dir with the four .gz files of the publisher)"
MTIMES = {  # as in the publisher's gzip headers
    "train-images-idx3-ubyte.gz": 1504176606,
    "train-labels-idx1-ubyte.gz": 1504176606,
    "t10k-images-idx3-ubyte.gz": 1504176627,
    "t10k-labels-idx1-ubyte.gz": 1504176627,
}


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    cache = sources.cache_root(cache_dir) / NAME
    if data_dir is None:
        source, builder = _search(cache)
    else:
        source, builder = _user(Path(data_dir).expanduser().absolute(), cache)
        sources.log.info("%s: %s", NAME, source)
    return _dataset(builder, source, policy, split, cache)


def _search(cache: Path) -> tuple[str, Any]:
    ready = cache / "official"

    def fresh() -> list[sources.Source[Any]]:
        url = next(iter(builders.raw_files(NAME)))
        once = ", preparing it once takes about half a minute"
        look, take = lambda: sources.look_ahead(url), lambda: _prepare_official(ready, None)
        return [
            sources.Source(
                f"installed package folder {SYSTEM}",
                lambda: sources.there(SYSTEM),
                lambda: _prepare_official(ready, SYSTEM),
                once,
            ),
            sources.Source("TFDS download", look, take, once),
            sources.Source(f"Debian package {PACKAGE}", packages.has_apt, lambda: _prepare_debian(ready), once),
        ]

    return sources.prepared_once(NAME, {ready: _genuine}, fresh, MEND)


def _user(folder: Path, cache: Path) -> tuple[str, Any]:
    """Read the user's folder: official files are recognised by their checksums, others are the user's own data."""
    if (folder / NAME).is_dir():
        builder = builders.builder_class(NAME)(data_dir=folder)
        if builder.data_path.exists():
            return f"TFDS folder {folder}", builder
    if missing := [name for name in MTIMES if not (folder / name).is_file()]:
        raise DataError(
            f"{folder} has no {missing[0]}; --data-dir wants {', '.join(MTIMES)}, or a TFDS folder with {NAME}", MISSING
        )
    digests = {name: hashlib.sha256(_publisher(folder, name)).hexdigest() for name in MTIMES}
    genuine = digests == _official()
    target = cache / (
        "official" if genuine else "own-" + hashlib.sha256("".join(digests.values()).encode()).hexdigest()
    )
    if not sources.whole(target):
        with sources.locked(cache):
            if not sources.whole(target):
                _prepare_official(target, folder) if genuine else _prepare_own(target, folder)
    if genuine:
        return f"official files in {folder}", _genuine(target)
    return f"your own files in {folder}", _own(folder)(data_dir=target)


def _official() -> dict[str, str]:
    return {info.filename: info.checksum for info in builders.raw_files(NAME).values()}


def _genuine(folder: Path) -> Any:
    return builders.builder_class(NAME)(data_dir=folder)


def _publisher(folder: Path, name: str) -> bytes:
    return idx.with_header((folder / name).read_bytes(), name.removesuffix(".gz"), MTIMES[name])


def _prepare_official(target: Path, files: Path | None) -> Any:
    """Have TFDS's builder prepare `target` from the four files, or from its own download; TFDS checks the sums."""
    with tempfile.TemporaryDirectory() as manual, sources.staged(target) as stage:
        for name in MTIMES if files else ():
            (Path(manual) / name).write_bytes(_publisher(files, name))
        builders.prepare(_genuine(stage), stage / "downloads", Path(manual))
    return _genuine(target)


def _prepare_debian(target: Path) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        root = packages.fetch_debian(PACKAGE, Path(folder))
        return _prepare_official(target, root / SYSTEM.relative_to("/"))


def _prepare_own(target: Path, files: Path) -> None:
    with sources.staged(target) as stage:
        builders.prepare(_own(files)(data_dir=stage), stage / "downloads")


def _own(files: Path) -> type[Any]:
    """Return the genuine builder with one change: it reads the user's files, however many examples they have."""

    def split_generators(self: Any, _: Any) -> dict[str, Iterator]:
        return {"train": examples("train"), "test": examples("t10k")}

    def examples(part: str) -> Iterator[tuple[int, dict[str, Any]]]:
        images, labels = _checked(files, part)
        for index, (image, label) in enumerate(zip(images[..., None], labels, strict=True)):
            yield index, {"image": image, "label": int(label)}

    parent = builders.builder_class(NAME)
    return builders.derived(parent, "FashionMnistFiles", {"_split_generators": split_generators})


def _checked(files: Path, part: str) -> tuple[Any, Any]:
    images = idx.read(files / f"{part}-images-idx3-ubyte.gz")
    labels = idx.read(files / f"{part}-labels-idx1-ubyte.gz")
    if images.shape[1:] != (28, 28):
        raise DataError(f"{part}-images in {files} has the shape {images.shape}, but Fashion-MNIST is (N, 28, 28)")
    if labels.shape != images.shape[:1] or not len(labels):
        raise DataError(f"{files} has {len(images)} {part} images but labels of the shape {labels.shape}")
    if labels.max() > 9:
        raise DataError(f"{part}-labels in {files} has the label {labels.max()}, but the classes are 0 to 9")
    return images, labels


def _dataset(builder: Any, source: str, policy: tuple[int, int, int] | None, split: str, cache: Path) -> Dataset:
    count = {name: info.num_examples for name, info in builder.info.splits.items()}
    first, second = splits.bounds(policy, count["train"]) if policy else (count["train"] - count["train"] // 12,) * 2
    ranges = {"train": f"train[:{first}]", "validation": f"train[{first}:]", "test": "test"}
    if policy:
        ranges |= {"validation": f"train[{first}:{second}]", "test": f"train[{second}:]"}
    parts = {name: builders.read(builder, taken) for name, taken in ranges.items()}
    info = Info(
        name=NAME,
        source=source,
        licence="MIT",
        homepage=builder.info.homepage,
        features={"image": "uint8 (28, 28, 1), PNG bytes", "label": "int64, 0 to 9"},
        counts={name: int(part.cardinality()) for name, part in parts.items()},
        class_names=tuple(builder.info.features["label"].names),
        statistics=_statistics(Path(builder.data_path), cache, first, parts["train"]),
        sha256={info.filename: info.checksum for info in builders.raw_files(NAME).values()}
        if "own" not in source
        else {},
        split=split,
    )
    return Dataset(**parts, info=info)


def _statistics(records: Path, cache: Path, first: int, train: tf.data.Dataset) -> dict[str, float]:
    """Mean and deviation of the train pixels in [0, 1], computed once per prepared data and split."""
    if not records.is_relative_to(cache):
        return _measure(train)  # a folder of the user's own, which may change under us: not remembered
    path = records / f"statistics-{first}.json"
    if not path.exists():
        sources.write_atomic(path, json.dumps(_measure(train)))
    return json.loads(path.read_text())


def _measure(train: tf.data.Dataset) -> dict[str, float]:
    pixels = train.map(_pixels, num_parallel_calls=tf.data.AUTOTUNE).batch(1000)
    count, total, squares = 0, 0, 0
    for batch in pixels:
        count += batch.shape[0] * batch.shape[1]
        total += int(tf.reduce_sum(batch))
        squares += int(tf.reduce_sum(batch * batch))
    mean = total / count
    return {"mean": mean / 255, "std": (squares / count - mean**2) ** 0.5 / 255}


def _pixels(example: dict[str, Any]) -> tf.Tensor:
    return tf.cast(tf.reshape(tf.io.decode_png(example["image"], channels=1), [784]), tf.int64)
