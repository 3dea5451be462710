"""Texts as sequences of tokens with a begin and an end, by characters or by words, and back.

A vocabulary here is the four special tokens, followed by the characters of `pipelines.text` or the words of
`pipelines.text.words`; ids are the same from Python and from a graph, whatever bytes come in.
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
        texts: Of the training split only.
        level: One of `LEVELS`.
        size: Tokens at most, of words.
    """
    if level == "characters":
        return (*SPECIAL, *characters.vocabulary(texts))
    return (*SPECIAL, *words.vocabulary(texts, size - 2)[2:])


def encode(whole: str | bytes, vocabulary: Sequence[str], level: str) -> np.ndarray:
    """Turn a text into ids: int32 (number of tokens,), none of them padding, begin or end."""
    if level == "characters":
        return characters.encode(whole, vocabulary[len(SPECIAL) :]) + np.int32(len(SPECIAL))
    return words.encode(whole, words.index(vocabulary))


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], level: str, length: int) -> tf.Tensor:
    """Turn texts (B,) into the ids that `encode` gives, cut or filled with 0, in a graph: int32 (B, length)."""
    if level == "words":
        return words.encode_tensor(texts, vocabulary, length)
    ids = characters.encode_tensor(texts, vocabulary[len(SPECIAL) :])
    return (ids + len(SPECIAL)).to_tensor(PADDING, shape=(None, length))


def ended(ids: tf.Tensor) -> tf.Tensor:
    """Return ids (L,) that are filled with 0, as int32 (L + 1,) with the end after the last token."""
    count = tf.math.count_nonzero(ids, dtype=tf.int32)
    longer = tf.concat([ids, [PADDING]], axis=0)
    return tf.where(tf.range(tf.size(longer)) == count, END, longer)


def decode(ids: Iterable[int], vocabulary: Sequence[str], level: str) -> str:
    """Turn ids into text, up to the end token if there is one."""
    found = []
    for i in ids:
        if i == END:
            break
        if i >= len(SPECIAL) or i == UNKNOWN:
            found.append(vocabulary[i])
    return ("" if level == "characters" else " ").join(found)


def decode_tensor(ids: tf.Tensor, vocabulary: Sequence[str], level: str) -> tf.Tensor:
    """Turn ids (B, L) into the strings (B,) that `decode` gives, in a graph."""
    before = tf.cumsum(tf.cast(tf.equal(ids, END), tf.int32), axis=1) == 0
    shown = tf.logical_and(before, tf.logical_or(ids >= len(SPECIAL), tf.equal(ids, UNKNOWN)))
    tokens = tf.where(shown, tf.gather(tf.constant(list(vocabulary)), ids), "")
    if level == "characters":
        return tf.strings.reduce_join(tokens, axis=-1)
    joined = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
    return tf.strings.strip(tf.strings.regex_replace(joined, " +", " "))
