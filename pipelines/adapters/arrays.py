"""Arrays and tables in memory as datasets."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import splits, tabular
from pipelines.adapters import columns as reading
from pipelines.adapters.columns import Columns
from pipelines.dataset import IN_MEMORY, OWN, Dataset, Info
from pipelines.tabular import plain_name
from zoobase.errors import USAGE, DataError

if TYPE_CHECKING:
    import tensorflow as tf

PARTS = ("train", "validation", "test")
OFFICIAL = (80, 10, 10)  # percentages


def from_arrays(
    x: Any,
    y: Any = None,
    *,
    validation: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    split: str = "80/10/10",
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
    **about: str,
) -> Dataset:
    """Return a dataset of arrays, for `zoo.train.run(NAME, dataset=...)`.

    Args:
        x: One of

            - images: uint8 (N, H, W) or (N, H, W, C) with 1 or 3 channels, or N encoded files as bytes,
            - texts: N strings,
            - a table: numbers (N, columns), a dict or data frame of columns of numbers and strings, dicts of rows, or
              the path of a .csv, .tsv or .parquet file; None and NaN are missing cells,
            - features by name: a dict of such arrays with the name `image` or `text`, or without `y`.
        y: Labels (N,): class numbers or names. Of a table also numbers, which are predicted as they are unless they
            are only 0 and 1, or `class_names` are given. Of a file the name of a column. None for data without labels.
        validation: (x, y) of the validation split; by default a part of `x`.
        test: (x, y) of the test split; by default a part of `x`.
        split: Percentages of train, validation and test, of which those of given splits belong to train; "official"
            is 80/10/10.
        seed: Seed of the division, which keeps the share of each class.
        class_names: Names in the order of class numbers; by default the numbers, or the sorted names.
        name: Name of the dataset in run folders, model cards and figures.
        **about: Other fields of `Info`: source, licence, homepage.

    Returns:
        Splits with the features `image` (PNG bytes) or `text`, and `label` int64; of a table its columns and `target`,
        or the name of the series `y`, float32. Names of columns keep letters, digits and underscores.

    Raises:
        DataError: An array has another shape or dtype, a label is no class, a class has no training examples, or a
            split would be empty.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> digits = load_digits()
        >>> data = from_arrays((digits.images * 15).astype("uint8"), digits.target)
        >>> data.info.counts, data.info.features["image"]
        ({'train': 1439, 'validation': 179, 'test': 179}, 'uint8 (8, 8, 1), PNG bytes')
    """
    if isinstance(x, str | Path):
        x, y = reading.of_file(Path(x).expanduser(), y)
    given = {"train": (x, y)} | {k: v for k, v in (("validation", validation), ("test", test)) if v is not None}
    features = {part: reading.read(pair[0], part) for part, pair in given.items()}
    targets = {part: None if pair[1] is None else reading.target(pair[1], part) for part, pair in given.items()}
    _check(features, targets)
    table = y is not None and reading.is_table(features["train"])
    features = {part: reading.plain_names(columns) for part, columns in features.items()} if table else features
    answer = _target_name(y, features["train"]) if table else "label"
    names = _class_names(targets["train"], table, class_names)
    for part, values in targets.items():
        if values is not None:
            values = _as_integers(values) if table and names else values
            labels = reading.labels(values, names, part) if names else reading.read({answer: values}, part)[answer]
            features[part][answer] = labels
    features |= _divide(features, answer if names else None, split, seed, table)
    if missing := set(range(len(names or ()))) - set(features["train"].get(answer, np.zeros(0, int)).tolist()):
        raise DataError(f"the class {names[min(missing)]!r} has no training examples", USAGE)
    if table:
        for values in features.values():
            values[answer] = values[answer].astype(np.float32)
    policy = "given" if len(given) == 3 else f"{split}, seed {seed}" if seed else split
    about = {"source": IN_MEMORY, "licence": OWN, "homepage": ""} | about
    return _dataset(features, answer, names, table, {**about, "name": name, "split": policy})


def from_python(data: Any) -> Dataset:
    """Return what `zoo.train.run` takes as a dataset: (x, y), batches or examples of such pairs, or a dataset.

    A `tf.data.Dataset`, a `keras.utils.PyDataset`, and any iterable with a length, are read once into memory.

    Raises:
        DataError: It has no end or no examples, or as in `from_arrays`.
    """
    if isinstance(data, Dataset):
        return data
    if not (isinstance(data, tuple) and len(data) == 2):
        is_stream = hasattr(data, "as_numpy_iterator")
        if not hasattr(data, "__len__") or (is_stream and int(data.cardinality()) < 0):
            raise DataError(f"a {type(data).__name__} without a length: its examples are not finite", USAGE)
        pairs = list(data.as_numpy_iterator() if is_stream else itertools.islice(data, len(data)))
        if not pairs or not all(isinstance(pair, tuple) and len(pair) >= 2 for pair in pairs):
            raise DataError(f"a {type(data).__name__} has pairs (x, y) for a training; this one has others", USAGE)
        join = np.concatenate if np.ndim(pairs[0][1]) else np.stack
        x, y = zip(*(pair[:2] for pair in pairs), strict=True)
        named = isinstance(x[0], Mapping)
        data = {k: _texts(join([part[k] for part in x])) for k in x[0]} if named else _texts(join(x)), join(y)
    return from_arrays(*data)


def _texts(array: np.ndarray) -> np.ndarray:
    """Return the strings of TensorFlow, which are bytes, as texts, unless they are files of images."""
    if array.dtype != object or array[0].startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM")):
        return array
    return np.array([value.decode("utf-8", "replace") for value in array], object)


def _check(features: Mapping[str, Columns], targets: Mapping[str, np.ndarray | None]) -> None:
    """Raise DataError if x and y differ in length, or a given split differs from train in its features."""
    kinds = {p: {n: (v.shape[1:], v.dtype.name) for n, v in columns.items()} for p, columns in features.items()}
    for part, columns in features.items():
        count, target = len(next(iter(columns.values()))), targets[part]
        if target is not None and len(target) != count:
            raise DataError(f"{part} has {count} examples in x and {len(target)} in y", USAGE)
        if count == 0:
            raise DataError(f"{part} has no examples", USAGE)
        if kinds[part] != kinds["train"] or (target is None) != (targets["train"] is None):
            raise DataError(f"the features of {part} differ from those of train in name, shape or dtype", USAGE)


def _target_name(y: Any, columns: Columns) -> str:
    name = getattr(y, "name", None)
    name = plain_name(name) if isinstance(name, str) else "target"
    if name in columns:
        raise DataError(f"the column {name} is in x and in y: leave it out of x", USAGE)
    return name


def _class_names(y: np.ndarray | None, table: bool, names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the classes of the labels; None if there are none, or the target is a number."""
    if y is None:
        return None
    if table and names is None and y.dtype.kind in "iuf" and not np.isin(y, (0, 1)).all():
        return None
    return tuple(map(str, names)) if names is not None else reading.class_names(_as_integers(y) if table else y)


