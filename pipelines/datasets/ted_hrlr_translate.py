"""Talks in Portuguese and in English, sentence by sentence (Qi 2018, arXiv:1804.06323).

Sources:   data_dir (a .csv or .tsv with the columns source and target), the prepared cache, TFDS download. Without a
           network use `dates`.
Features:  {"source": Portuguese, "target": English}, UTF-8 strings.
Splits:    "official" is TFDS's: 51,785 / 1,193 / 1,803. Percentages divide the 51,785, or all of the user's pairs
           (90/5/5 by default).
Licence:   CC BY-NC-ND 4.0 (TED).
"""

import os

from pipelines.dataset import Dataset
from pipelines.sources import tfds
from pipelines.text import pairs
from zoobase.files import cache_root

NAME = "ted_hrlr_translate"
CONFIG, LANGUAGES = "pt_to_en", ("pt", "en")
HINT = "a network, --data-dir with your own pairs, or --set data=dates"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    return pairs.load(
        NAME,
        data_dir,
        split,
        lambda: _official(cache_dir),
        licence="CC BY-NC-ND 4.0",
        homepage="https://github.com/neulab/word-embeddings-for-nmt",
    )


def _official(cache_dir: str | os.PathLike | None) -> tuple[str, dict[str, pairs.Rows]]:
    source, builder = tfds.download(NAME, cache_root(cache_dir) / NAME / CONFIG, HINT, config=CONFIG)
    parts = {part: tfds.read(builder, part).as_numpy_iterator() for part in ("train", "validation", "test")}
    return source, {
        part: [tuple(example[language].decode() for language in LANGUAGES) for example in examples]
        for part, examples in parts.items()
    }
