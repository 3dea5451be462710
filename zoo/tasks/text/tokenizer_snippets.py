"""The vocabulary of a bundle, and the few lines of Python that turn a text into the ids that its TFLite file takes.

A test runs the lines of every card on hostile texts and holds them against the graph of the SavedModel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipelines.text import words, words_and_characters
from zoo.tasks.templates import template

if TYPE_CHECKING:
    from pipelines.dataset import Info

FILE = "vocabulary.json"


def assets(info: Info) -> dict[str, bytes]:
    """Return the vocabulary as a file: a JSON list whose index is the id of a token."""
    return {FILE: (json.dumps(list(info.vocabulary), ensure_ascii=False) + "\n").encode()}


def characters(length: int, fill: int = 0) -> str:
    """Return Python that does what `pipelines.text.encode` does, cut to `length` ids or filled up."""
    return template(__file__, "characters.py", length=length, fill=fill)


def whole_words(length: int) -> str:
    """Return Python that does what `pipelines.text.words.encode` does."""
    patterns = ",\n".join(f"    ({pattern!a}, {instead!a})" for pattern, instead in words.REPLACED) + ","
    return template(__file__, "words.py", length=length, fill=0, patterns=patterns)


def spelled_words(length: int, fill: int = 0) -> str:
    """Return Python that does what `pipelines.text.words_and_characters.encode` does."""
    pattern = ascii(words_and_characters.PATTERN)
    return template(__file__, "words_and_characters.py", length=length, fill=fill, pattern=pattern)
