"""Errors with a message of one sentence and an exit code.

Exit codes: 1 a check failed, 2 wrong usage, 3 a requirement is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from zoobase import suggestion


class ZooError(Exception):
    """Base class; the message states what is wrong, where, and what to do."""

    exit_code = 1


class UsageError(ZooError):
    """An argument is unknown, or arguments are inconsistent."""

    exit_code = 2


class MissingError(ZooError):
    """A required file, library or capability is not available."""

    exit_code = 3


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Add the step that failed to an error of a library: the command line prints it after the cause.

    Example:
        >>> try:
        ...     with step("while the model was built"):
        ...         raise ValueError("wrong shape")
        ... except ValueError as error:
        ...     print(error.__notes__)
        ['while the model was built']
    """
    try:
        yield
    except Exception as error:
        if getattr(error, "exit_code", None) is None and not hasattr(error, "__notes__"):
            error.add_note(name)
        raise


def of_process(code: int, output: str) -> ZooError:
    r"""Return the error of a command of ours that has ended, from its exit code and the last line of its output.

    Example:
        >>> error = of_process(2, "warning: ...\nerror: unknown model 'mnits'\n")
        >>> str(error), error.exit_code
        ("unknown model 'mnits'", 2)
    """
    lines = output.strip().splitlines() or ["a process failed without a message"]
    return with_exit_code(lines[-1].removeprefix("error: "), code)


def with_exit_code(message: str, code: int) -> ZooError:
    """Return the error of another process, from its message and its exit code."""
    error = ZooError(message)
    error.exit_code = code
    return error


def unknown(kind: str, name: str, names: Iterable[str]) -> UsageError:
    """Return the error for an unknown name: `unknown model 'fashon'; did you mean fashion_mnist?`."""
    return UsageError(f"unknown {kind} {short(name)}; {suggestion(str(name)[:100], names)}")


def short(value: object) -> str:
    """Return the `repr` of a value, cut to 100 characters.

    Example:
        >>> short("a" * 1000)[-6:]
        'aaa...'
    """
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
