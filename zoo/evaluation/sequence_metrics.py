"""Metrics of written sequences: exact match, the token error rate by edit distance, BLEU and chrF."""

from __future__ import annotations

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


def exact_match(sources: Sequence[str], predictions: Sequence[str], targets: Sequence[str]) -> float:
    """Return the share of the distinct sources whose prediction is one of their targets.

    Args:
        sources: A source may occur several times, with a target each.
        predictions: One per source, or only those of the first sources.
        targets: One per source.

    Example:
        >>> exact_match(["a", "a", "b"], ["AH", "AH", "B"], ["EY", "AH", "B IY"])
        0.5
    """
    accepted = targets_of(sources, targets)
    written = dict(zip(sources, predictions, strict=False))
    return float(np.mean([prediction in accepted[source] for source, prediction in written.items()]))


def token_error_rate(sources: Sequence[str], predictions: Sequence[Sequence], targets: Sequence[Sequence]) -> float:
    """Return the edit distance of predictions to the nearest targets, as a share of the tokens of these targets.

    Args:
        sources: As in `exact_match`.
        predictions: Tokens, one sequence per source.
        targets: Tokens, one sequence per source.

    Example:
        >>> token_error_rate(["a", "a", "b"], ["AH", "AH", "B"], ["EY", "AH", "BIY"])
        0.4
    """
    rows = list(zip(sources, predictions, targets, strict=True))
    distances = _edit_distances([row[1] for row in rows], [row[2] for row in rows])
    nearest: dict[str, tuple[int, int]] = {}
    for (source, _, target), distance in zip(rows, distances, strict=True):
        nearest[source] = min(nearest.get(source, (distance, len(target))), (distance, len(target)))
    errors, tokens = np.sum(list(nearest.values()), axis=0)
    return float(errors / max(1, tokens))


def sentence_scores(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return BLEU and chrF of a corpus of translations, from 0 to 100, with the settings of sacrebleu.

    Reference: Post 2018, arXiv:1804.08771 (sacrebleu); Papineni 2002, doi:10.3115/1073083.1073135 (BLEU); Popovic 2015,
    doi:10.18653/v1/W15-3049 (chrF, with beta 2, without words).

    Args:
        predictions: Translations.
        references: One per translation.

    Raises:
        MissingError: sacrebleu is not installed.

    Example:
        >>> scores = sentence_scores(["y dijo dios sea la luz"], ["y dijo dios sea la luz"])
        >>> {name: round(score, 6) for name, score in scores.items()}
        {'bleu': 100.0, 'chrf': 100.0}
    """
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
