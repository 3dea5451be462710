"""Texts as ids of words and of hashed n-grams of characters, as fastText has them; the same ids in Python and a graph.

Reference: Bojanowski 2016, arXiv:1607.04606; github.com/facebookresearch/fastText, dictionary.cc.

White space separates words. A vocabulary has the padding token, words, and the numbers of buckets, each behind a line
break, into which n-grams of two to four characters of a word with < before it and > behind it are hashed (FNV-1a). What
is not in the vocabulary is left out; the order is the end of the text, the words, and the n-grams by their size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.text import words as whole_words
from zoo.weights.language import BUCKET

if TYPE_CHECKING:
    import tensorflow as tf

END = "</s>"
BUCKETS, WIDTHS = 2_000_000, (2, 3, 4)
CHARACTERS = 160  # of a text that are read
_SPACE = "[ \n\r\t\v\f\x00]+"
_START, _PRIME, _BITS = 2166136261, 16777619, 0xFFFFFFFF
_NEGATIVE = 0xFFFFFF00  # with which a byte from 128 on, a negative char there, is extended to 32 bits
_LONGEST = 4 * max(WIDTHS)  # bytes of an n-gram
index = whole_words.index


def split(text: str | bytes) -> list[str]:
    """Return the words of a text in order."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    return [word for word in re.split(_SPACE, text.decode("utf-8", "replace")[:CHARACTERS]) if word]


def bucket(ngram: str) -> int:
    """Return the bucket of an n-gram."""
    value = _START
    for byte in ngram.encode():
        value = ((value ^ (byte | _NEGATIVE if byte > 127 else byte)) * _PRIME) & _BITS
    return value % BUCKETS


def features(text: str | bytes) -> list[str]:
    """Return the tokens of a text, as they are in a vocabulary."""
    parts = split(text)
    marked = [f"<{word}>" for word in parts]
    ngrams = (word[i : i + n] for n in WIDTHS for word in marked for i in range(len(word) - n + 1))
    return [END, *parts, *(f"{BUCKET}{bucket(ngram)}" for ngram in ngrams)]


def counted(tokens: Iterable[str], size: int, least: int) -> tuple[tuple[str, ...], list[int]]:
    """Return the most frequent tokens, words before buckets, and the count of each."""
    (_, _, *ranked), counts = whole_words.counted(tokens, size + 1, least)
    found = dict(zip(ranked, counts[2:], strict=True))
    chosen = sorted(found, key=lambda token: token.startswith(BUCKET))
    return (whole_words.PADDING, *chosen), [0, *map(found.__getitem__, chosen)]


def encode(text: str | bytes, index: Mapping[str, int], length: int | None = None) -> np.ndarray:
    """Return the ids of a text, int32 (length or number of tokens,)."""
    ids = [index[token] for token in features(text) if token in index][:length]
    return np.array(ids + [0] * ((length or 0) - len(ids)), np.int32)


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], length: int) -> tf.Tensor:
    """Return the ids of texts (B,) in a graph, int32 (B, length)."""
    import tensorflow as tf

    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace", replacement_char=0xFFFD, replace_control_characters=False
    )
    texts = tf.strings.substr(texts, 0, CHARACTERS, unit="UTF8_CHAR")
    parts = tf.strings.split(tf.strings.regex_replace(texts, _SPACE, " "), " ")
    parts = tf.ragged.boolean_mask(parts, tf.not_equal(parts, ""))
    characters = tf.strings.unicode_split(tf.strings.join(["<", parts.flat_values, ">"]), "UTF-8")
    words = [token for token in vocabulary[1:] if not token.startswith(BUCKET)]  # the first ids
    find = whole_words.finder(words, missing=-1)
    end = tf.fill([tf.shape(texts)[0], 1], tf.constant(words.index(END) + 1 if END in words else 0))
    ids = [tf.RaggedTensor.from_tensor(end), parts.with_flat_values(find(parts.flat_values) + 1)]
    buckets = np.array([int(token[1:]) for token in vocabulary[len(words) + 1 :]] + [2**62], np.int64)
    order = np.argsort(buckets)
    keys, numbers = buckets[order], np.append(order[:-1] + len(words) + 1, 0).astype(np.int32)
    for width in WIDTHS:
        ngrams = tf.strings.ngrams(characters, width, separator="")
        hashed = _buckets(ngrams.flat_values)
        places = tf.searchsorted(tf.constant(keys), hashed)
        known = tf.where(tf.equal(tf.gather(keys, places), hashed), tf.gather(numbers, places), 0)
        ids.append(parts.with_flat_values(ngrams.with_flat_values(known)).merge_dims(1, 2))
    ids = tf.concat(ids, axis=1)
    return tf.ragged.boolean_mask(ids, ids > 0).to_tensor(0, shape=(None, length))


def _buckets(ngrams: tf.Tensor) -> tf.Tensor:  # (N,) -> int64 (N,)
    import tensorflow as tf

    content = tf.cast(tf.io.decode_raw(ngrams, tf.uint8, fixed_length=_LONGEST), tf.int64)
    content = tf.where(content > 127, content + _NEGATIVE, content)
    lengths = tf.strings.length(ngrams)
    values = tf.fill(tf.shape(ngrams), tf.constant(_START, tf.int64))
    for i in range(_LONGEST):
        following = tf.bitwise.bitwise_and(tf.bitwise.bitwise_xor(values, content[:, i]) * _PRIME, _BITS)
        values = tf.where(i < lengths, following, values)
    return values % BUCKETS
