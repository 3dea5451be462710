"""Exceptions of `export`: a message of one sentence and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class ExportError(Exception):
    """An invalid request; the message states the problem, where it is, and what to do.

    Attributes:
        exit_code: 1 a check failed, 2 wrong usage, 3 something required is missing here.
    """

    exit_code = 2


class MissingError(ExportError):
    """A required file, package or runtime is not available."""

    exit_code = 3


class CheckFailed(ExportError):
    """A check of an input failed."""

    exit_code = 1


class ExportFailed(ExportError):
    """The bundle was written but not proven, so it was not published.

    Attributes:
        bundle_path: Where the failed bundle is kept for inspection.
        certificate: The `export.proof.certificate.Certificate` with the reasons.
    """

    def __init__(self, message: str, bundle_path: Path, certificate: Any) -> None:
        super().__init__(message)
        self.bundle_path = bundle_path
        self.certificate = certificate
        self.exit_code = certificate.exit_code


class Unsupported(Exception):
    """A known limitation: the format cannot represent this model; the message states why."""


def check_present(path: Path) -> None:
    """Raise MissingError unless a file exists."""
    if not path.is_file():
        raise MissingError(f"there is no file {path}; give the path of one")
