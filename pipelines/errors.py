"""Exceptions of `pipelines`."""

from __future__ import annotations

USAGE, MISSING, DAMAGED = 2, 3, 1


class DataError(Exception):
    """An error in data or its use; the message states the problem, where it is, and what to do.

    Attributes:
        exit_code: Exit code of the command line: 1 for damaged data, 2 for wrong usage, 3 if a requirement is not
            available.
    """

    def __init__(self, message: str, exit_code: int = DAMAGED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class SourceUnavailable(Exception):
    """A source does not have the data, with the reason; the search continues with the next source."""
