"""Arrays as feature columns: images become uint8 or encoded bytes, texts UTF-8, numbers float32, classes int64."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import tabular
from pipelines.tabular import plain_name
from zoobase.errors import USAGE, DataError

Columns = dict[str, np.ndarray]  # feature -> (N, ...): uint8 images, object (str or bytes), float32
NAMED = ("image", "text")  # features that tasks know by name; the columns of a table have any other


def read(x: Any, part: str) -> Columns:
    """Return the features of `x` of `from_arrays` by name; DataError if their lengths differ."""
    if isinstance(x, Sequence) and x and isinstance(x[0], Mapping):  # rows
        x = {name: [row.get(name) for row in x] for name in dict.fromkeys(name for row in x for name in row)}
    if hasattr(x, "get_columns"):  # a frame of polars
        x = {series.name: series.to_numpy() for series in x.get_columns()}
    columns = dict(x.items()) if hasattr(x, "items") else _named(_array(x), part)
    arrays = {str(name): _array(values) for name, values in columns.items()}
    arrays = {name: array if name in NAMED else _known(array) for name, array in arrays.items()}
    columns = {name: _column(array, f"{name} of {part}") for name, array in arrays.items()}
    if len({len(values) for values in columns.values()}) != 1:
        sizes = ", ".join(f"{name} {len(values)}" for name, values in columns.items()) or "there are no columns"
        raise DataError(f"the columns of {part} must have one length: {sizes}", USAGE)
    return columns


def of_file(path: Path, target: Any) -> tuple[Columns, np.ndarray]:
    """Return the columns of a table file, with inferred types, and its target; DataError if it has no such column."""
    cells = tabular.read_table(path)
    if target not in cells:
        raise DataError(f"{path} has no column {target!r}: y is the name of one of {', '.join(cells)}", USAGE)
    types, columns = tabular.types_of(cells, {}, target), {}
    for name, kind in types.items():
        columns |= {} if kind == "ignored" else tabular.values_of(name, cells[name], kind)
    return columns, columns.pop(target)


def _known(array: np.ndarray) -> np.ndarray:
    """Return an array without None: strings with "", numbers with NaN, which models of tables take as missing."""
    if array.dtype != object or array.ndim != 1 or not any(missing := [*map(tabular.is_none, array)]):
        return array
    kinds = {str if isinstance(value, str) else float for value in array[~np.array(missing)]}
    empty = "" if kinds == {str} else np.nan
    filled = np.array([empty if is_none else value for value, is_none in zip(array, missing, strict=True)], object)
    return filled if str in kinds else filled.astype(float)


def _array(values: Any) -> np.ndarray:
    """Return an array; a sequence of bytes or strings becomes objects, because NumPy cuts zeros at the end of bytes."""
    if isinstance(values, Sequence) and values and isinstance(values[0], str | bytes):
        array = np.empty(len(values), object)
        array[:] = values
        return array
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "US" or array.dtype.name.startswith("str") else array


def _named(array: np.ndarray, part: str) -> dict[str, np.ndarray]:
    """Return the features of one array, by its shape and dtype."""
    if array.ndim in (3, 4):
        return {"image": array}
    if array.ndim == 1 and array.dtype == object:
        return {"image" if len(array) and isinstance(array[0], bytes) else "text": array}
    if array.ndim == 2 and array.dtype.kind in "biuf":
        return {f"feature_{i}": values for i, values in enumerate(array.T)}
    raise DataError(
        f"{part} has shape {array.shape} and dtype {array.dtype}: give images (N, H, W) or (N, H, W, C), texts (N,), a "
        "table (N, columns), or a dict of such arrays by feature",
        USAGE,
    )


def _column(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim in (3, 4):
        return _images(array, where)
    if array.ndim == 1 and array.dtype.kind in "biuf":
        return _numbers(array, where)
    if array.ndim == 1 and array.dtype == object:
        kind = bytes if len(array) and isinstance(array[0], bytes) else str
        wrong = next((i for i, value in enumerate(array) if not isinstance(value, kind)), None)
        if wrong is not None:
            raise DataError(f"{where}, row {wrong}: {array[wrong]!r:.80} is not {kind.__name__}", USAGE)
        return array
    raise DataError(f"{where} has shape {array.shape} and dtype {array.dtype}, which is no column of examples", USAGE)


def _images(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype != np.uint8:
        raise DataError(
            f"{where} is {array.dtype}: images are uint8 in [0, 255]; scaling belongs into the model", USAGE
        )
    images = array[..., None] if array.ndim == 3 else array
    if images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{where} has shape {array.shape}: images are (N, H, W), or (N, H, W, C) with 1 or 3 channels", USAGE
        )
    return images


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    wrong = np.flatnonzero(np.abs(values) > tabular.LARGEST)  # NaN is a missing number
    if wrong.size:
        row = int(wrong[0])
        raise DataError(f"{where}, row {row}: {array[row]} is not a finite number up to {tabular.LARGEST:g}", USAGE)
    return values


def is_table(columns: Mapping[str, np.ndarray]) -> bool:
    """Whether all features are columns of a table: no images, and no feature with the name of a task's input."""
    return not set(NAMED) & set(columns) and all(v.ndim == 1 and not _encoded(v) for v in columns.values())


def plain_names(columns: Columns) -> Columns:
    """Return columns under names that every format takes; DataError if two differ in punctuation only."""
    renamed = {plain_name(name): values for name, values in columns.items()}
    if len(renamed) < len(columns):
        raise DataError("two columns have the same name but for punctuation: rename one", USAGE)
    return renamed


def _encoded(values: np.ndarray) -> bool:
    return values.dtype == object and len(values) > 0 and isinstance(values[0], bytes)


def target(y: Any, part: str) -> np.ndarray:
    """Return labels or numbers (N,) as they are given; a last dimension of 1 is dropped."""
    array = _array(y)
    if (
        row := next((i for i, value in enumerate(array) if not np.ndim(value) and tabular.is_none(value)), None)
    ) is not None:
        raise DataError(f"the y of {part}, row {row}, is missing: remove the row", USAGE)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1:
        hint = "; of one-hot rows give y.argmax(axis=1)" if array.ndim == 2 else ""
        raise DataError(f"the y of {part} has shape {array.shape}, not (N,){hint}", USAGE)
    return array


def class_names(y: np.ndarray) -> tuple[str, ...]:
    """Return the classes of labels: the sorted names, or "0", "1", ... for class numbers."""
    if y.dtype.kind in "iu":
        return tuple(map(str, range(int(y.max(initial=-1)) + 1)))
    return tuple(sorted({str(label) for label in y}))


def labels(y: np.ndarray, names: Sequence[str], part: str) -> np.ndarray:
    """Return int64 labels (N,) of class numbers or names; DataError for one that is no class."""
    if y.dtype.kind == "f":
        raise DataError(f"the y of {part} is {y.dtype}: labels are class numbers or names; y.astype(int)?", USAGE)
    index = {name: i for i, name in enumerate(names)}
    numbers = y.astype(np.int64) if y.dtype.kind in "iu" else np.array([index.get(str(v), -1) for v in y], np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= len(names)))
    if wrong.size:
        raise DataError(
            f"the y of {part}, row {wrong[0]}: {str(y[wrong[0]])!r:.80} is not one of {len(names)} classes", USAGE
        )
    return numbers
