"""Metrics of word vectors: nearest neighbours, human similarity ratings and analogies."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

SPECIAL = (0, 1)  # ids of padding and of unknown words


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., width) normalised to length one; zero vectors are unchanged."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def nearest(cosines: np.ndarray, count: int, without: Collection[int] = ()) -> list[int]:
    """Return the ids of the `count` largest of cosines (V,), except the special ids and those in `without`."""
    excluded = set(SPECIAL) | set(without)
    order = np.argsort(-cosines, kind="stable")
    return [int(i) for i in order[: count + len(excluded)] if int(i) not in excluded][:count]


def auc(vectors: np.ndarray, truth: np.ndarray) -> float:
    """Return the probability that a word is more similar to a neighbour than to a negative sample; 0.5 is chance."""
    # truth int (N, 2 + M): the word, a negative sample, neighbours or 0. Words not in the first column have no vector.
    ids, first = np.unique(truth[:, 0], return_index=True)
    row = np.full(truth.max() + 1, -1)
    row[ids] = np.arange(len(ids))
    table = unit(vectors[first])
    word, negative = row[truth[:, 0]], row[truth[:, 1]]
    negative_cosine = np.einsum("nd,nd->n", table[word], table[negative])
    correct = count = 0.0
    for column in truth[:, 2:].T:
        neighbour = row[column]
        mask = (column > 0) & (neighbour >= 0) & (negative >= 0) & (neighbour != negative)
        cosine = np.einsum("nd,nd->n", table[word], table[neighbour])
        correct += (cosine > negative_cosine)[mask].sum() + 0.5 * (cosine == negative_cosine)[mask].sum()
        count += mask.sum()
    return float(correct / max(count, 1))


def human_ratings(table: np.ndarray, index: Mapping[str, int]) -> dict[str, Any]:
    """Return Spearman's rank correlation with WordSim-353 and MEN, and the accuracy on Google's analogies."""
    from scipy.stats import spearmanr

    from pipelines.text import word_similarity

    metrics, word_lists = {}, {}
    for name in ("ws353", "men"):
        rows = word_similarity.load(name)
        pairs = [(index[a], index[b], float(rating)) for a, b, rating in rows if a in index and b in index]
        cosines = [float(table[a] @ table[b]) for a, b, _ in pairs]
        if len(pairs) > 2:
            metrics[f"spearman_{name}"] = float(spearmanr(cosines, [rating for *_, rating in pairs]).statistic)
        word_lists[name] = {"known": len(pairs), "of": len(rows)}
    rows = word_similarity.load("google")
    questions = np.array([[index[word] for word in row] for row in rows if all(word in index for word in row)])
    if len(questions):
        metrics["analogies"] = analogies(table, questions)
    word_lists["google"] = {"known": len(questions), "of": len(rows)}
    return metrics | {"word_lists": word_lists}


def analogies(table: np.ndarray, questions: np.ndarray) -> float:
    """Return the fraction of questions (N, 4) for which d is nearest to b - a + c, with a, b and c excluded."""
    correct = 0
    for part in np.array_split(questions, -(-len(questions) // 512)):
        a, b, c, d = part.T
        cosines = (table[b] - table[a] + table[c]) @ table.T
        cosines[:, SPECIAL] = -np.inf
        np.put_along_axis(cosines, part[:, :3], -np.inf, axis=1)
        correct += int((cosines.argmax(axis=1) == d).sum())
    return correct / len(questions)
