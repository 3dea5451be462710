"""English and Spanish verses of the Bible: the World English Bible, and Reina-Valera of 1909.

Sources:   data_dir (a .csv or .tsv with the columns source and target), the prepared cache, the Debian packages
           sword-text-web and sword-text-sparv, each installed or downloaded without root.
Features:  {"source": "God said, “Let there be light,” and there was light.", "target": "Y dijo Dios: Sea la luz: y fué
           la luz."}, UTF-8 strings. Pairs are those verses of the 66 books of both that have at most 25 words each.
Alignment: by book, chapter and number of the verse. The two texts number some verses differently: see `align`.
Splits:    there are no official splits; "official" is 90/5/5 by the hash of the chapter, so that no chapter is in two
           splits; validation and test have no verse whose English text is also in training. Percentages divide the
           training part in the order of the Bible, or all of the user's pairs (90/5/5 by default).
Licence:   public domain, both texts.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.dataset import Dataset
from pipelines.sources import packages, search, storage, sword
from pipelines.text import labelled, pairs
from zoobase.files import cache_root

NAME = "verses"
_MODULES = "/usr/share/sword/modules/texts/ztext"
ENGLISH = packages.Debian(
    "sword-text-web",
    f"{_MODULES}/engWEB2015eb",
    sha256="b2029a802c44f1d6103de45e9ef5c64a9bd66466776e593e386b5ea84bfc110f",
)
SPANISH = packages.Debian(
    "sword-text-sparv",
    f"{_MODULES}/spaRV1909eb",
    sha256="c39b44396b6898a05b3753ac6c55c88f1a5a41f1fd6a0bc5dac7fe96aca5141b",
)
HINT = "sudo apt-get install sword-text-web sword-text-sparv (or --data-dir with your own .csv or .tsv)"
OFFICIAL = (90, 5, 5)
MOST_WORDS = 25  # of a verse in each language, so that decoding takes at most about 30 steps
MOST_RATIO = 2.0  # of the lengths in characters of two verses
MOST_DEVIATION = 0.25  # mean absolute logarithm of that ratio in a chapter; the median is 0.10

Row = tuple[str, str, str]  # (English, Spanish, chapter)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    return pairs.load(
        NAME,
        data_dir,
        split,
        lambda: _official(cache_root(cache_dir) / NAME),
        licence="public domain",
        homepage="https://ebible.org/web/, https://ebible.org/spaRV1909/",
        sha256_of=lambda source: ENGLISH.sha256_of(source) | SPANISH.sha256_of(source),
    )


def align(english: Mapping[str, Sequence[str]], spanish: Mapping[str, Sequence[str]]) -> list[Row]:
    """Return the verses that are in both texts, of at most `MOST_WORDS` words each, with their chapter.

    A chapter is left out if its verses are numbered differently: if the number of verses differs, if the last verse is
    missing in one text only, or if the lengths deviate as those of unrelated verses do (`MOST_DEVIATION`). A pair is
    left out if one verse is more than `MOST_RATIO` times as long as the other, as where one text has two verses in one.
    """
    rows: list[Row] = []
    for chapter, targets in spanish.items():
        sources = english.get(chapter, ())
        both = [pair for pair in zip(sources, targets, strict=False) if all(pair)]
        deviations = [abs(math.log(len(source) / len(target))) for source, target in both]
        if (
            len(sources) == len(targets) > 0
            and both
            and bool(sources[-1]) == bool(targets[-1])
            and sum(deviations) <= MOST_DEVIATION * len(both)
        ):
            rows += [
                (*pair, chapter)
                for pair, deviation in zip(both, deviations, strict=True)
                if deviation <= math.log(MOST_RATIO) and max(len(text.split()) for text in pair) <= MOST_WORDS
            ]
    return rows


def divide(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows by split: 90/5/5 by the hash of the chapter; no English text of training is in another split."""
    parts = labelled.divide(rows, OFFICIAL, key=2)
    trained = {source for source, _, _ in parts["train"]}
    return {name: [row for row in part if name == "train" or row[0] not in trained] for name, part in parts.items()}


def _official(cache: Path) -> tuple[str, dict[str, list[Row]]]:
    target, used = cache / "pairs", []
    both = search.Source("two Bibles", lambda: None, lambda: _prepare(target, used))
    source, rows = search.load_prepared(NAME, {target: _read}, lambda: [both], HINT)
    return " and ".join(used) or source, divide(rows)


def _prepare(target: Path, used: list[str]) -> list[Row]:
    """Align the texts of the two packages; the source of each is appended to `used`."""
    texts = []
    for package in (ENGLISH, SPANISH):
        source, verses = search.search(NAME, package.sources(sword.chapters), HINT)
        used.append(source)
        texts.append(verses)
    with storage.staged(target) as stage:
        labelled.write_jsonl(stage / "pairs.jsonl", align(*texts))
    return _read(target)


def _read(folder: Path) -> list[Row]:
    return labelled.read_jsonl(folder / "pairs.jsonl")
