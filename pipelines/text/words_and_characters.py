"""Texts as tokens: frequent words text, others by characters, so that decoding restores every text.

A vocabulary consists of the characters of `pipelines.text` and of words of two letters and more.
"""

import collections
import re
from collections.abc import Iterable, Sequence

import numpy as np

from pipelines.text.characters import UNKNOWN
from pipelines.text.characters import vocabulary as vocabulary_of_characters

PATTERN = r"\w+|\W"  # words, and single characters of everything else


def vocabulary(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """Return the characters of training texts, U+FFFD, and their most frequent words, at most `size` in all."""
    texts = list(texts)
    characters = vocabulary_of_characters(texts)
    counts = collections.Counter(token for text in texts for token in re.findall(PATTERN, text) if len(token) > 1)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return (*characters, *ranked[: max(0, size - len(characters))])


def encode(text: str | bytes, vocabulary: Sequence[str]) -> np.ndarray:
    """Turn a text into ids, int32 (number of tokens,); `text.decode` restores it."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    ids = {token: i for i, token in enumerate(vocabulary)}
    unknown = ids[UNKNOWN]
    token_ids: list[int] = []
    for token in re.findall(PATTERN, text):
        token_id = ids.get(token)
        token_ids += [token_id] if token_id is not None else [ids.get(character, unknown) for character in token]
    return np.array(token_ids, np.int32)
