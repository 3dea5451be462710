"""Texts as wordpiece tokens; Python and a graph return the same ids for any bytes.

WordPiece as BERT's, without case (Schuster, Nakajima 2012, doi:10.1109/ICASSP.2012.6289079; Devlin 2018,
arXiv:1810.04805). A text is decoded as UTF-8; control characters are removed, accents are stripped, letters become
lower case; punctuation and Chinese characters are words of their own. Of each word the longest piece of the vocabulary
is taken, then of the rest the longest piece that starts with ##. Ids: 0 is padding.

The names of special tokens, such as [SEP], are text like any other.
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.text import words

if TYPE_CHECKING:
    import tensorflow as tf

PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPECIAL = (PADDING, UNKNOWN, START, END)
REST = "##"  # start of a piece that is not the first of its word
LONGEST_WORD = 100  # characters; longer words are unknown
_CHINESE = (
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f])"
)
_PRIVATE = "[\ue000-\uf8ff\U000f0000-\U0010ffff]+"
REPLACED = ((_CHINESE, r" \1 "), (_PRIVATE, ""))  # large ranges; the characters of `replacements` come first
LAST_TABLE = 0x30000  # assigned characters above are Chinese, or tags, which are removed
TAGS = range(0xE0000, 0xE0100)


index = words.index  # id of each token


@functools.cache
def replacements() -> dict[str, str]:
    """Return what characters become that do not stay as they are: lower case, no accents, spaces around marks."""
    table = {}
    for code in (*range(LAST_TABLE), *TAGS):
        character = chr(code)
        category = unicodedata.category(character)
        if character in "\t\n\r" or category[0] == "Z":
            new = " "
        elif category in ("Cc", "Cf", "Cs") or character == "\ufffd":
            new = ""
        elif category == "Co" or category == "Cn":
            continue
        else:
            plain = (c for c in unicodedata.normalize("NFD", character) if unicodedata.category(c) != "Mn")
            new = "".join(f" {c} " if is_mark(c) else c.lower() for c in plain)
        if new != character:
            table[character] = new
    return table


def is_mark(character: str) -> bool:
    """Return whether a character is a word of its own."""
    return character in string.punctuation or unicodedata.category(character)[0] == "P"


def split(text: str | bytes) -> list[str]:
    """Return the normalised words of a text in order."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    table = replacements()
    text = "".join(table.get(c, c) for c in text.decode("utf-8", "replace"))
    for pattern, replacement in REPLACED:
        text = re.sub(pattern, replacement, text)
    return [word for word in text.split(" ") if word]


def encode(text: str | bytes, index: Mapping[str, int], length: int | None = None) -> np.ndarray:
    """Turn a text into ids int32 (length or number,): [CLS], the pieces, [SEP], and padding; `length` is 2 or more."""
    ids = [piece for word in split(text) for piece in pieces_of(word, index)][: length and length - 2]
    ids = [index[START], *ids, index[END]]
    return np.array(ids + [0] * ((length or 0) - len(ids)), np.int32)


def pieces_of(word: str, index: Mapping[str, int]) -> list[int]:
    """Return the ids of the pieces of a word; that of the unknown piece for a word without."""
    ids: list[int] = []
    start, prefix = 0, ""
    if len(word) > LONGEST_WORD:
        return [index[UNKNOWN]]
    while start < len(word):
        ends = (end for end in range(len(word), start, -1) if prefix + word[start:end] in index)
        end = next(ends, None)
        if end is None:
            return [index[UNKNOWN]]
        ids.append(index[prefix + word[start:end]])
        start, prefix = end, REST
    return ids


def vocabulary(texts: Iterable[str | bytes], size: int, least: int = 2) -> tuple[str, ...]:
    """Return the special tokens, all characters, alone and as rests, and the most frequent words of training texts."""
    counts = Counter(word for text in texts for word in split(text))
    characters = sorted({character for word in counts for character in word})
    first = (*SPECIAL, *characters, *(REST + character for character in characters))
    ranked = sorted((w for w in counts if counts[w] >= least and len(w) > 1), key=lambda word: (-counts[word], word))
    return (*first, *ranked[: max(0, size - len(first))])


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], length: int) -> tf.Tensor:
    """Turn texts (B,) into the ids that `encode` returns, int32 (B, length), in a graph."""
    import tensorflow as tf

    index = words.index(vocabulary)
    pieces = _pieces_tensor(split_tensor(texts), vocabulary, index[UNKNOWN])[:, : length - 2]
    ends = [tf.fill([pieces.nrows(), 1], tf.constant(index[token], tf.int32)) for token in (START, END)]
    return tf.concat([ends[0], pieces, ends[1]], axis=1).to_tensor(0, shape=(None, length))


