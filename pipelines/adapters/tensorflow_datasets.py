"""Any dataset of TensorFlow Datasets that has labelled images or texts."""

import os
from pathlib import Path
from typing import Any

import tensorflow_datasets

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import tfds
from zoobase import suggestion
from zoobase.errors import MISSING, USAGE, DataError
from zoobase.files import cache_root

SHARE = 10  # percent of train, of each split that the dataset does not have


def from_tfds(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    split: str = "official",
) -> Dataset:
    """Return a TFDS dataset of labelled images or texts, for `zoo.train.run(NAME, dataset=...)`.

    Args:
        name: Its name in the catalogue of TFDS, with a configuration where there are several: "glue/sst2".
        data_dir: A TFDS folder in which it is prepared; else it is downloaded and prepared once.
        cache_dir: Folder of prepared data; by default as in `load`.
        split: "official", the splits of TFDS; if it has no validation or no test split, the last tenths of train. Or
            percentages of train, validation and test: "60/20/20".

    Returns:
        Splits with the features `image` (encoded bytes) or `text` (UTF-8), and `label` int64.

    Raises:
        DataError: The name is unknown, the dataset is not available, or it has no images or texts with one label each.

    Example:
        >>> data = from_tfds("cifar10")  # doctest: +SKIP
        >>> from_tfds("rock_paper_scisors")
        Traceback (most recent call last):
            ...
        zoobase.errors.DataError: unknown TFDS dataset 'rock_paper_scisors'; did you mean rock_paper_scissors?
    """
    policy = splits.percentages(split)
    source, builder = _builder(name, data_dir, cache_dir)
    features, descriptions, statistics = _features(name, builder)
    return tfds.dataset(
        builder,
        _parts(name, set(builder.info.splits), policy),
        lambda example: {ours: example[theirs] for ours, theirs in features.items()},
        descriptions,
        statistics,
        label=features["label"],
        name=f"tfds/{name}",
        source=source,
        licence=builder.info.redistribution_info.license or "see the homepage",
        split=split,
    )


def _builder(name: str, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None) -> tuple[str, Any]:
    """Return the source and a prepared builder."""
    dataset, _, config = name.partition("/")
    if data_dir is not None:
        folder = Path(data_dir).expanduser()
        try:
            builder = tensorflow_datasets.builder(name, data_dir=folder, try_gcs=False)
        except tensorflow_datasets.core.registered.DatasetNotFoundError:
            raise DataError(f"{folder} has no TFDS dataset {name!r}", MISSING) from None
        if not builder.data_path.exists():
            raise DataError(f"{folder} has no TFDS dataset {name!r}", MISSING)
        return f"TFDS folder {data_dir}", builder
    known = tensorflow_datasets.list_builders(with_community_datasets=False)
    if dataset not in known:
        raise DataError(f"unknown TFDS dataset {dataset!r}; {suggestion(dataset, known)}", USAGE)
    ready = cache_root(cache_dir) / "tfds" / name.replace("/", "_") / "official"
    hint = f'from_tfds("{name}", data_dir=FOLDER) with a TFDS folder in which it is prepared'
    urls = [url for url in tfds.raw_files(dataset) if config in url]
    url = urls[0] if urls else tfds.builder_class(dataset)(data_dir=ready).info.homepage
    return tfds.download(dataset, ready, hint, url, config)


def _features(name: str, builder: Any) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    """Return our feature -> the TFDS feature, the description of the input, and its statistics."""
    kinds, keys = tensorflow_datasets.features, builder.info.supervised_keys
    source, label = keys if isinstance(keys, tuple) and len(keys) == 2 else (None, "label")
    features = dict(builder.info.features.items())
    source = source or next((n for n, f in features.items() if isinstance(f, kinds.Image | kinds.Text)), None)
    is_label = isinstance(label, str) and isinstance(features.get(label), kinds.ClassLabel)
    kind = features.get(source) if isinstance(source, str) else None
    if is_label and isinstance(kind, kinds.Image):
        shape = list(kind.shape)
        return (
            {"image": source, "label": label},
            {"image": "encoded image bytes"},
            {"image_shape": shape if all(shape) else None},
        )
    if is_label and isinstance(kind, kinds.Text):
        return {"text": source, "label": label}, {"text": "string, UTF-8"}, {}
    raise DataError(
        f"the TFDS dataset {name!r} has no images or texts with one label each; its features are "
        f"{', '.join(sorted(features))}",
        USAGE,
    )


def _parts(name: str, available: set[str], policy: tuple[int, int, int] | None) -> dict[str, str]:
    """Return our split -> TFDS split."""
    if "train" not in available:
        raise DataError(f"the TFDS dataset {name!r} has no split train; it has {', '.join(sorted(available))}", USAGE)
    official = {part: part for part in ("validation", "test") if part in available and policy is None}
    shares = [0 if part in official else SHARE for part in ("validation", "test")]
    divided = tfds.slices(policy or (100 - sum(shares), *shares))
    return divided | ({"train": "train"} if len(official) == 2 else {}) | official
