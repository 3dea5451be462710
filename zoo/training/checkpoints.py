"""The state of a training after an epoch, or within one, in one file that is written atomically.

It holds everything that affects the rest of the training: weights, moving statistics, the state of random layers
(which `keras.callbacks.BackupAndRestore` leaves out), of optimizers and of callbacks. The file is an .npz without
pickles, with its SHA-256 beside it.
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.training.optimizers import optimizers_of
from zoobase.errors import ZooError
from zoobase.files import checksum_file, is_intact, write_with_checksum

_NUMBERED = re.compile(r"seed_generator_\d+")  # the number depends on what else the process has created
METRICS = "metrics/"
MAX_STATES = 2  # the newest, and the one before in case the newest is damaged


def variables_of(model: keras.Model) -> dict[str, keras.Variable]:
    """Return every variable that training changes, by a stable name: of the model, optimizers and seed generators."""
    # Those of constraints, such as masks, are among them.
    variables: dict[str, keras.Variable] = {
        f"model/{i}/{_NUMBERED.sub('seed_generator', v.path)}": v for i, v in enumerate(model.variables)
    }
    for i, v in enumerate(model.variables):
        of_constraint = getattr(getattr(v, "constraint", None), "variables", ())
        variables |= {f"constraint/{i}/{j}/{v.path}": state for j, state in enumerate(of_constraint)}
    for key, optimizer in optimizers_of(model).items():
        variables |= {f"{key}/{i}/{v.path}": v for i, v in enumerate(optimizer.variables)}
    return variables


def save(
    folder: Path,
    epoch: int,
    model: keras.Model,
    state: dict[str, Any],
    step: int = 0,
    metrics: Sequence[keras.Variable] = (),
) -> Path:
    """Write the state after `epoch` epochs and `step` steps of the next; only the newest `MAX_STATES` are kept."""
    arrays = {name: np.asarray(v) for name, v in variables_of(model).items()}
    arrays |= {f"{METRICS}{i}": np.asarray(variable) for i, variable in enumerate(metrics)}
    arrays["state.json"] = np.frombuffer(json.dumps({"epoch": epoch, "step": step, **state}).encode(), np.uint8)
    content = io.BytesIO()
    np.savez(content, **arrays)
    path = folder / (f"state-{epoch:05d}-{step:07d}.npz" if step else f"state-{epoch:05d}.npz")
    write_with_checksum(path, content.getvalue())
    for old in states(folder)[MAX_STATES:]:
        old.unlink(missing_ok=True)
        checksum_file(old).unlink(missing_ok=True)
    return path


def states(folder: Path) -> list[Path]:
    """Return the states in a folder, newest first."""
    paths = [p for p in folder.glob("state-*.npz") if re.fullmatch(r"state-\d+(-\d+)?\.npz", p.name)]
    return sorted(paths, key=lambda path: path.stem, reverse=True)


def read(folder: Path) -> Iterator[tuple[Path, dict[str, np.ndarray] | None]]:
    """Yield the path of each state, newest first, with its arrays, or None if it differs from its checksum."""
    for path in states(folder):
        if not checksum_file(path).is_file() or not is_intact(path):
            yield path, None
            continue
        with np.load(path, allow_pickle=False) as arrays:
            yield path, {name: arrays[name] for name in arrays.files}


def restore(model: keras.Model, arrays: dict[str, np.ndarray], path: Path) -> dict[str, Any]:
    """Restore a state into a compiled model."""
    variables = variables_of(model)
    saved = {k: v for k, v in arrays.items() if k != "state.json" and not k.startswith(METRICS)}
    mismatches = sorted(set(variables) ^ set(saved))
    mismatches = mismatches or [n for n, v in variables.items() if tuple(v.shape) != saved[n].shape]
    if mismatches:
        raise ZooError(f"{path} is the state of another model: {mismatches[0]} does not match")
    for name, variable in variables.items():
        variable.assign(saved[name])
    metrics = [arrays[name] for name in sorted(arrays, key=len) if name.startswith(METRICS)]
    return json.loads(arrays["state.json"].tobytes()) | {"metrics": metrics}
