"""The vocabulary of a bundle, and the few lines of Python that turn a text into the ids that its TFLite file takes.

A test runs the lines of every card on hostile texts and holds them against the graph of the SavedModel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipelines.text import words, words_and_characters

if TYPE_CHECKING:
    from pipelines.dataset import Info

FILE = "vocabulary.json"
_HEAD = """\
import json, re
import numpy as np

vocabulary = {token: i for i, token in enumerate(json.load(open("vocabulary.json", encoding="utf-8")))}

"""
_TAIL = """\
    return np.array(ids + [FILL] * (LENGTH - len(ids)), np.int32)
"""
_CHARACTERS = """\
def tokens(text):  # UTF-8 bytes -> int32 (LENGTH,)
    characters = text.decode("utf-8", "replace")
    ids = [vocabulary.get(character, vocabulary["\\ufffd"]) for character in characters][:LENGTH]
"""
_WORDS = """\
def tokens(text):  # UTF-8 bytes -> int32 (LENGTH,)
    text = text.lower().decode("utf-8", "replace")
    for pattern, instead in PATTERNS:
        text = re.sub(pattern, instead, text)
    ids = [vocabulary.get(word, 1) for word in text.split(" ") if word][:LENGTH]
"""
_PIECES = """\
def tokens(text):  # UTF-8 bytes -> int32 (LENGTH,)
    pieces = re.findall(PATTERN, text.decode("utf-8", "replace"))
    known = [token for piece in pieces for token in ([piece] if piece in vocabulary else piece)]
    ids = [vocabulary.get(token, vocabulary["\\ufffd"]) for token in known][:LENGTH]
"""


def assets(info: Info) -> dict[str, bytes]:
    """Return the vocabulary as a file: a JSON list whose index is the id of a token."""
    return {FILE: (json.dumps(list(info.vocabulary), ensure_ascii=False) + "\n").encode()}


def characters(length: int, fill: int = 0) -> str:
    """Return Python that does what `pipelines.text.encode` does, cut to `length` ids or filled up."""
    return _lines(_CHARACTERS, length, fill)


def whole_words(length: int) -> str:
    """Return Python that does what `pipelines.text.words.encode` does."""
    patterns = ",\n".join(f"    ({pattern!a}, {instead!a})" for pattern, instead in words.REPLACED)
    return _lines(_WORDS, length, 0).replace("def tokens", f"PATTERNS = [\n{patterns},\n]\n\ndef tokens", 1)


def spelled_words(length: int, fill: int = 0) -> str:
    """Return Python that does what `pipelines.text.words_and_characters.encode` does."""
    return _lines(_PIECES, length, fill).replace("PATTERN", ascii(words_and_characters.PATTERN), 1)


def _lines(body: str, length: int, fill: int) -> str:
    return (_HEAD + body + _TAIL).replace("LENGTH", str(length)).replace("FILL", str(fill))
