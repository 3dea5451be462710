"""The vocabulary file of a bundle, and the Python snippets of its card that convert a text to token ids.

A test runs the snippet of every card on edge cases and compares the ids with those of the SavedModel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipelines.text import words
from pipelines.text import words_and_characters as tokenizer
from zoo.tasks.templates import template

if TYPE_CHECKING:
    from pipelines.dataset import Info

FILE = "vocabulary.json"


def assets(info: Info) -> dict[str, bytes]:
    """Return the vocabulary as a file: a JSON list whose index is the id of a token."""
    return {FILE: (json.dumps(list(info.vocabulary), ensure_ascii=False) + "\n").encode()}


def characters(length: int, fill: int = 0) -> str:
    """Return Python that does what `pipelines.text.encode` does, truncated or padded to `length` ids."""
    return template(__file__, "characters.py", length=length, fill=fill)


def whole_words(length: int) -> str:
    """Return Python that does what `pipelines.text.words.encode` does."""
    patterns = ",\n".join(f"    ({pattern!a}, {replacement!a})" for pattern, replacement in words.REPLACED) + ","
    return template(__file__, "words.py", length=length, fill=0, patterns=patterns)


def words_and_characters(length: int, fill: int = 0) -> str:
    """Return Python that does what `pipelines.text.words_and_characters.encode` does."""
    pattern = ascii(tokenizer.PATTERN)
    return template(__file__, "words_and_characters.py", length=length, fill=fill, pattern=pattern)
