"""Likely wrong labels, by confident learning.

Reference: Northcutt, Jiang, Chuang 2021, arXiv:1911.00068.
"""

import numpy as np


def likely_wrong(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the examples, int64 (M,), whose label is probably wrong, the surest first."""
    # An example counts as another class if its probability of it is at least the mean probability of that class among
    # the examples with its label, and it is the most probable of such classes. The model was not trained on these
    # examples.
    classes = probabilities.shape[-1]
    of_class = [probabilities[labels == c, c] for c in range(classes)]
    thresholds = np.array([values.mean() if len(values) else 1.0 for values in of_class])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    counted = np.where(confident.max(axis=-1) >= 0, confident.argmax(axis=-1), labels)
    given = probabilities[np.arange(len(labels)), labels]
    margin = given - probabilities.max(axis=-1)
    wrong = np.flatnonzero((counted != labels) & (margin < 0))
    return wrong[np.argsort(margin[wrong], kind="stable")]
