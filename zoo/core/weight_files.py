"""Loading of `.weights.h5` files, older ones included."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def load_file(model: keras.Model, file: Path) -> None:
    """Load a `.weights.h5` file; the discriminators of GANs may have their former names in it."""
    import h5py

    with h5py.File(file) as content:
        former = {name: name.replace("critic", "discriminator") for name in content if name.startswith("critic")}
    if not former or any(hasattr(model, name) for name in former):
        model.load_weights(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(file, Path(folder) / "model.weights.h5")
        with h5py.File(copy, "r+") as content:
            for old, new in former.items():
                content.move(old, new)
        model.load_weights(copy)
