"""Reading and writing of `.weights.h5` files, older ones included."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zoobase.errors import ZooError
from zoobase.files import checksum_file, is_intact, write_with_checksum

if TYPE_CHECKING:
    import keras


OMITTED = "omitted"  # attribute of a file: the groups of the parts of the model that it leaves out


class _Memory(io.BytesIO):
    """A file in memory, with the name that Keras requires."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_file(model: keras.Model, file: Path) -> None:
    """Write a `.weights.h5` file atomically, with its checksum.

    HDF5 writes to memory: after a write to a full disk it can crash the process when it closes the file.
    """
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
    """Load a `.weights.h5` file; the discriminators of GANs may have their former names in it.

    Parts of the model that are omitted from a shipped file, such as discriminators, keep their weights.

    Raises:
        ZooError: It differs from its checksum.
    """
    import h5py

    check_file(file)
    with h5py.File(file) as content:
        former = {name: name.replace("critic", "discriminator") for name in content if name.startswith("critic")}
        former = {} if any(hasattr(model, name) for name in former) else former
        omitted = list(content.attrs.get(OMITTED, ()))
    if not former and not omitted:
        model.load_weights(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(file, Path(folder) / "model.weights.h5")
        with h5py.File(copy, "r+") as content:
            for old, new in former.items():
                content.move(old, new)
            if omitted:
                with h5py.File(io.BytesIO(content_of(model))) as own:
                    for name in omitted:
                        own.copy(name, content, name=name)
        model.load_weights(copy)
