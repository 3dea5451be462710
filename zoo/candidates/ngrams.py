"""Texts as ids of words, pairs of words and parts of words; Python and a graph return the same ids for any bytes.

The words are those of `pipelines.text.words`; characters are those of the words with one space between two. "=" stands
before words and pairs, so that they are no characters. Ids: 0 is padding, 1 is not used, and the n-grams of the
vocabulary follow; others are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.text import words
from pipelines.text.words import counted, index, split

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["counted", "encode", "encode_tensor", "features", "index", "split"]

WIDTHS = (2, 3, 4, 5)  # characters
MARK = "="  # is in no word


def features(text: str | bytes) -> Iterator[str]:
    """Yield the n-grams of a text: words, pairs of words, and 2 to 5 characters."""
    tokens = split(text)
    yield from (MARK + word for word in tokens)
    yield from (f"{MARK}{left} {right}" for left, right in itertools.pairwise(tokens))
    line = " ".join(tokens)
    for width in WIDTHS:
        yield from (line[i : i + width] for i in range(len(line) - width + 1))


def encode(text: str | bytes, index: Mapping[str, int], length: int | None = None) -> np.ndarray:
    """Turn a text into ids int32 (length or number of n-grams in the vocabulary,).

    Example:
        >>> encode("good film", index(("", "[UNK]", "=film", "fi")), length=4).tolist()
        [2, 3, 0, 0]
    """
    ids = [index[ngram] for ngram in features(text) if ngram in index][:length]
    return np.array(ids + [0] * ((length or 0) - len(ids)), np.int32)


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], length: int) -> tf.Tensor:
    """Turn texts (B,) into the ids that `encode` returns, int32 (B, length), in a graph."""
    import tensorflow as tf

    tokens = words.split_tensor(texts)
    pairs = tf.strings.ngrams(tokens, 2, separator=" ")
    marked = [part.with_flat_values(tf.strings.join([MARK, part.flat_values])) for part in (tokens, pairs)]
    line = tf.strings.unicode_split(tf.strings.reduce_join(tokens, axis=1, separator=" "), "UTF-8")
    parts = [*marked, *(tf.strings.ngrams(line, width, separator="") for width in WIDTHS)]
    ngrams = tf.concat(parts, axis=1)
    ids = words.finder(vocabulary[2:], missing=-1)(ngrams.flat_values) + 2
    known = tf.ragged.boolean_mask(ngrams.with_flat_values(ids), ngrams.with_flat_values(ids >= 2))
    return known.to_tensor(0, shape=(None, length))
