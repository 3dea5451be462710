"""Metrics of written sequences: exact matches, token errors by edit distance, BLEU and chrF."""

from collections.abc import Sequence

import numpy as np

from zoobase.errors import MissingError
from zoobase.requirements import install_command


def targets_of(sources: Sequence[str], targets: Sequence[str]) -> dict[str, set[str]]:
    """Return the targets of each distinct source."""
    accepted: dict[str, set[str]] = {}
    for source, target in zip(sources, targets, strict=True):
        accepted.setdefault(source, set()).add(target)
    return accepted


def exact_matches(sources: Sequence[str], predictions: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    """Return whether the prediction for each distinct source is one of its targets: 1, 0; NaN for repeated."""
    accepted = targets_of(sources, targets)
    first = _first_of(sources)
    pairs = enumerate(zip(sources, predictions, strict=False))
    return np.array([float(p in accepted[s]) if i == first[s] else np.nan for i, (s, p) in pairs])


def token_errors(
    sources: Sequence[str], predictions: Sequence[Sequence], targets: Sequence[Sequence]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the edit distance of each prediction to the nearest target, and its tokens; NaN for repeated."""
    distances = _edit_distances(predictions, targets)
    nearest: dict[str, tuple[int, int]] = {}
    for source, distance, target in zip(sources, distances, targets, strict=True):
        nearest[source] = min(nearest.get(source, (distance, len(target))), (distance, len(target)))
    first = _first_of(sources)
    rows = [nearest[s] if i == first[s] else (np.nan, np.nan) for i, s in enumerate(sources)]
    errors, tokens = np.array(rows, np.float64).reshape(-1, 2).T
    return errors, tokens


def _first_of(sources: Sequence[str]) -> dict[str, int]:
    """Return the first position of each distinct source."""
    return {source: i for i, source in reversed(list(enumerate(sources)))}


def sentence_scores(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return BLEU and chrF of a corpus of translations, from 0 to 100, with the settings of sacrebleu."""
    # Post 2018, arXiv:1804.08771; BLEU: doi:10.3115/1073083.1073135; chrF (beta 2, no words): doi:10.18653/v1/W15-3049.
    try:
        import sacrebleu
    except ImportError as error:
        raise MissingError(f"BLEU and chrF need sacrebleu ({error}); {install_command('bleu')}") from error
    return {
        name: metric(list(predictions), [list(references)]).score
        for name, metric in (("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf))
    }


def _edit_distances(first: Sequence[Sequence], second: Sequence[Sequence]) -> list[int]:
    """Return the Levenshtein distances of pairs of token sequences."""
    import tensorflow as tf

    if not any(map(len, first)) and not any(map(len, second)):
        return [0] * len(first)
    sides = (tf.ragged.constant([list(row) for row in side], dtype=tf.string).to_sparse() for side in (first, second))
    shape = [len(first), max(map(len, (*first, *second)))]
    padded = [tf.sparse.SparseTensor(side.indices, side.values, shape) for side in sides]
    return [int(distance) for distance in tf.edit_distance(*padded, normalize=False).numpy()]
