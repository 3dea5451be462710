"""The vocabulary and the rules of the tokenizer of a bundle, as files."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.dataset import Info
from pipelines.text import words

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
