"""Suggestions for a mistyped name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return a hint for an unknown name.

    Example:
        >>> suggestion("fashon", ["fashion_mnist", "mnist"])
        'did you mean fashion_mnist?'
        >>> suggestion("xyz", ["b", "a"])
        'one of a, b'
    """
    names = sorted(names)
    matches = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(matches)}?" if matches else f"one of {', '.join(names) or 'none'}"
