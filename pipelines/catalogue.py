"""The datasets by name: those of this package, of folders in `ZOO_DATASETS_PATH`, and of other packages.

A dataset is a Python file with a function `load(data_dir, cache_dir, split)`, or a row of a file with several: {name:
object with a method `load` and a literal `doc`} in `DATASETS`. Listing reads files without importing
them, so that it does not import TensorFlow; a file is imported when its dataset is loaded.
"""

import ast
import dataclasses
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.dataset import Dataset, Info
from pipelines.sources import remote
from zoobase import describe_cause, suggestion
from zoobase.errors import FAILED, MISSING, USAGE, DataError
from zoobase.plugins import UNREADABLE, catalogue, entry_points, load_module, unreadable, warn

OWN = "own_"  # begins the name of one's own data in a folder that is named as published data
ENTRY_POINTS = "zoo.datasets"  # for other packages: `[zoo.datasets] name_of_the_dataset = package.module`
HERE = Path(__file__).parent / "datasets"
_ROWS = b"\nDATASETS = {"
UNCHANGED = ("huggingface", "shards")  # these read names and URLs themselves


@dataclass(frozen=True)
class Entry:
    """A dataset that is known by name, and the file that loads it."""

    name: str
    module: str
    path: Path
    doc: str = ""  # that of a row

    @property
    def summary(self) -> str:
        """The first line of the docstring of its file."""
        return self.docstring.split("\n")[0]

    @property
    def docstring(self) -> str:
        """Its docstring: sources, features, splits and licence; of a row with what all rows of its file share."""
        of_file = ast.get_docstring(ast.parse(self.path.read_text(encoding="utf-8"))) or ""
        title, _, own = self.doc.partition("\n\n")
        return "\n".join([title, "", of_file.partition("\n\n")[2], own.strip()]) if self.doc else of_file

    @property
    def needs_data_dir(self) -> bool:
        """Whether there is no source but the user's own data."""
        sources = re.search(r"^Sources: +(.+)", self.docstring, re.MULTILINE)
        return bool(sources and re.match(r"data_dir( only|:| \(.*required\))", sources[1]))


def entries() -> dict[str, Entry]:
    """Return every dataset by name, in alphabetical order, without importing any of them."""
    # What cannot be read, or is taken, is left out with a warning. Files without `load` are no datasets.
    datasets: dict[str, Entry] = {}
    for entry in _sources():
        if entry.name in datasets:
            first = datasets[entry.name].path
            warn(f"dataset {entry.name!r} of {entry.path} is left out, because {first} has this name")
        else:
            datasets[entry.name] = entry
    return dict(sorted(datasets.items()))


def _sources() -> Iterator[Entry]:
    for module, path in catalogue("pipelines.datasets"):
        if rows := _rows(path, path.stat().st_mtime_ns):
            yield from (Entry(name, module, path, doc) for name, doc in rows.items())
        elif path.parent == HERE or _loads(path):  # our own need no look
            yield Entry(path.stem, module, path)
    for name, module, path in entry_points(ENTRY_POINTS):
        if _loads(path, required=True):
            yield Entry(name, module, path)


@functools.lru_cache(maxsize=512)
def _rows(path: Path, mtime_ns: int) -> dict[str, str]:  # mtime_ns: part of the cache key
    """Return {name: doc} of the rows of `DATASETS` in a file; empty if it has none."""
    if _ROWS not in path.read_bytes():
        return {}
    assigned = (node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign))
    table = next(node.value for node in assigned if ast.unparse(node.targets[0]) == "DATASETS")
    docs = [ast.literal_eval(next(k.value for k in row.keywords if k.arg == "doc")) for row in table.values]
    return dict(zip(map(ast.literal_eval, table.keys), docs, strict=True))


def _loads(path: Path, required: bool = False) -> bool:
    """Return whether a file defines `load`; a file that cannot be read, or lacks it if `required`, is warned of."""
    try:
        loads = _defines_load(path, path.stat().st_mtime_ns)
        reason = "" if loads or not required else "it has no function load(data_dir, cache_dir, split)"
    except UNREADABLE as error:
        loads, reason = False, unreadable(error)
    if reason:
        warn(f"dataset file {path} is left out, because {reason}")
    return loads


