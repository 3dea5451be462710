"""The one exception that `pipelines` raises on purpose."""

from __future__ import annotations

USAGE, MISSING, DAMAGED = 2, 3, 1


class DataError(Exception):
    """One sentence that says what is wrong, where, and what to do.

    Attributes:
        exit_code: What a command line should exit with: 1 for damaged data, 2 for wrong usage, 3 when something
            required is missing here.
    """

    def __init__(self, message: str, exit_code: int = DAMAGED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NotHere(Exception):
    """A source that does not have the data, with the reason; the search goes on to the next one."""
