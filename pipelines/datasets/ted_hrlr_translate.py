"""Talks in Portuguese and in English, sentence by sentence (Qi 2018, arXiv:1804.06323).

Sources:   data_dir (a .csv or .tsv with the columns source and target), the prepared cache, TFDS download. Without a
           network use `dates`.
Features:  {"source": Portuguese, "target": English}, UTF-8 strings.
Splits:    "official" is TFDS's: 51,785 / 1,193 / 1,803. Percentages divide the 51,785, or all of the user's pairs
           (90/5/5 by default).
Licence:   CC BY-NC-ND 4.0 (TED).
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.dataset import Dataset
from pipelines.sources import search, storage, tfds
from pipelines.text import pairs
from zoobase.files import cache_root

NAME = "ted_hrlr_translate"
CONFIG, LANGUAGES = "pt_to_en", ("pt", "en")
HINT = "a network, --data-dir with your own pairs, or --set data=dates"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    return pairs.load(
        NAME,
        data_dir,
        split,
        lambda: _search(cache_root(cache_dir) / NAME),
        licence="CC BY-NC-ND 4.0",
        homepage="https://github.com/neulab/word-embeddings-for-nmt",
    )


def _search(cache: Path) -> tuple[str, dict[str, pairs.Rows]]:
    target = cache / CONFIG

    def make_sources() -> list[search.Source[dict[str, pairs.Rows]]]:
        url = next(iter(tfds.raw_files(NAME)))
        check, load_data = lambda: search.check_url(url), lambda: _prepare(target)
        return [search.Source(f"TFDS download of {NAME}", check, load_data, ", preparing it once")]

    return search.load_prepared(NAME, {target: _read}, make_sources, HINT)


def _builder(folder: Path) -> object:
    return tfds.builder_class(NAME)(data_dir=folder, config=CONFIG)


def _prepare(target: Path) -> dict[str, pairs.Rows]:
    with storage.staged(target) as stage:
        tfds.prepare(_builder(stage), stage / "downloads")
    return _read(target)


def _read(folder: Path) -> dict[str, pairs.Rows]:
    builder = _builder(folder)
    return {
        part: [
            tuple(example[language].decode() for language in LANGUAGES)
            for example in tfds.read(builder, part).as_numpy_iterator()
        ]
        for part in ("train", "validation", "test")
    }
