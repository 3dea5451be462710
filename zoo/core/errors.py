"""Errors a person can act on: one sentence, and the exit code a script can read.

Exit codes: 1 a check failed, 2 wrong usage, 3 something required is missing here.
"""

from __future__ import annotations

from collections.abc import Iterable

from commandline import suggestion


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
    return UsageError(f"unknown {kind} {name!r}; {suggestion(name, known)}")
