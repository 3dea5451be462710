"""Texts as sequences of the ids of characters, words or symbols, with start and end tokens.

A vocabulary consists of the four special tokens and the characters of `pipelines.text`, the words of
`pipelines.text.words` or the symbols of `pipelines.text.symbols`; Python and a graph return the same ids for any bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from pipelines.text import characters, symbols, words

if TYPE_CHECKING:
    import tensorflow as tf

LEVELS = ("characters", "words", "symbols")
SPECIAL = ("", "[UNK]", "[START]", "[END]")
PADDING, UNKNOWN, START, END = range(len(SPECIAL))


def vocabulary(texts: Iterable[str], level: str, size: int) -> tuple[str, ...]:
    """Return the special tokens, and all characters or symbols of training texts, or their most frequent words."""
    if level == "words":
        return (*SPECIAL, *words.vocabulary(texts, size - 2)[2:])
    return (*SPECIAL, *(characters if level == "characters" else symbols).vocabulary(texts))


@dataclass(frozen=True)
class Tokenizer:
    """Texts to ids and back, in Python and in a graph."""

    vocabulary: tuple[str, ...]  # special tokens and tokens by id; it may contain those of another tokenizer, too
    level: str  # one of `LEVELS`
    first: int = len(SPECIAL)  # id of its first token that is not special
    count: int | None = None  # number of its tokens that are not special; None for all from `first` on
    lowercase: bool = False  # whether A to Z become lower case before

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that are not special."""
        return self.vocabulary[self.first :][: self.count]

    @property
    def _splitter(self) -> ModuleType:
        return words if self.level == "words" else symbols

    def split(self, text: str) -> Sequence[str]:
        """Return the tokens of a text, without start or end tokens."""
        return text if self.level == "characters" else self._splitter.split(text)

    def encode(self, text: str | bytes) -> np.ndarray:
        """Turn a text into ids: int32 (number of tokens,), without padding, start or end tokens."""
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogatepass")
        if self.lowercase:
            text = text.lower()  # ASCII only
        if self.level == "characters":
            return characters.encode(text, self.tokens) + np.int32(self.first)
        index = words.index(self.tokens)
        ids = (index.get(token, UNKNOWN - self.first) for token in self.split(text))
        return np.array([*ids], np.int32) + np.int32(self.first)

    def encode_tensor(self, texts: tf.Tensor, length: int) -> tf.Tensor:
        """Turn texts (B,) into ids as `encode`, truncated or padded with 0, in a graph: int32 (B, length)."""
        import tensorflow as tf

        if self.lowercase:
            texts = tf.strings.lower(texts)  # ASCII only by default
        if self.level == "characters":
            ids = characters.encode_tensor(texts, self.tokens) + self.first
        else:
            ids = words.look_up(self._splitter.split_tensor(texts), ("", "", *self.tokens))
            ids = ids.with_flat_values(tf.where(ids.flat_values < 2, ids.flat_values, ids.flat_values + self.first - 2))
        return ids.to_tensor(PADDING, shape=(None, length))

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text, up to the end token if there is one."""
        tokens = []
        for i in ids:
            if i == END:
                break
            if i >= len(SPECIAL) or i == UNKNOWN:
                tokens.append(self.vocabulary[i])
        return ("" if self.level == "characters" else " ").join(tokens)

    def decode_tensor(self, ids: tf.Tensor) -> tf.Tensor:
        """Turn ids (B, L) into the strings (B,) that `decode` returns, in a graph."""
        import tensorflow as tf

        before_end = tf.cumsum(tf.cast(tf.equal(ids, END), tf.int32), axis=1) == 0
        visible = tf.logical_and(before_end, tf.logical_or(ids >= len(SPECIAL), tf.equal(ids, UNKNOWN)))
        tokens = tf.where(visible, tf.gather(tf.constant(list(self.vocabulary)), ids), "")
        if self.level == "characters":
            return tf.strings.reduce_join(tokens, axis=-1)
        joined = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
        return tf.strings.strip(tf.strings.regex_replace(joined, " +", " "))


def with_end_token(ids: tf.Tensor) -> tf.Tensor:
    """Return ids (L,) that are padded with 0, as int32 (L + 1,) with the end token after the last token."""
    import tensorflow as tf

    count = tf.math.count_nonzero(ids, dtype=tf.int32)
    longer = tf.concat([ids, [PADDING]], axis=0)
    return tf.where(tf.range(tf.size(longer)) == count, END, longer)
