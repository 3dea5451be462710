"""Symbols that spaces separate, such as phonemes; Python and a graph split any bytes equally.

A text is decoded as UTF-8 (invalid bytes become U+FFFD) and split at ASCII white space; letters keep their case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def split(text: str | bytes) -> list[str]:
    """Return the symbols of a text in order: ["HH", "AH", "L", "OW"]."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    return [symbol for symbol in re.split("[ \t\n\v\f\r]+", text.decode("utf-8", "replace")) if symbol]


def split_tensor(texts: tf.Tensor) -> tf.RaggedTensor:
    """Return the symbols of texts (B,) in a graph: string, ragged (B, None)."""
    import tensorflow as tf

    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace", replacement_char=0xFFFD, replace_control_characters=False
    )
    return tf.strings.split(texts)


def vocabulary(texts: Iterable[str | bytes]) -> tuple[str, ...]:
    """Return the symbols of the training texts in alphabetical order."""
    return tuple(sorted({symbol for text in texts for symbol in split(text)}))
