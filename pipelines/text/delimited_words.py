"""Texts as word ids by one regular expression, which is all that a RegexTokenizer of MediaPipe has.

All but letters, digits and apostrophes inside words is between words. The tokenizer of a device does not lowercase, so
each word of the vocabulary is looked up in the forms `film`, `Film` and `FILM`, A to Z; other capitals make an unknown
word. Python, a graph and MediaPipe return the same ids for valid UTF-8. Ids: 0 is padding, 1 any other word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.text import words
from pipelines.text.words import counted

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["DELIMITER", "counted", "encode", "encode_tensor", "forms", "index", "split"]

_SEPARATORS = "[^A-Za-z0-9'\u00c0-\u1fff\u2c00-\ufffc\U00010000-\U0010ffff]+"
DELIMITER = f"'*{_SEPARATORS}'*|^'+|'+$"


def split(text: str | bytes) -> list[str]:
    """Return the words of a text in order, A to Z in lower case, as a vocabulary counts them."""
    return [word.encode().lower().decode() for word in _split(text)]


def _split(text: str | bytes) -> list[str]:
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [word for word in re.split(DELIMITER, text) if word]


def forms(word: str) -> list[str]:
    """Return the forms by which a word of the vocabulary is found: film, Film and FILM."""
    upper = word.encode().upper().decode()  # bytes.upper() is ASCII only
    return list(dict.fromkeys([word, upper[:1] + word[1:], upper]))


def index(vocabulary: Sequence[str]) -> dict[str, int]:
    """Return form -> id; a form of two words is that of the more frequent one."""
    found: dict[str, int] = {}
    for i, word in enumerate(vocabulary):
        for form in forms(word) if i > 1 else [word]:
            found.setdefault(form, i)
    return found


def encode(text: str | bytes, index: Mapping[str, int], length: int | None = None) -> np.ndarray:
    """Turn a text into ids, int32 (length or number of words,)."""
    ids = [index.get(word, 1) for word in _split(text)][:length]
    return np.array(ids + [0] * ((length or 0) - len(ids)), np.int32)


def encode_tensor(texts: tf.Tensor, vocabulary: Sequence[str], length: int) -> tf.Tensor:
    """Turn texts (B,) into the ids that `encode` returns, int32 (B, length), in a graph."""
    import tensorflow as tf

    table = {form: i for form, i in index(vocabulary).items() if i > 1}
    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace", replacement_char=0xFFFD, replace_control_characters=False
    )
    split = tf.strings.split(tf.strings.regex_replace(texts, DELIMITER, " "))
    find = words.finder(tuple(table), missing=-1)
    ids = tf.gather(tf.constant([1, *table.values()], tf.int32), find(split.flat_values) + 1)
    return split.with_flat_values(ids).to_tensor(0, shape=(None, length))
