"""Texts that are nearly the same: most of their sequences of characters are shared."""

from collections.abc import Sequence

import numpy as np

SHINGLE = 5  # characters of a sequence
LEAST = 0.9  # cosine similarity of near duplicates
BLOCK = 1024  # texts that are compared with all others at once


def nearest(queries: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the most similar other text for each query, int64 (N,), and the cosine similarity, float64 (N,)."""
    # Of the sets of all sequences of 5 characters: Broder 1997, doi:10.1109/SEQUEN.1997.666900 (resemblance by
    # shingles).
    from sklearn.feature_extraction.text import HashingVectorizer

    length = (SHINGLE, SHINGLE)
    vectorizer = HashingVectorizer(analyzer="char", ngram_range=length, binary=True, alternate_sign=False)
    rows, columns = vectorizer.transform(queries), vectorizer.transform(others).T.tocsc()
    indices, similarities = [], []
    for start in range(0, len(queries), BLOCK):
        products = (rows[start : start + BLOCK] @ columns).tocsr()
        indices.append(np.asarray(products.argmax(axis=1)).ravel())
        similarities.append(products.max(axis=1).toarray().ravel())
    return np.concatenate(indices), np.concatenate(similarities)
