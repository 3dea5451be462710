"""Whether a file is what its loader will read, all of it, and nothing else: asked before anything reads it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from export.wire.arrays import check_archive
from zoobase.errors import CheckFailed
from zoobase.hdf5 import find_signature, open_hdf5

BY_NAME = {  # Keras chooses by the end of the name
    "keras": (".keras",),
    "weights": (".weights.h5",),
    "hdf5": (".h5", ".hdf5"),
}
WEIGHTS = "model.weights.h5"  # in a .keras file
METADATA = b"TFLITE_METADATA"  # the entry of a TFLite file that has its labels in a zip file behind it
END = b"PK\x05\x06"  # of the record at the end of a zip file, 22 bytes with its comment's length in the last two


def check_content(path: Path, format: str) -> None:
    """Check that a file is of this format for every loader that could open it, and that nothing surrounds it.

    A zip file is read from its end and an HDF5 file from wherever its signature is, so that one file can be two: what
    is inspected would not be what is loaded.

    Args:
        path: A file.
        format: The name of the format that its first bytes say.

    Raises:
        CheckFailed: It is also another file, has other content before or behind its own, reads a further file, or has
            a name by which Keras would read it as another format.
        OSError: It is damaged.
        ValueError: It inflates without bound.
    """
    names = BY_NAME.get(format, ())
    if names and not path.name.endswith(names):
        raise CheckFailed(f"{path} is refused: its content is of format {format}, its name is not; name it *{names[0]}")
    with path.open("rb") as stream:
        starts_as_zip = stream.read(2) == b"PK"
    is_zip = zipfile.is_zipfile(path)
    if format == "keras" or (is_zip and starts_as_zip and format not in BY_NAME):  # a format may be a zip file itself
        _check_zip(path)
    elif is_zip and not (format == "tflite" and _holds_labels(path)):
        raise CheckFailed(f"{path} is refused: it is of format {format} and also a zip file; write it again without")
    elif format in BY_NAME:
        open_hdf5(path).close()
    elif find_signature(path) is not None:
        raise CheckFailed(f"{path} is refused: it is of format {format} and also an HDF5 file; write it again without")


def _check_zip(path: Path) -> None:
    """Check that a zip file begins at the first byte and ends at the last, and the weights in it."""
    check_archive(path)
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        if WEIGHTS in archive.namelist():
            open_hdf5(archive.read(WEIGHTS), f"{WEIGHTS} in {path}").close()
        first = min((member.header_offset for member in archive.infolist()), default=0)
        stream.seek(-22, 2)
        last = stream.read()
    if first or last[:4] != END or last[20:] != b"\0\0":
        where = "before" if first else "behind"
        raise CheckFailed(f"{path} is refused: it has other content {where} its zip file; save it again without")


def _holds_labels(path: Path) -> bool:
    """Return whether a zip file behind a TFLite file is of its metadata, and no model."""
    with zipfile.ZipFile(path) as archive:
        return "config.json" not in archive.namelist() and METADATA in path.read_bytes()