def split_tensor(texts: tf.Tensor) -> tf.RaggedTensor:
    """Return the words of texts (B,) in a graph: string, ragged (B, None)."""
    import tensorflow as tf

    table = sorted(replacements().items())
    codes = tf.strings.unicode_decode(texts, "UTF-8", replacement_char=0xFFFD)
    characters = tf.strings.unicode_encode(codes.flat_values[:, None], "UTF-8")
    keys = tf.constant([ord(key) for key, _ in table] + [2**31 - 1])
    positions = tf.searchsorted(keys, codes.flat_values)
    new = tf.gather(tf.constant([value for _, value in table] + [""]), positions)
    characters = tf.where(tf.equal(tf.gather(keys, positions), codes.flat_values), new, characters)
    texts = tf.strings.reduce_join(codes.with_flat_values(characters), axis=-1)
    for pattern, replacement in REPLACED:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.split(texts)


@functools.lru_cache(maxsize=8)  # AutoGraph does not trace a cached function: 30,522 calls take 2 s
def _longest(vocabulary: tuple[str, ...]) -> int:
    return max(len(token.removeprefix(REST)) for token in vocabulary)


def _pieces_tensor(texts: tf.RaggedTensor, vocabulary: Sequence[str], unknown: int) -> tf.RaggedTensor:
    """Return the wordpiece tokens (B, None), int32 ragged (B, None): each step takes one piece of every word."""
    import tensorflow as tf

    find = words.finder(vocabulary, missing=-1)
    longest = _longest(tuple(vocabulary))
    lengths = tf.range(1, longest + 1)

    def step(first: tf.Tensor, rest: tf.Tensor, owner: tf.Tensor, ids: tf.Tensor, owners: tf.Tensor) -> tuple:
        size = tf.strings.length(rest, unit="UTF8_CHAR")
        ends = tf.minimum(lengths[None], size[:, None])
        starts = tf.strings.substr(rest[:, None], tf.zeros_like(ends), ends, unit="UTF8_CHAR")
        found = find(tf.strings.join([tf.where(first, "", REST), starts]))  # (words, longest)
        best = longest - 1 - tf.argmax(found[:, ::-1] >= 0, axis=1, output_type=tf.int32)
        piece, end = tf.gather(found, best, batch_dims=1), tf.gather(ends, best, batch_dims=1)
        more = (piece >= 0) & (end < size)
        rest = tf.strings.substr(rest, end, tf.fill(tf.shape(end), LONGEST_WORD), unit="UTF8_CHAR")
        ids, owners = tf.concat([ids, piece], 0), tf.concat([owners, owner], 0)
        return tf.constant(False), tf.boolean_mask(rest, more), tf.boolean_mask(owner, more), ids, owners

    flat = texts.flat_values
    count = tf.size(flat)
    none = tf.zeros([0], tf.int32)
    too_long = tf.strings.length(flat, unit="UTF8_CHAR") > LONGEST_WORD
    unknown_word = tf.constant("\ufffd")  # is in no vocabulary, because it is removed from every text
    state = (tf.constant(True), tf.where(too_long, unknown_word, flat), tf.range(count), none, none)
    vector = tf.TensorShape([None])
    _, _, _, ids, owners = tf.while_loop(
        lambda first, rest, *_: tf.size(rest) > 0,
        step,
        state,
        shape_invariants=(tf.TensorShape([]), vector, vector, vector, vector),
        maximum_iterations=LONGEST_WORD,
    )
    is_first = tf.range(tf.size(ids)) < count
    bad = tf.gather(tf.math.unsorted_segment_min(ids, owners, count) < 0, owners)
    kept = ~bad | is_first
    ids, owners = tf.boolean_mask(tf.where(bad, unknown, ids), kept), tf.boolean_mask(owners, kept)
    pieces_of_word = tf.math.unsorted_segment_sum(tf.ones_like(owners), owners, count)
    ids = tf.gather(ids, tf.argsort(owners, stable=True))
    row_lengths = tf.reduce_sum(texts.with_flat_values(pieces_of_word), axis=1)
    return tf.RaggedTensor.from_row_lengths(ids, row_lengths, validate=False)
