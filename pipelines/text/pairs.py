"""Pairs of source and target texts: the user's table, and datasets of rows."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import storage
from pipelines.text import labelled
from zoobase.errors import USAGE, DataError

Rows = list[tuple[str, str]]  # (source, target)


def load(
    name: str,
    data_dir: str | os.PathLike | None,
    split: str,
    official: Callable[[], tuple[str, Mapping[str, Rows]]],
    licence: str,
    homepage: str,
    sha256_of: Callable[[str], dict[str, str]] = lambda source: {},
) -> Dataset:
    """Return the splits of a dataset of pairs, official or of the user's own table; see `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        source, parts = official()
        if policy:
            rows = parts["train"]
            first, second = splits.bounds(policy, len(rows))
            parts = {"train": rows[:first], "validation": rows[first:second], "test": rows[second:]}
    else:
        source, parts = read_own(name, data_dir, policy or (90, 5, 5))
    licence = licence if data_dir is None else OWN
    return dataset(
        parts, name=name, source=source, licence=licence, homepage=homepage, sha256=sha256_of(source), split=split
    )


def read_own(name: str, data_dir: str | os.PathLike, policy: tuple[int, int, int]) -> tuple[str, dict[str, Rows]]:
    """Return the source, and the pairs by split, of a .csv or .tsv file with the columns `source` and `target`."""
    path = Path(data_dir).expanduser()
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{path} is not a .csv or .tsv file with the columns source and target", USAGE)
    description = f"your own pairs in {data_dir}"
    parts = labelled.divide(labelled.read_table(path, ("source", "target")), policy)
    storage.log.info("%s: %s", name, description)
    return description, parts


def dataset(parts: Mapping[str, Rows], **about: object) -> Dataset:
    """Return {"source": UTF-8 string, "target": UTF-8 string} examples of the rows by split."""
    info = Info(
        features={"source": "string, UTF-8", "target": "string, UTF-8"},
        counts={name: len(rows) for name, rows in parts.items()},
        **about,
    )
    columns = {n: {"source": [row[0] for row in rows], "target": [row[1] for row in rows]} for n, rows in parts.items()}
    return Dataset.of_columns(columns, info)