@functools.lru_cache(maxsize=512)
def _defines_load(path: Path, mtime_ns: int) -> bool:  # mtime_ns: part of the cache key
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.asname or alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        names += [ast.unparse(target) for target in node.targets] if isinstance(node, ast.Assign) else []
        names += [node.name] if isinstance(node, ast.FunctionDef) else []
        if "load" in names:
            return True
    return False


def list_datasets() -> list[str]:
    """Return the names of all datasets in alphabetical order. Does not import TensorFlow.

    Example:
        >>> "fashion_mnist" in list_datasets()
        True
    """
    return list(entries())


def get_entry(name: str) -> Entry:
    """Return a dataset's entry; DataError with the closest matches for an unknown name."""
    datasets = entries()
    if name not in datasets:
        raise DataError(f"unknown dataset {name!r}; {suggestion(name, datasets)}", USAGE)
    return datasets[name]


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    split: str = "official",
) -> Dataset:
    """Find a dataset, prepare it once, and return its splits.

    Args:
        name: One of `list_datasets()`.
        data_dir: The user's own data, in a format that the dataset's file documents; no other source is then tried.
            Also one file at a URL, such as s3://BUCKET/a.csv, or a zip file of folders.
        cache_dir: Folder of prepared data; by default $ZOO_CACHE, else keras-proof-zoo in the user's cache.
        split: "official", or percentages of the official training set for train, validation and test: "60/20/20".

    Returns:
        Finite, ordered, deterministic splits of feature dicts, with their metadata.

    Raises:
        DataError: The name or the split is unknown, no source has the data, the data is damaged, or the file of the
            dataset cannot be imported.

    Example:
        >>> data = load("digits")
        >>> data.info.counts
        {'train': 1257, 'validation': 270, 'test': 270}
        >>> sorted(data.train.element_spec)
        ['image', 'label']
    """
    entry = get_entry(name)
    try:
        module = load_module(entry.module)
    except Exception as error:  # the code of another package can raise anything
        code = MISSING if isinstance(error, ImportError) else FAILED
        raise DataError(
            f"dataset {name!r} cannot be imported from {entry.path}: {describe_cause(error)}", code
        ) from error
    place = data_dir
    if data_dir is not None and name not in UNCHANGED:
        is_remote = remote.is_url(data_dir) or str(data_dir).lower().endswith(".zip")
        place = remote.local(data_dir, cache_dir) if is_remote else data_dir
    loader = module.DATASETS[name] if entry.doc else module
    dataset = loader.load(place, cache_dir, split)
    if not isinstance(dataset, Dataset):
        raise DataError(f"load of {entry.path} returned {type(dataset).__name__}, not a pipelines.Dataset")
    if data_dir is not None and dataset.info.is_own and name != "shards":  # whose manifest has the name of the data
        source = dataset.info.source.replace(str(place), str(data_dir))
        info = dataclasses.replace(dataset.info, name=own_name(data_dir), source=source, homepage="")
        return dataclasses.replace(dataset, info=info)
    return dataset


def as_features(cells: Mapping[str, Sequence[str]], info: Info) -> Mapping[str, Sequence[str]]:
    """Return the columns of a file of a dataset's raw form (`from_raw` in its file) as its features."""
    settings = dict(info.statistics.get("raw", {}))
    entry = entries().get(settings.pop("dataset", info.name))
    convert = getattr(load_module(entry.module), "from_raw", None) if entry is not None else None
    return cells if convert is None else convert(cells, **settings)


def own_name(data_dir: str | os.PathLike) -> str:
    """Return the name of a user's own data: that of its file or folder, and never that of a published dataset."""
    name = Path(str(data_dir).partition("?")[0]).expanduser().absolute().stem or "data"
    return f"{OWN}{name}" if name in list_datasets() else name
