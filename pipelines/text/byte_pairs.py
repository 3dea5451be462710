"""Texts as pieces of byte pair encoding, as Llama 2 has them; Python and a graph return the same ids for any bytes.

Sennrich 2016, arXiv:1508.07909; SentencePiece: Kudo, Richardson 2018, arXiv:1808.06226. A text starts with a space, and
spaces are "▁", which starts a piece or is a piece of spaces. Of the characters of a word, the pair that makes the piece
with the smallest id becomes one, as long as there is such a pair; pieces of spaces come last. A character that is no
piece becomes its UTF-8 bytes. Ids: 0 is padding; special tokens and bytes come first in a vocabulary, as the merges are
those that its pieces imply. The names of special tokens are text like any other, and words of more than `LONGEST`
characters are divided.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.text import words

if TYPE_CHECKING:
    import tensorflow as tf

SPACE, BYTE, FIRST = "▁", "<0x{:02X}>", 259  # FIRST: id of the first piece that is merged, after 256 bytes and three
LONGEST = 128

index = words.index  # id of each piece


def split(text: str | bytes) -> list[str]:
    """Return the words of a text in order, each with the spaces before it as "▁"."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    text = text.decode("utf-8", "replace")
    text = (SPACE + text).replace(" ", SPACE) if text else ""
    found = re.findall(f"{SPACE}*[^{SPACE}]+|{SPACE}+", text)
    return [word[i : i + LONGEST] for word in found for i in range(0, len(word), LONGEST)]


def pieces_of(word: str, index: Mapping[str, int]) -> list[int]:
    """Return the ids of the pieces of a word."""
    pieces = []
    for character in word:
        pieces += [character] if character in index else map(BYTE.format, character.encode())
    while True:
        pairs = enumerate(itertools.pairwise(pieces))
        ranks = (
            (set(a + b) == {SPACE}, index[a + b], index[a], i) for i, (a, b) in pairs if index.get(a + b, 0) >= FIRST
        )
        *_, i = min(ranks, default=(None,))
        if i is None:
            return [index[piece] for piece in pieces]
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


def encode(text: str | bytes, index: Mapping[str, int], length: int | None = None) -> np.ndarray:
    """Turn a text into ids int32 (length or number,), with padding."""
    ids = [piece for word in split(text) for piece in pieces_of(word, index)][:length]
    return np.array(ids + [0] * ((length or 0) - len(ids)), np.int32)


@functools.lru_cache(maxsize=4)
def merges(vocabulary: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs that become a piece as sorted numbers, the rank of each, and the piece of each rank."""
    ids = index(vocabulary)
    parts = ((i, p, ids.get(p[:k]), ids.get(p[k:])) for p, i in ids.items() if i >= FIRST for k in range(1, len(p)))
    found = sorted((set(p) == {SPACE}, i, a, b) for i, p, a, b in parts if a is not None and b is not None)
    _, pieces, left, right = np.array(found, np.int64).reshape(-1, 4).T
    keys = left * len(vocabulary) + right
    order = np.argsort(keys)
    return np.append(keys[order], np.int64(2**62)), order.astype(np.int32), np.append(pieces, 0).astype(np.int32)


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], length: int) -> tf.Tensor:
    """Turn texts (B,) into the ids that `encode` returns, int32 (B, length), in a graph."""
    import tensorflow as tf

    texts = tf.where(tf.equal(texts, ""), "", tf.strings.join([" ", texts]))
    codes = tf.strings.unicode_decode(texts, "UTF-8", replacement_char=0xFFFD)
    codes = codes.with_flat_values(tf.where(codes.flat_values == ord(" "), ord(SPACE), codes.flat_values))
    is_space, number = codes.flat_values == ord(SPACE), tf.size(codes.flat_values)
    within = tf.ragged.range(codes.row_lengths()).flat_values  # place in the text
    starts = (within == 0) | (is_space & ~tf.concat([[False], is_space[:-1]], 0))
    place = tf.range(number) - tf.gather(
        tf.boolean_mask(tf.range(number), starts), tf.cumsum(tf.cast(starts, tf.int32)) - 1
    )
    starts |= place % LONGEST == 0
    word = tf.cumsum(tf.cast(starts, tf.int32)) - 1  # of each character
    count = tf.reduce_sum(tf.cast(starts, tf.int32))

    characters = tf.strings.unicode_encode(codes.flat_values[:, None], "UTF-8")
    ids = words.finder(vocabulary, missing=-1)(characters)
    lengths = tf.where(ids < 0, tf.strings.length(characters), 1)
    raw = tf.io.decode_raw(tf.strings.bytes_split(characters).flat_values, tf.uint8)
    raw = tf.cast(tf.reshape(raw, [-1]), tf.int32)
    first_byte = tf.cumsum(tf.strings.length(characters), exclusive=True)
    places = tf.repeat(first_byte, lengths) + tf.ragged.range(lengths).flat_values
    known = tf.repeat(ids, lengths)
    ids = tf.where(known < 0, tf.gather(raw, places) + vocabulary.index(BYTE.format(0)), known)

    rows = tf.RaggedTensor.from_row_lengths(ids, tf.math.unsorted_segment_sum(lengths, word, count))
    pieces = _merged(tf.pad(rows.to_tensor(0), [[0, 0], [0, 2]]), vocabulary)
    numbers = tf.math.count_nonzero(pieces, axis=1, dtype=tf.int32)
    of_text = tf.math.unsorted_segment_sum(
        tf.gather(numbers, word) * tf.cast(starts, tf.int32), codes.value_rowids(), codes.nrows()
    )
    found = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(pieces, pieces > 0), of_text)
    return found[:, :length].to_tensor(0, shape=(None, length))


def _merged(ids: tf.Tensor, vocabulary: Sequence[str]) -> tf.Tensor:
    """Merge pairs of each row (W, L), padded with 0, until none is left: a pair of every row in each step."""
    import tensorflow as tf

    with tf.init_scope():
        keys, ranks, merged = merges(tuple(vocabulary))
    none, size, width = len(ranks), len(vocabulary), tf.shape(ids)[1]
    ranks = np.append(ranks, none).astype(np.int32)

    def best(ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pairs = tf.cast(ids[:, :-1], tf.int64) * size + tf.cast(ids[:, 1:], tf.int64)
        places = tf.reshape(tf.searchsorted(tf.constant(keys), tf.reshape(pairs, [-1])), tf.shape(pairs))
        rank = tf.where(tf.gather(keys, places) == pairs, tf.gather(ranks, places), none)
        return tf.argmin(rank, axis=1, output_type=tf.int32), tf.reduce_min(rank, axis=1)

    def step(ids: tf.Tensor, place: tf.Tensor, rank: tf.Tensor) -> tuple[tf.Tensor, ...]:
        place, columns = place[:, None], tf.range(width)[None]
        shifted = tf.gather(tf.pad(ids, [[0, 0], [0, 1]]), columns + tf.cast(columns > place, tf.int32), batch_dims=1)
        new = tf.where(columns == place, tf.gather(merged, rank)[:, None], shifted)
        ids = tf.where(rank[:, None] < none, new, ids)
        return ids, *best(ids)

    shapes = (tf.TensorShape([None, None]), tf.TensorShape([None]), tf.TensorShape([None]))
    return tf.while_loop(lambda _, __, rank: tf.reduce_any(rank < none), step, (ids, *best(ids)), shapes)[0]
