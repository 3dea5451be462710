"""Labelled texts: the user's table or folders, and datasets of rows."""

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import storage
from zoobase.errors import MISSING, USAGE, DataError

Rows = list[tuple[str, str]]  # (text, name of the class)
PARTS = ("train", "validation", "test")


def read(path: Path, grouping: splits.Grouping | None = None) -> list[tuple[str, ...]]:
    """Read a .csv or .tsv file with `text` and `label`, or a folder for each class: (text, class[, group or time])."""
    columns = ("text", "label") if grouping is None else ("text", "label", grouping.value)
    with _readable(path):
        if path.is_dir():
            files = sorted(path.glob("*/*.txt"))
            for file in files:
                storage.check_name(file)
                storage.check_size(file, storage.LARGEST_TEXT)
            rows = [(file.read_text(encoding="utf-8-sig"), file.parent.name) for file in files]
            if grouping is not None:
                names = [grouping.of_file(file.relative_to(path).as_posix()) for file in files]
                rows = [(*row, name) for row, name in zip(rows, names, strict=True)]
        else:
            rows = read_table(path, columns) if path.suffix.lower() in (".csv", ".tsv") else []
    if len({row[1] for row in rows}) < 2:
        raise DataError(
            f"{path} has no texts of two classes: give a .csv with the columns text and label, or a folder that has "
            "a folder of .txt files for each class",
            MISSING,
        )
    return rows


def read_table(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Read some columns of a .csv or .tsv file."""
    with _readable(path):
        storage.check_size(path)
    with _readable(path), path.open(encoding="utf-8-sig", newline="") as table:
        rows = csv.DictReader(table, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        if missing := set(columns) - set(rows.fieldnames or ()):
            raise DataError(
                f"{path} has no column {sorted(missing)[0]!r}; it needs the columns {' and '.join(columns)}", USAGE
            )
        return [tuple(row[column] or "" for column in columns) for row in rows]


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn errors of reading a file into a DataError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); convert it") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", MISSING) from error
    except csv.Error as error:
        raise DataError(f"{path} is not a table of columns ({error})") from error


def read_own(
    name: str, data_dir: str | os.PathLike, split: str, default: tuple[int, int, int]
) -> tuple[str, dict[str, Rows], list[str]]:
    """Return a description of the source, the user's texts by split, and their classes in label order."""
    source, path = f"your own texts in {data_dir}", Path(data_dir).expanduser()
    shares, grouping = splits.grouping(split, splits.FILES if path.is_dir() else splits.ROWS)
    policy = splits.percentages(shares) or default
    rows = read(path, grouping)
    if grouping is None:
        parts = divide(rows, policy)
    elif grouping.kind == "time":
        first, second = splits.bounds(policy, len(rows))
        rows = [row[:2] for row in sorted(rows, key=lambda row: row[2])]
        parts = {"train": rows[:first], "validation": rows[first:second], "test": rows[second:]}
    else:
        split_of = splits.of_groups([row[2] for row in rows], [row[1] for row in rows], policy)
        parts = {part: [row for row, i in zip(rows, split_of, strict=True) if PARTS[i] == part] for part in PARTS}
    storage.log.info("%s: %s", name, source)
    return source, parts, sorted({row[1] for row in rows})


def divide(rows: Sequence[tuple[str, ...]], policy: tuple[int, int, int], key: int = 0) -> dict[str, list]:
    """Divide rows by the hash of one of their fields, so that equal keys are in one split."""
    first, second = policy[0], policy[0] + policy[1]
    parts: dict[str, list] = {name: [] for name in PARTS}
    for row in rows:
        bucket = int(hashlib.sha256(row[key].encode("utf-8", "replace")).hexdigest(), 16) % 100
        parts[PARTS[(bucket >= first) + (bucket >= second)]].append(row)
    if not all(parts.values()):
        splits.bounds(policy, 0)  # raises
    return parts


def write_jsonl(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def read_jsonl(path: Path) -> list[tuple[str, ...]]:
    """Read rows that `write_jsonl` wrote."""
    with path.open(encoding="utf-8", newline="\n") as lines:  # U+2028 and the like do not end a line here
        return [tuple(json.loads(line)) for line in lines]


@dataclass(frozen=True)
class LabelledTexts:
    """A dataset of texts in classes, {"text": UTF-8 string, "label": int64}, or the user's own texts."""

    name: str
    licence: str
    homepage: str
    # (folder of the cache, percentages or None) -> the source, and the rows by split
    find: Callable[[str | os.PathLike | None, tuple[int, int, int] | None], tuple[str, Mapping[str, Rows]]]
    class_names: tuple[str, ...] = ()  # in label order; empty for the alphabetical order
    own: tuple[int, int, int] = (90, 5, 5)  # percentages of the user's texts
    sha256_of: Callable[[str], dict[str, str]] = lambda source: {}  # source -> checksums of its files
    group: str = ""  # what the third field of a row is, if examples that have it in common are not independent

    def load(self, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
        """See `pipelines.load`."""
        if data_dir is None:
            source, parts = self.find(cache_dir, splits.percentages(split))
            classes = self.class_names or sorted({row[1] for row in parts["train"]})
            about = {"licence": self.licence, "homepage": self.homepage, "sha256": self.sha256_of(source)}
            group = self.group
        else:
            source, parts, classes = read_own(self.name, data_dir, split, self.own)
            about, group = {"licence": OWN, "homepage": ""}, splits.kept_together(split)
        return dataset(parts, classes, group, name=self.name, source=source, split=split, **about)


def dataset(parts: Mapping[str, Rows], class_names: Sequence[str], group: str = "", **about: object) -> Dataset:
    """Return {"text": UTF-8 string, "label": int64} examples; DataError for a class without training texts."""
    # With `group` they carry the third field of the rows, and this is what it is.
    if missing := set(class_names) - {row[1] for row in parts["train"]}:
        raise DataError(f"{about['name']} has no training texts of the class {sorted(missing)[0]!r}")
    label = {name: i for i, name in enumerate(class_names)}
    info = Info(
        features={"text": "string, UTF-8", "label": "int64"},
        counts={name: len(rows) for name, rows in parts.items()},
        class_names=tuple(class_names),
        **about,
    )
    tensors = {
        name: {"text": [row[0] for row in rows], "label": tf.constant([label[row[1]] for row in rows], tf.int64)}
        for name, rows in parts.items()
    }
    texts = Dataset.of_columns(tensors, info)
    if not group or any(len(row) < 3 for rows in parts.values() for row in rows[:1]):
        return texts
    return splits.with_groups(texts, {name: [row[2] for row in rows] for name, rows in parts.items()}, group)
