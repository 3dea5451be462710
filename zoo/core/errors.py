"""Errors a person can act on: one sentence, and the exit code a script can read.

Exit codes: 1 a check failed, 2 wrong usage, 3 something required is missing here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """A sentence that says what is wrong, where, and what to do."""

    exit_code = 1


class UsageError(ZooError):
    """What was asked for does not exist or does not fit together."""

    exit_code = 2


class MissingError(ZooError):
    """Something required is not here: a file, a library, a capability."""

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a mistyped name: `unknown model 'fashon'; did you mean fashion_mnist?`."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
    return UsageError(f"unknown {kind} {name!r}; {hint}")