def _as_integers(y: np.ndarray) -> np.ndarray:
    """Return the class numbers of a table, whose columns are often all floats, as integers."""
    return y.astype(np.int64) if y.dtype.kind == "f" and (y == np.floor(y)).all() else y


def _divide(
    features: Mapping[str, Columns], label: str | None, split: str, seed: int, table: bool
) -> dict[str, Columns]:
    """Return the splits: those that are given, and the others as shares of the first; of a table whole equal rows."""
    policy, columns = splits.percentages(split) or OFFICIAL, features["train"]
    count = len(next(iter(columns.values())))
    sizes = [0 if part in features else count * share // 100 for part, share in zip(PARTS[1:], policy[1:], strict=True)]
    if not all(size or part in features for part, size in zip(PARTS[1:], sizes, strict=True)) or sum(sizes) >= count:
        raise DataError(f"{count} examples are too few to be split {split}", USAGE)
    labels = columns[label] if label else np.zeros(count, np.int64)
    numbers = tabular.equal_rows(columns) if table else np.arange(count)
    divided = splits.of_equal_rows(numbers, labels, (count - sum(sizes), count - sizes[1]), seed)
    rows = dict(zip(PARTS, divided, strict=True))
    return {p: {n: v[rows[p]] for n, v in columns.items()} for p in PARTS if len(rows[p])}


def _dataset(
    features: Mapping[str, Columns], answer: str, names: tuple[str, ...] | None, table: bool, about: Mapping[str, str]
) -> Dataset:
    train = features["train"]
    if table:
        inputs = [column for column in train if column != answer]
        columns = tabular.describe(train, inputs)
        for column in columns:
            if "vocabulary" in column:  # without the missing
                column["vocabulary"] = [word for word in column["vocabulary"] if word]
        statistics = {"columns": columns, "target": tabular.describe(train, (answer,))[0]}
    else:
        statistics = _statistics(train, names)
    descriptions = {column: _describe(values) for column, values in train.items()}
    descriptions |= {} if table or names is None else {"label": f"int64, 0 to {len(names) - 1}"}
    info = Info(
        **about,
        features=descriptions,
        counts={part: len(next(iter(features[part].values()))) for part in PARTS},
        class_names=names,
        statistics=statistics,
        sha256={"arrays": _digest(features)},
    )
    return Dataset(**{part: _examples(features[part]) for part in PARTS}, info=info)


def _statistics(train: Columns, names: tuple[str, ...] | None) -> dict[str, Any]:
    statistics: dict[str, Any] = {}
    if names:
        counts = Counter(train["label"].tolist())
        statistics["class_counts"] = {class_name: counts[i] for i, class_name in enumerate(names)}
    if "image" in train:
        statistics["image_shape"] = _image_shape(train["image"])
    return statistics


def _image_shape(images: np.ndarray) -> list[int] | None:
    """Return (H, W, C) if all images have one size; else None."""
    if images.dtype == np.uint8:
        return list(images.shape[1:])
    from pipelines.images import header

    try:
        shapes = [header(content)[1] for content in images]
    except Exception as error:  # Pillow raises its own errors, OSError and others for damaged headers
        raise DataError(f"an encoded image cannot be read: {error}") from error
    same_size = len({shape[:2] for shape in shapes}) == 1
    return [*shapes[0][:2], max(shape[2] for shape in shapes)] if same_size else None


def _describe(values: np.ndarray) -> str:
    if values.dtype == np.uint8:
        return f"uint8 {values.shape[1:]}, PNG bytes"
    if values.dtype == object:
        return "encoded image bytes" if isinstance(values[0], bytes) else "string, UTF-8"
    return values.dtype.name


def _digest(features: Mapping[str, Columns]) -> str:
    """Return the sha256 of all splits: by it a run recognises its data when it is given again."""
    digest = hashlib.sha256()
    for part in PARTS:
        for name, values in sorted(features[part].items()):
            digest.update(f"{part} {name} {values.dtype} {values.shape}\n".encode())
            if values.dtype == object:
                for value in values:
                    digest.update(hashlib.sha256(_bytes(value)).digest())
            else:
                digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _examples(columns: Columns) -> tf.data.Dataset:
    """Return the rows as feature dicts; images are encoded when they are read."""
    import tensorflow as tf

    pixels = {name for name, values in columns.items() if values.dtype == np.uint8}
    tensors = {name: list(map(_bytes, v)) if v.dtype == object else v for name, v in columns.items()}
    rows = tf.data.Dataset.from_tensor_slices(tensors)
    if not pixels:
        return rows

    def encode(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {k: tf.io.encode_png(v, compression=1) if k in pixels else v for k, v in example.items()}

    return rows.map(encode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
