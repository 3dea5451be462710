"""IMDB reviews, negative or positive (Maas 2011, https://aclanthology.org/P11-1015).

Sources:   data_dir (a .csv with the columns text and label, or a folder for each class), the prepared cache, TFDS
           download. Without a network use `movie_reviews`.
Features:  {"text": UTF-8 string, "label": int64}.
Splits:    "official" is TFDS's: 25,000 to train, of which the last 2,500 validate, and 25,000 to test. Percentages
           divide the 25,000, or all of the user's texts (90/5/5 by default).
Licence:   for research (Maas 2011).
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import search, storage, tfds
from pipelines.text import labelled
from zoobase.files import cache_root

NAME = "imdb_reviews"
CLASSES = ("neg", "pos")
HINT = "a network, --data-dir with your own texts, or --set data=movie_reviews"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        source, rows_by_split = _search(cache_root(cache_dir) / NAME)
        first, second = splits.bounds(policy, len(rows_by_split["train"])) if policy else (22_500, 25_000)
        rows = rows_by_split["train"]
        parts = {
            "train": rows[:first],
            "validation": rows[first:second],
            "test": rows[second:] or rows_by_split["test"],
        }
        classes = CLASSES
    else:
        source, parts, classes = labelled.read_own(NAME, data_dir, policy or (90, 5, 5))
    return labelled.dataset(
        parts,
        classes,
        name=NAME,
        source=source,
        licence="for research (Maas 2011)" if data_dir is None else "your own data",
        homepage="https://ai.stanford.edu/~amaas/data/sentiment/",
        split=split,
    )


def _search(cache: Path) -> tuple[str, dict[str, labelled.Rows]]:
    target = cache / "plain_text"

    def make_sources() -> list[search.Source[dict[str, labelled.Rows]]]:
        url = next(iter(tfds.raw_files(NAME)))
        check, load_data = lambda: search.check_url(url), lambda: _prepare(target)
        return [search.Source(f"TFDS download of {NAME}", check, load_data, ", preparing it once")]

    return search.load_prepared(NAME, {target: _read}, make_sources, HINT)


def _builder(folder: Path) -> object:
    return tfds.builder_class(NAME)(data_dir=folder, config="plain_text")


def _prepare(target: Path) -> dict[str, labelled.Rows]:
    with storage.staged(target) as stage:
        tfds.prepare(_builder(stage), stage / "downloads")
    return _read(target)


def _read(folder: Path) -> dict[str, labelled.Rows]:
    builder = _builder(folder)
    return {
        part: [
            (example["text"].decode(), CLASSES[example["label"]])
            for example in tfds.read(builder, part).as_numpy_iterator()
        ]
        for part in ("train", "test")
    }
