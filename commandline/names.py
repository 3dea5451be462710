"""The nearest names for a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return the hint for an unknown name.

    Example:
        >>> suggestion("fashon", ["fashion_mnist", "mnist"])
        'did you mean fashion_mnist?'
        >>> suggestion("xyz", ["b", "a"])
        'one of a, b'
    """
    names = sorted(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(names) or 'none'}"
