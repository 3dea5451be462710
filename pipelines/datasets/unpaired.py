"""Your own pictures of two kinds, without pairs: what Zhu 2017, arXiv:1703.10593, learns from.

Sources:   data_dir: trainA, trainB, testA, testB (and validA, validB) as the published sets have, or two sub-folders of
           any names, of which the first by name is A.
Features:  {"a": image bytes, "b": image bytes}; who stands beside whom means nothing, and the smaller side repeats.
Splits:    "official" is the folder's own; what is missing is taken from train by the contents of the files (70/15/15).
Licence:   yours.
"""

from __future__ import annotations

import os

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.errors import USAGE, DataError
from pipelines.images import paired, stratified_split

NAME = "unpaired"
WANTED = "with trainA, trainB, testA and testB, or with two sub-folders"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    """See `pipelines.load`."""
    policy = splits.percentages(split)
    root = paired.root(NAME, data_dir, WANTED)
    found = paired.find(root)
    if found is None:
        raise DataError(f"{root} has no two sides; --data-dir wants a folder {WANTED}", USAGE)
    paths = [p for sides in found.files.values() for named in sides.values() for p in named.values()]
    pictures = paired.look(NAME, paths, cache_dir)
    skipped = {stratified_split.below(root, p.path): p.problem for p in pictures.values() if p.problem}
    held = {
        s: {side: [pictures[p] for p in named.values() if not pictures[p].problem] for side, named in sides.items()}
        for s, sides in found.files.items()
    }
    parts = paired.divided(root, held, policy, skipped, least=2)
    examples = {
        s: paired.beside(*(paired.files([p.path for side, p in part if side == wanted]) for wanted in "AB"))
        for s, part in parts.items()
    }
    return paired.own(NAME, root, parts, examples, skipped, split)
