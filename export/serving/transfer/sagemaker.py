"""The model archive of SageMaker's TensorFlow Serving container.

Source: https://github.com/aws/sagemaker-tensorflow-serving-container: folders MODEL/VERSION, and `code/inference.py`
with `input_handler` and `output_handler`.
"""

from __future__ import annotations

import gzip
import os
import string
import tarfile
import tempfile
from collections.abc import Collection
from pathlib import Path

from export.bundle import layout
from export.bundle.gate import read_proven
from export.contract import Contract
from export.formats import saved_model
from export.serving.publisher import find_version_damage, proven_saved_model
from zoobase.errors import CheckFailed, ExportError
from zoobase.files import staging

TEMPLATE = Path(__file__).parent / "templates" / "inference.py.txt"
MODEL = "model"  # the name of the model in the container
TYPES = {"encoded_image": "image/*", "text": "text/plain"}  # meaning of an input: its content type
SENTENCES = {"image/*": " image/* is one image file.", "text/plain": " text/plain is one text in UTF-8."}


def write_archive(
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    trust: Collection[str] = (),
    allow: Collection[str] = (),
) -> Path:
    """Write `model.tar.gz` for an endpoint of SageMaker; it is read again before it appears under its name.

    Two archives of one bundle are equal but for the time in `published.json`.

    Args:
        bundle: A bundle whose proof passed.
        out: A file to create.
        trust: As of `export.publish`.
        allow: As of `export.publish`.

    Returns:
        The path of the archive.

    Raises:
        ExportError: If `out` exists, or the bundle has no SavedModel.
        CheckFailed: If `publish` would refuse the bundle.

    Example:
        >>> write_archive("bundle", "model.tar.gz").name
        'model.tar.gz'
    """
    source, target = Path(bundle), Path(out).absolute()
    if os.path.lexists(target):
        raise ExportError(f"{target} exists; give a file that does not")
    contract = Contract.from_json(read_proven(source, "is served")["contract"])
    with staging(target.parent, f".{target.name}.staging-") as folder:
        content = folder / "content"
        (content / "code").mkdir(parents=True)
        proven_saved_model(source, trust, allow).copy(content / MODEL)
        (content / "code" / "inference.py").write_text(_inference(source.resolve().name, contract), encoding="utf-8")
        archive = folder / "archive"
        _pack(content, archive)
        _check(archive, content)
        os.link(archive, target)  # fails if another process wrote it meanwhile
    return target


def _inference(name: str, contract: Contract) -> str:
    signatures = {}
    for endpoint in contract.carried_by(saved_model.FORMAT.name):
        tensor, *others = endpoint.inputs
        if not others and tensor.meaning in TYPES and all(size == 1 for size in tensor.shape[1:]):
            signatures[TYPES[tensor.meaning]] = (endpoint.name, len(tensor.shape) - 1)
    types = "".join(SENTENCES[kind] for kind in signatures)
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    title = name.encode("ascii", "replace").decode().replace("\\", "?").replace('"', "?")
    return template.substitute(name=title, types=types, signatures=repr(signatures))


def _pack(content: Path, archive: Path) -> None:
    """Write a tar.gz with no times and no owners."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime, entry.mode = 0, 0o755 if entry.isdir() else 0o644
        return entry

    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(content.iterdir()):
            tar.add(path, path.name, filter=plain)  # the entries of a folder are sorted by tarfile
        packed.flush()
    with archive.open("rb") as file:
        os.fsync(file.fileno())


def _check(archive: Path, content: Path) -> None:
    """Raise CheckFailed if the archive, unpacked, is not what was packed."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch, tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
        unpacked = Path(scratch)
        if list(layout.files_of(unpacked)) != list(layout.files_of(content)):
            raise CheckFailed("the archive does not hold the files that were packed; nothing was written")
        (version,) = (unpacked / MODEL).iterdir()
        if damage := find_version_damage(version):
            raise CheckFailed(f"the archive is damaged ({damage[0]}); nothing was written")
