"""WordNet 3.0: glosses of 117,659 English synonym sets, with examples (Miller 1995, doi:10.1145/219717.219748).

Sources:   data_dir (a .txt file, or a folder of them), the prepared cache, the Debian package wordnet-base, installed
           or downloaded without root.
Features:  {"text": UTF-8 string}; one example per set: `car, auto: a motor vehicle with four wheels; "he needs a car"`.
Splits:    "official" is defined here: 94/3/3 by the hash of the text. Percentages divide its training part.
Licence:   WordNet 3.0 licence (Princeton University), which permits any use with its notice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.sources import packages
from pipelines.text import packaged_corpus

NAME = "wordnet"
FILES = ("data.noun", "data.verb", "data.adj", "data.adv")


def plain(line: str) -> str:
    """Return a line of a WordNet file (its manual page is wndb(5WN)) as the words of the group and their gloss."""
    fields, gloss = line.split("|", 1)
    numbers = fields.split()
    group = numbers[4 : 4 + 2 * int(numbers[3], 16) : 2]
    group = [re.sub(r"\(.*\)", "", word).replace("_", " ") for word in group]  # (p): the position of an adjective
    return f"{', '.join(group)}: {gloss.strip()}"


def _texts(folder: Path) -> Iterator[str]:
    for file in FILES:
        for line in (folder / file).read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):  # the licence
                yield plain(line)


CORPUS = packaged_corpus.TextCorpus(
    name=NAME,
    origin=packages.Debian("wordnet-base", "/usr/share/wordnet"),
    texts=_texts,
    licence="WordNet 3.0 licence (Princeton University)",
    homepage="https://wordnet.princeton.edu",
    hint="sudo apt-get install wordnet-base (or --data-dir with a .txt file)",
)
load = CORPUS.load
