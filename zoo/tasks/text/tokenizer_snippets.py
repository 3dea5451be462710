"""The vocabulary and the tokenizer of a bundle as files, and Python snippets of its card that do the same.

A test runs the snippet of every card on edge cases and compares the ids with those of the SavedModel.
"""

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.dataset import Info
from pipelines.text import byte_pairs as bpe
from pipelines.text import wordpiece, words
from pipelines.text import words_and_characters as tokenizer
from zoo.candidates import ngrams
from zoo.tasks.templates import template

FILE, RULES = "vocabulary.json", "tokenizer.json"


def assets(info: Info, rules: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Return the vocabulary as a file, a JSON list whose index is the id of a token, and the rules of the tokenizer."""
    # The page of `python -m export web` reads the rules: whether A to Z become lower case; which patterns are replaced;
    # the pattern of a token; whether an unknown token becomes its characters; the ids of an unknown token and of the
    # fill. Patterns are regular expressions of JavaScript.
    files = {FILE: list(info.vocabulary)} | ({RULES: dict(rules)} if rules else {})
    return {name: (json.dumps(content, ensure_ascii=False) + "\n").encode() for name, content in files.items()}


def rules_of_words() -> dict[str, Any]:
    """Return the rules of `pipelines.text.words.encode`."""
    replace = [[pattern, replacement.replace("\\", "$")] for pattern, replacement in words.REPLACED]
    return {"lowercase": True, "replace": replace, "token": "[^ ]+", "parts": False, "unknown": 1, "fill": 0}


def rules_of_characters(unknown: int, with_words: bool = False) -> dict[str, Any]:
    """Return the rules of `pipelines.text.encode`, or of `words_and_characters.encode`."""
    word = r"[\p{L}\p{N}_]+|[^\p{L}\p{N}_]"  # what Python writes as \w+|\W
    token = word if with_words else "."
    return {"lowercase": False, "replace": [], "token": token, "parts": with_words, "unknown": unknown, "fill": unknown}


def characters(length: int, fill: int = 0, tokens: int | None = None, lowercase: bool = False) -> str:
    """Return Python that does what `pipelines.text.encode` does, truncated or padded to `length` ids."""
    lower = ".lower()" if lowercase else ""
    return template(__file__, "characters.py", length=length, fill=fill, used=_first(tokens), lower=lower)


def symbols(length: int, tokens: int | None = None, lowercase: bool = False) -> str:
    """Return Python that splits a text at white space, as `pipelines.text.symbols`; see `characters`."""
    lower = ".lower()" if lowercase else ""
    return template(__file__, "symbols.py", length=length, used=_first(tokens), lower=lower)


def whole_words(length: int, tokens: int | None = None) -> str:
    """Return Python that does what `pipelines.text.words.encode` does; see `characters`."""
    patterns = _replaced(words.REPLACED)
    return template(__file__, "words.py", length=length, fill=0, patterns=patterns, used=_first(tokens))


def ngrams_of_words(length: int) -> str:
    """Return Python that does what `zoo.candidates.ngrams.encode` does."""
    return template(__file__, "ngrams.py", length=length, patterns=_replaced(words.REPLACED), widths=ngrams.WIDTHS)


def words_and_characters(length: int, fill: int = 0) -> str:
    """Return Python that does what `pipelines.text.words_and_characters.encode` does."""
    pattern = ascii(tokenizer.PATTERN)
    return template(__file__, "words_and_characters.py", length=length, fill=fill, pattern=pattern)


def word_pieces(length: int) -> str:
    """Return Python that does what `pipelines.text.wordpiece.encode` does: its own functions."""
    names = ("UNKNOWN", "START", "END", "REST", "LONGEST_WORD", "LAST_TABLE", "TAGS")
    functions = (wordpiece.replacements, wordpiece.is_mark, wordpiece.split, wordpiece.pieces_of, wordpiece.encode)
    return template(
        __file__,
        "wordpiece.py",
        length=length,
        constants="\n".join(f"{name} = {getattr(wordpiece, name)!r}" for name in names),
        patterns=_replaced(wordpiece.REPLACED),
        functions="\n\n".join(inspect.getsource(function).rstrip() for function in functions),
    )


def byte_pairs(length: int) -> str:
    """Return Python that does what `pipelines.text.byte_pairs.encode` does: its own functions."""
    functions = (bpe.split, bpe.pieces_of, bpe.encode)
    source = "\n\n".join(inspect.getsource(function).rstrip() for function in functions)
    constants = "\n".join(f"{name} = {getattr(bpe, name)!a}" for name in ("SPACE", "BYTE", "FIRST", "LONGEST"))
    return template(__file__, "byte_pairs.py", length=length, constants=constants, functions=source)


def _replaced(pairs: Sequence[tuple[str, str]]) -> str:
    return ",\n".join(f"    ({pattern!a}, {replacement!a})" for pattern, replacement in pairs) + ","


def _first(tokens: int | None) -> str:
    return "" if tokens is None else f"[:{tokens}]"
