"""Reading and writing of `.weights.h5` files, and of the metadata of those that are shipped."""

from __future__ import annotations

import functools
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoobase.errors import ZooError
from zoobase.files import checksum_file, is_intact, write_atomic, write_with_checksum
from zoobase.hdf5 import open_hdf5

if TYPE_CHECKING:
    import keras


SHIPPED = Path(__file__).parent.parent / "weights" / "files"
PINNED = "shipped.json"  # beside them: model -> SHA-256 digest of its file, and its licence if it is not Apache-2.0
OMITTED = "omitted"  # attribute of a file: the groups of the parts of the model that it leaves out


@functools.cache
def shipped() -> dict[str, dict[str, str]]:
    """Return digest and licence of the shipped weights by model, as arguments of `zoo.core.spec.Weights`."""
    return json.loads((SHIPPED / PINNED).read_text(encoding="utf-8"))


class _Memory(io.BytesIO):
    """A file in memory, with the name that Keras requires."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_file(model: keras.Model, file: Path) -> None:
    """Write a `.weights.h5` file atomically, with its checksum."""
    # HDF5 writes to memory: after a write to a full disk it can crash the process when it closes the file.
    write_with_checksum(file, content_of(model))


def content_of(model: keras.Model) -> bytes:
    """Return the `.weights.h5` file of a model."""
    content = _Memory()
    model.save_weights(content)
    return content.getvalue()


def check_file(file: Path) -> None:
    """Raise ZooError if a weights file differs from its checksum."""
    if not is_intact(file):
        raise ZooError(f"{file} is damaged: its SHA-256 is not the one in {checksum_file(file).name}")


def load_file(model: keras.Model, file: Path) -> None:
    """Load a `.weights.h5` file."""
    # Parts of the model that are omitted from a shipped file, such as discriminators, keep their weights.
    import h5py

    check_file(file)
    with open_hdf5(file) as content:
        omitted = list(content.attrs.get(OMITTED, ()))
    if not omitted:
        model.load_weights(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(file, Path(folder) / "model.weights.h5")
        with h5py.File(copy, "r+") as content, h5py.File(io.BytesIO(content_of(model))) as own:
            for name in omitted:
                own.copy(name, content, name=name)
        model.load_weights(copy)


def read_description(file: Path) -> dict[str, Any]:
    """Return the metadata of a shipped weights file: builder arguments, dataset info, command, versions."""
    return json.loads(description_file(file).read_text(encoding="utf-8"))


def description_file(file: Path) -> Path:
    """Return the file with the metadata of a shipped weights file."""
    return file.with_name(file.name.replace(".weights.h5", ".json"))


def write_description(file: Path, record: Mapping[str, Any]) -> None:
    """Write the metadata of a shipped weights file as JSON, one line for each field: vocabularies are long."""
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record.items())
    write_atomic(description_file(file), f"{{\n{lines}\n}}\n")
