"""Read input files of the command line: samples and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.errors import ExportError, check_present
from export.runners.lib.protocol import check_archive


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name.

    Raises:
        MissingError: If the file does not exist.
        ExportError: If it contains anything but plain arrays.
    """
    check_present(path)
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged file may raise anything
        raise ExportError(f"{path} is not an .npz file of plain arrays ({error})") from error


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the lines of a text file.

    Raises:
        MissingError: If the file does not exist.
        ExportError: If it is not UTF-8 text.
    """
    check_present(path)
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is not UTF-8 text; give one class name on each line") from error
