"""Texts as words: frequent ones whole, the others spelled, so that nothing is lost and every text comes back.

A vocabulary here is that of `pipelines.text`, the characters, followed by words of two letters and more.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Sequence

import numpy as np

from pipelines.text.characters import UNKNOWN
from pipelines.text.characters import vocabulary as vocabulary_of_characters

PATTERN = r"\w+|\W"  # words, and single characters of everything else


def vocabulary(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """Return the characters of the texts, U+FFFD, and their most frequent words, at most `size` tokens in all.

    Args:
        texts: The training texts only.
        size: Tokens; there are as many as there are characters at least.
    """
    texts = list(texts)
    characters = vocabulary_of_characters(texts)
    counts = collections.Counter(piece for whole in texts for piece in re.findall(PATTERN, whole) if len(piece) > 1)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return (*characters, *ranked[: max(0, size - len(characters))])


def encode(whole: str | bytes, vocabulary: Sequence[str]) -> np.ndarray:
    """Turn a text into ids: int32 (number of tokens,). What `text.decode` makes of them is the text again.

    Args:
        whole: Characters, or UTF-8 whose invalid sequences become U+FFFD.
        vocabulary: What `vocabulary` returned.
    """
    if isinstance(whole, bytes):
        whole = whole.decode("utf-8", "replace")
    ids = {token: i for i, token in enumerate(vocabulary)}
    unknown = ids[UNKNOWN]
    found: list[int] = []
    for piece in re.findall(PATTERN, whole):
        known = ids.get(piece)
        found += [known] if known is not None else [ids.get(character, unknown) for character in piece]
    return np.array(found, np.int32)
