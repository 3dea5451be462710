"""Whether a file is what its loader will read, all of it, and nothing else: asked before anything reads it."""

import zipfile
from pathlib import Path

from export.formats import tflite_metadata
from export.protocol.arrays import check_archive
from zoobase.errors import CheckFailed, ExportError
from zoobase.hdf5 import find_signature, open_hdf5

BY_NAME = {  # Keras chooses by the end of the name
    "keras": (".keras",),
    "weights": (".weights.h5",),
    "hdf5": (".h5", ".hdf5"),
}
WEIGHTS = "model.weights.h5"  # in a .keras file
KERAS_MEMBERS = frozenset({"config.json", "metadata.json", WEIGHTS})  # by which a loader takes a zip file for a model
END = b"PK\x05\x06"  # of the record at the end of a zip file, 22 bytes with its comment's length in the last two


def check_content(path: Path, format: str) -> None:
    """Check that a file is of this format for every loader that could open it, and that nothing surrounds it."""
    # A zip file is read from its end, HDF5 from its signature: of a file that is both, another part would be inspected.
    names = BY_NAME.get(format, ())
    if names and not path.name.endswith(names):
        raise CheckFailed(f"{path} is refused: its content is of format {format}, its name is not; name it *{names[0]}")
    with path.open("rb") as stream:
        starts_as_zip = stream.read(2) == b"PK"
    is_zip = zipfile.is_zipfile(path)
    if format == "keras" or (is_zip and starts_as_zip and format not in BY_NAME):  # a format may be a zip file itself
        check_zip(path)
        return
    if is_zip and (problem := _unexpected_zip(path, format)) is not None:
        raise CheckFailed(
            f"{path} is refused: it is of format {format} and also a zip file{problem}; write it again without"
        )
    if format in BY_NAME:
        open_hdf5(path).close()
    elif find_signature(path) is not None:
        raise CheckFailed(f"{path} is refused: it is of format {format} and also an HDF5 file; write it again without")


def check_zip(path: Path) -> None:
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


def _unexpected_zip(path: Path, format: str) -> str | None:
    """Return why a zip file behind another file is not that of a TFLite file's metadata, as a clause; or None."""
    # It holds what the metadata name and nothing else, each file once, one behind the other up to the last byte.
    if format != "tflite":
        return ""
    check_archive(path)
    try:
        attached = tflite_metadata.read(path.read_bytes())
    except ExportError:  # damaged, or no TFLite file behind its first bytes
        attached = None
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = sorted(member.filename for member in members)
        if attached is None or attached.names != names:
            return f" with {', '.join(names)[:200]}, which its metadata do not name"
        if unsafe := next((n for n in names if n in KERAS_MEMBERS or "/" in n or "\\" in n or n.startswith(".")), None):
            return f" with {unsafe}, which is no name of labels or of a vocabulary"
        # without extra fields and comments, which could hold what the metadata do not name
        sizes = [30 + len(m.filename.encode()) + m.compress_size for m in members]
        ends = [member.header_offset + size for member, size in zip(members, sizes, strict=True)]
        starts = [*(member.header_offset for member in members[1:]), archive.start_dir]
        directory = sum(46 + len(m.filename.encode()) for m in members)
    if ends != starts or archive.start_dir + directory + 22 != path.stat().st_size:
        return " with more than its files"
    return None
