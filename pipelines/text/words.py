"""Texts as word ids; Python and a graph return the same ids for any bytes.

A text is decoded as UTF-8 (invalid bytes become U+FFFD), A to Z are lowercased, and all characters but letters, digits,
apostrophes inside words, ! ? and emoji separate words; the last three are words of their own. Letters beyond ASCII are
unchanged, because Python and TensorFlow lowercase them by different tables. Ids: 0 is padding, 1 is any word that is
not in the vocabulary, and the words follow.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

PADDING, UNKNOWN = "", "[UNK]"
_MARKS = "([!?\U0001f000-\U0001faff])"
_SEPARATORS = "[^a-z0-9'!?\u00c0-\u1fff\u2c00-\ufffc\U00010000-\U0010ffff]+"
_OPENING, _CLOSING = "(^| )'+", "'+( |$)"
REPLACED = ((_MARKS, r" \1 "), (_SEPARATORS, " "), (_OPENING, " "), (_CLOSING, " "))  # in this order
_HASHES = 2**62  # buckets; words of a vocabulary must have different ones


def split(text: str | bytes) -> list[str]:
    """Return the words of a text in order."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    text = text.lower().decode("utf-8", "replace")  # bytes.lower() is ASCII only
    for pattern, replacement in REPLACED:
        text = re.sub(pattern, replacement, text)
    return [word for word in text.split(" ") if word]


def vocabulary(texts: Iterable[str | bytes], size: int, least: int = 2) -> tuple[str, ...]:
    """Return the padding token, the unknown token, and the most frequent words of the training texts."""
    return counted((word for text in texts for word in split(text)), size, least)[0]


def counted(words: Iterable[str], size: int, least: int) -> tuple[tuple[str, ...], list[int]]:
    """Return the vocabulary as `vocabulary` does, and the count of each of its tokens."""
    counts = collections.Counter(words)
    ranked = sorted((word for word in counts if counts[word] >= least), key=lambda word: (-counts[word], word))
    ranked = ranked[: max(0, size - 2)]
    return (PADDING, UNKNOWN, *ranked), [0, 0, *(counts[word] for word in ranked)]


def index(vocabulary: Sequence[str]) -> dict[str, int]:
    """Return word -> id."""
    return {word: i for i, word in enumerate(vocabulary)}


def encode(text: str | bytes, index: Mapping[str, int], length: int | None = None) -> np.ndarray:
    """Turn a text into ids int32 (length or number of words,).

    Example:
        >>> encode("good film", index(("", "[UNK]", "film")), length=4).tolist()
        [1, 2, 0, 0]
    """
    ids = [index.get(word, 1) for word in split(text)][:length]
    return np.array(ids + [0] * ((length or 0) - len(ids)), np.int32)


def split_tensor(texts: tf.Tensor) -> tf.RaggedTensor:
    """Return the words of texts (B,) in a graph: string, ragged (B, None)."""
    import tensorflow as tf

    texts = tf.strings.lower(texts)  # ASCII only by default
    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace", replacement_char=0xFFFD, replace_control_characters=False
    )
    for pattern, replacement in REPLACED:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.split(texts)


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], length: int) -> tf.Tensor:
    """Turn texts (B,) into the ids that `encode` returns, int32 (B, length), in a graph."""
    return look_up(split_tensor(texts), vocabulary).to_tensor(0, shape=(None, length))


def look_up(words: tf.RaggedTensor, vocabulary: Sequence[str]) -> tf.RaggedTensor:
    """Return the ids of words (B, None), int32 of the same shape, in a graph without a look-up table."""
    # By its hash in a sorted array: no resource must be initialised or tracked where the graph is loaded.
    find = finder(vocabulary[2:], missing=-1)
    word_ids = find(words.flat_values) + 2
    return words.with_flat_values(word_ids)


def finder(tokens: Sequence[str], missing: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function of a graph: strings of any shape -> their indices in `tokens`, int32, or `missing`."""
    import tensorflow as tf

    with tf.init_scope():  # immediately, also while a function is traced
        hashes = tf.strings.to_hash_bucket_fast(tf.constant(list(tokens), tf.string), _HASHES).numpy()
    order = np.argsort(hashes)
    keys = np.append(hashes[order], np.int64(2**63 - 1))
    ids = np.append(order, missing).astype(np.int32)
    if len(np.unique(keys)) != len(keys):
        raise ValueError("two words of the vocabulary have one hash")

    def find(strings: tf.Tensor) -> tf.Tensor:
        hashed = tf.strings.to_hash_bucket_fast(strings, _HASHES)
        shape = tf.shape(hashed)
        hashed = tf.reshape(hashed, [-1])
        positions = tf.searchsorted(tf.constant(keys), hashed)
        found = tf.where(tf.equal(tf.gather(keys, positions), hashed), tf.gather(ids, positions), missing)
        return tf.reshape(found, shape)

    return find
