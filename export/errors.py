"""What can go wrong in an export, as one sentence with an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class ExportError(Exception):
    """Something was asked for that cannot be done; the message says what, where, and what to do.

    Attributes:
        exit_code: 1 a check failed, 2 wrong usage, 3 something required is missing here.
    """

    exit_code = 2


class MissingError(ExportError):
    """Something that this needs is not installed or not there."""

    exit_code = 3


class CheckFailed(ExportError):
    """A check of something that was given here did not hold."""

    exit_code = 1


class ExportFailed(ExportError):
    """The bundle was written but not proven, so it was not published.

    Attributes:
        bundle_path: Where the unproven bundle is kept for study.
        certificate: The `export.proof.certificate.Certificate` that says why.
    """

    def __init__(self, message: str, bundle_path: Path, certificate: Any) -> None:
        super().__init__(message)
        self.bundle_path = bundle_path
        self.certificate = certificate
        self.exit_code = certificate.exit_code


class Unsupported(Exception):
    """A named, known impossibility: the format cannot carry this model, and why."""


def check_present(path: Path) -> None:
    """Raise MissingError unless a file is there."""
    if not path.is_file():
        raise MissingError(f"there is no file {path}; give the path of one")
