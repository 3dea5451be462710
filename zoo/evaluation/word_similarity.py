"""Which vectors lie near each other, and whether people agree."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

SPECIAL = (0, 1)  # ids of the padding and of the unknown word


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., width) at length one; those of no length stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def nearest(cosines: np.ndarray, count: int, without: Collection[int] = ()) -> list[int]:
    """Return the ids of the `count` largest of cosines (V,), but for the special ids and those `without`."""
    left = set(SPECIAL) | set(without)
    order = np.argsort(-cosines, kind="stable")
    return [int(i) for i in order[: count + len(left)] if int(i) not in left][:count]


def auc(vectors: np.ndarray, truth: np.ndarray) -> float:
    """Return the chance that a word is more like a neighbour than like a word of the noise; 0.5 knows nothing.

    Args:
        vectors: float (N, width), of the words in the first column of `truth`.
        truth: int (N, 2 + M): the word, a word of the noise, neighbours or 0. Only words that are in the first column
            somewhere have a vector here; others do not count.
    """
    ids, first = np.unique(truth[:, 0], return_index=True)
    place = np.full(truth.max() + 1, -1)
    place[ids] = np.arange(len(ids))
    table = unit(vectors[first])
    own, noise = place[truth[:, 0]], place[truth[:, 1]]
    to_noise = np.einsum("nd,nd->n", table[own], table[noise])
    right = counted = 0.0
    for column in truth[:, 2:].T:
        beside = place[column]
        used = (column > 0) & (beside >= 0) & (noise >= 0) & (beside != noise)
        to_beside = np.einsum("nd,nd->n", table[own], table[beside])
        right += (to_beside > to_noise)[used].sum() + 0.5 * (to_beside == to_noise)[used].sum()
        counted += used.sum()
    return float(right / max(counted, 1))


def against_people(table: np.ndarray, index: Mapping[str, int]) -> dict[str, Any]:
    """Return Spearman's rank correlation with WordSim-353 and MEN, and the share of Google's analogies that come out.

    Args:
        table: Unit vectors (V, width).
        index: Word -> id.

    Returns:
        spearman_ws353, spearman_men, analogies, and under `word_lists` how many of each list are known words.
    """
    from scipy.stats import spearmanr

    from pipelines.text import word_similarity

    found, known = {}, {}
    for name in ("ws353", "men"):
        rows = word_similarity.load(name)
        pairs = [(index[a], index[b], float(rating)) for a, b, rating in rows if a in index and b in index]
        ours = [float(table[a] @ table[b]) for a, b, _ in pairs]
        if len(pairs) > 2:
            found[f"spearman_{name}"] = float(spearmanr(ours, [rating for *_, rating in pairs]).statistic)
        known[name] = {"known": len(pairs), "of": len(rows)}
    rows = word_similarity.load("google")
    asked = np.array([[index[word] for word in row] for row in rows if all(word in index for word in row)])
    if len(asked):
        found["analogies"] = analogies(table, asked)
    known["google"] = {"known": len(asked), "of": len(rows)}
    return found | {"word_lists": known}


def analogies(table: np.ndarray, asked: np.ndarray) -> float:
    """Return the share of questions (N, 4) for which b - a + c is nearest to d, but for a, b and c."""
    right = 0
    for part in np.array_split(asked, -(-len(asked) // 512)):
        a, b, c, d = part.T
        cosines = (table[b] - table[a] + table[c]) @ table.T
        cosines[:, SPECIAL] = -np.inf
        np.put_along_axis(cosines, part[:, :3], -np.inf, axis=1)
        right += int((cosines.argmax(axis=1) == d).sum())
    return right / len(asked)
