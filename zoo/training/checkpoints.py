"""The state of a training between two epochs, in one file that is whole or absent.

Everything that decides what happens next is in it: weights, moving statistics, the state of random layers (which
Keras' BackupAndRestore leaves out), of optimizers and of the callbacks. The numbers go into an .npz without pickles.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines.sources.storage import write_atomic
from zoo.core.errors import ZooError

_COUNTED = re.compile(r"seed_generator_\d+")  # numbered by how many a process has made, which says nothing
KEPT = 2  # the newest, and the one before it should the newest be damaged


def variables_of(model: keras.Model) -> dict[str, keras.Variable]:
    """Return every variable that training changes, by a stable name: the model's, its optimizers', its seeds'."""
    optimizers = {k: v for k, v in sorted(vars(model).items()) if isinstance(v, keras.optimizers.Optimizer)}
    found: dict[str, keras.Variable] = {
        f"model/{i}/{_COUNTED.sub('seed_generator', v.path)}": v for i, v in enumerate(model.variables)
    }
    for key, optimizer in optimizers.items():
        found |= {f"{key}/{i}/{v.path}": v for i, v in enumerate(optimizer.variables)}
    return found


def save(folder: Path, epoch: int, model: keras.Model, state: dict[str, Any]) -> Path:
    """Write the state after `epoch` epochs; older ones beyond `KEPT` are removed."""
    arrays = {name: np.asarray(v) for name, v in variables_of(model).items()}
    arrays["state.json"] = np.frombuffer(json.dumps({"epoch": epoch, **state}).encode(), np.uint8)
    content = io.BytesIO()
    np.savez(content, **arrays)
    path = folder / f"state-{epoch:05d}.npz"
    write_atomic(path, content.getvalue())
    for old in states(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def states(folder: Path) -> list[Path]:
    """Return the states in a folder, newest first."""
    found = [p for p in folder.glob("state-*.npz") if re.fullmatch(r"state-\d+\.npz", p.name)]
    return sorted(found, reverse=True)


def read(folder: Path) -> Iterator[tuple[Path, dict[str, np.ndarray] | None]]:
    """Yield each state, newest first, with its arrays; None for one that is damaged."""
    for path in states(folder):
        try:
            with np.load(path, allow_pickle=False) as arrays:  # the zip's CRC finds damage
                yield path, {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            yield path, None


def restore(model: keras.Model, arrays: dict[str, np.ndarray], path: Path) -> dict[str, Any]:
    """Put a state back into a compiled model.

    Returns:
        What the callbacks had said, with "epoch".

    Raises:
        ZooError: It is the state of another model.
    """
    held = variables_of(model)
    saved = {k: v for k, v in arrays.items() if k != "state.json"}
    odd = sorted(set(held) ^ set(saved)) or [n for n, v in held.items() if tuple(v.shape) != saved[n].shape]
    if odd:
        raise ZooError(f"{path} is the state of another model: {odd[0]} does not fit")
    for name, variable in held.items():
        variable.assign(saved[name])
    return json.loads(arrays["state.json"].tobytes())
