"""Exceptions of the three packages: a sentence that suggests the nearest names, and an exit code.

Exit codes: 1 a check failed, 2 wrong usage, 3 a requirement is not available.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FAILED, USAGE, MISSING = 1, 2, 3


class KnownError(Exception):
    """Base class; the message states what is wrong, where, and what to do."""

    exit_code = FAILED  # exit code of the command line

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


class ZooError(KnownError):
    """An error of `zoo`."""


class UsageError(ZooError):
    """An argument is unknown, or arguments are inconsistent."""

    exit_code = USAGE


class MissingError(ZooError):
    """A required file, library or capability is not available."""

    exit_code = MISSING


class DataError(KnownError):
    """An error of `pipelines`: in data or its use; exit code 1 for damaged data."""


class SourceUnavailable(Exception):
    """A source does not have the data, with the reason; the search continues with the next source."""


class ExportError(KnownError):
    """An error of `export`: an invalid request."""

    exit_code = USAGE


class Unavailable(ExportError):
    """A required file, package or runtime is not available."""

    exit_code = MISSING


class CheckFailed(ExportError):
    """A check of an input failed."""

    exit_code = FAILED


class ExportFailed(ExportError):
    """The bundle was written but not proven, so it was not published; it is kept at `bundle_path`."""

    def __init__(self, message: str, bundle_path: Path, certificate: Any) -> None:
        super().__init__(message, certificate.exit_code)
        self.bundle_path = bundle_path
        self.certificate = certificate


class Unsupported(Exception):
    """A known limitation: the format cannot represent this model; the message states why."""


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Add the step that failed to an error of a library: the command line prints it after the cause."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, KnownError) and not hasattr(error, "__notes__"):
            error.add_note(name)
        raise


def of_process(code: int, output: str) -> ZooError:
    """Return the error of a command of ours that has ended, from its exit code and the last line of its output."""
    lines = output.strip().splitlines() or ["a process failed without a message"]
    return ZooError(lines[-1].removeprefix("error: "), code)


def unknown(kind: str, name: str, names: Iterable[str]) -> UsageError:
    """Return the error for an unknown name: `unknown model 'fashon'; did you mean fashion_mnist?`."""
    return UsageError(f"unknown {kind} {short(name)}; {suggestion(str(name)[:100], names)}")


def short(value: object) -> str:
    """Return the `repr` of a value, cut to 100 characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


ALIASES = {  # names of other libraries -> ours
    "aug": "augment",
    "batch": "batch_size",
    "beta1": "momentum",
    "beta_1": "momentum",
    "bs": "batch_size",
    "clipnorm": "clip_norm",
    "drop_rate": "dropout",
    "early_stopping": "patience",
    "grad_clip": "clip_norm",
    "lr": "learning_rate",
    "lr_scheduler": "schedule",
    "max_epochs": "epochs",
    "nesterov": "momentum",
    "opt": "optimizer",
    "quantization": "qat",
    "subset": "limit",
    "wd": "weight_decay",
}


def near(name: str, names: Iterable[str]) -> list[str]:
    """Return the names, at most three, that resemble a name, contain it or have it as their usual abbreviation.

    Example:
        >>> near("lr", ["l1", "l2", "learning_rate"])
        ['learning_rate']
        >>> near("lion", ["adam", "muon"])
        []
    """
    spelled, candidates = _plain(name), {_plain(candidate): candidate for candidate in sorted(names)}
    if ALIASES.get(spelled) in candidates:
        return [candidates[ALIASES[spelled]]]
    similar = difflib.get_close_matches(spelled, candidates)
    contained = [c for c in candidates if min(len(c), len(spelled)) >= 3 and (c in spelled or spelled in c)]
    return [candidates[plain] for plain in dict.fromkeys([*similar, *contained])][:3]


def _plain(name: str) -> str:
    return name.lower().strip("-").replace("-", "_")


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return a hint for an unknown name.

    Example:
        >>> suggestion("fashon", ["fashion_mnist", "mnist"])
        'did you mean fashion_mnist?'
        >>> suggestion("xyz", ["b", "a"])
        'one of a, b'
    """
    names = sorted(names)
    matches = near(name, names)
    return f"did you mean {' or '.join(matches)}?" if matches else f"one of {', '.join(names) or 'none'}"
