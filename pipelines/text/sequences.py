"""Texts as sequences of character or word ids with start and end tokens.

A vocabulary consists of the four special tokens and the characters of `pipelines.text` or the words of
`pipelines.text.words`; Python and a graph return the same ids for any bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from pipelines.text import characters, words

LEVELS = ("characters", "words")
SPECIAL = ("", "[UNK]", "[START]", "[END]")
PADDING, UNKNOWN, START, END = range(len(SPECIAL))


def vocabulary(texts: Iterable[str], level: str, size: int) -> tuple[str, ...]:
    """Return the special tokens, and all characters of the texts or their most frequent words.

    Args:
        texts: Texts of the training split only.
        level: One of `LEVELS`.
        size: Maximum number of tokens, for words.
    """
    if level == "characters":
        return (*SPECIAL, *characters.vocabulary(texts))
    return (*SPECIAL, *words.vocabulary(texts, size - 2)[2:])


def encode(text: str | bytes, vocabulary: Sequence[str], level: str) -> np.ndarray:
    """Turn a text into ids: int32 (number of tokens,), without padding, start or end tokens."""
    if level == "characters":
        return characters.encode(text, vocabulary[len(SPECIAL) :]) + np.int32(len(SPECIAL))
    return words.encode(text, words.index(vocabulary))


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], level: str, length: int) -> tf.Tensor:
    """Turn texts (B,) into the ids that `encode` returns, truncated or padded with 0, in a graph: int32 (B, length)."""
    if level == "words":
        return words.encode_tensor(texts, vocabulary, length)
    ids = characters.encode_tensor(texts, vocabulary[len(SPECIAL) :])
    return (ids + len(SPECIAL)).to_tensor(PADDING, shape=(None, length))


def with_end_token(ids: tf.Tensor) -> tf.Tensor:
    """Return ids (L,) that are padded with 0, as int32 (L + 1,) with the end token after the last token."""
    count = tf.math.count_nonzero(ids, dtype=tf.int32)
    longer = tf.concat([ids, [PADDING]], axis=0)
    return tf.where(tf.range(tf.size(longer)) == count, END, longer)


def decode(ids: Iterable[int], vocabulary: Sequence[str], level: str) -> str:
    """Turn ids into text, up to the end token if there is one."""
    tokens = []
    for i in ids:
        if i == END:
            break
        if i >= len(SPECIAL) or i == UNKNOWN:
            tokens.append(vocabulary[i])
    return ("" if level == "characters" else " ").join(tokens)


def decode_tensor(ids: tf.Tensor, vocabulary: Sequence[str], level: str) -> tf.Tensor:
    """Turn ids (B, L) into the strings (B,) that `decode` returns, in a graph."""
    before_end = tf.cumsum(tf.cast(tf.equal(ids, END), tf.int32), axis=1) == 0
    visible = tf.logical_and(before_end, tf.logical_or(ids >= len(SPECIAL), tf.equal(ids, UNKNOWN)))
    tokens = tf.where(visible, tf.gather(tf.constant(list(vocabulary)), ids), "")
    if level == "characters":
        return tf.strings.reduce_join(tokens, axis=-1)
    joined = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
    return tf.strings.strip(tf.strings.regex_replace(joined, " +", " "))
