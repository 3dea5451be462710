"""The Collaborative International Dictionary of English: Webster's of 1913 with its quotations, and additions since.

Sources:   data_dir (a .txt file, or a folder of them), the prepared cache, the Debian package dict-gcide, installed
           or downloaded without root.
Features:  {"text": UTF-8 string}; one example per entry: the word, its meanings and quotations.
Splits:    "official" is defined here: 94/3/3 by the hash of the entry. Percentages divide its training part.
Licence:   GPL-2.0-or-later; Webster's of 1913 itself is in the public domain.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.sources import packages
from pipelines.text import packaged_corpus

NAME = "gcide"
FILE = "gcide.dict.dz"  # dictzip: gzip with an index that a reader may ignore
_HEAD = re.compile(r"\\[^\\]*\\,?")  # pronunciation
_BRACKETS = re.compile(r"\[[^\]]*\]")  # sources, etymology, "Obs."
_AUTHOR = re.compile(r"--\s?[A-Z][\w.' &]*(\n|$)")  # author of a quotation
_GRAMMAR = re.compile(
    r"\b(v|n|a|adj|adv|t|i|p|pr|vb|imp|Syn|pl|sing|superl|compar|Fig|i\. e|e\. g|etc|Obs|esp)\.(?=\s)"
)


def plain(entry: str) -> str:
    """Return an entry without pronunciation, grammar, etymology and authors of quotations, on one line."""
    entry = _HEAD.sub(" ", entry, count=1)
    for pattern in (_BRACKETS, _AUTHOR, _GRAMMAR):
        entry = pattern.sub(" ", entry)
    return " ".join(re.sub(r"[{}]", "", entry).split())


def _texts(folder: Path) -> Iterator[str]:
    text = gzip.decompress((folder / FILE).read_bytes()).decode("utf-8", "replace")
    for entry in re.split(r"\n(?=\S)", text):  # the lines within an entry are indented
        if not entry.startswith("00-database"):
            yield plain(entry)


CORPUS = packaged_corpus.TextCorpus(
    name=NAME,
    origin=packages.Debian("dict-gcide", "/usr/share/dictd"),
    texts=_texts,
    licence="GPL-2.0-or-later",
    homepage="https://gcide.gnu.org.ua",
    hint="sudo apt-get install dict-gcide (or --data-dir with a .txt file)",
)
load = CORPUS.load
