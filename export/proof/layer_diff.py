"""Where it went wrong: name the first layer whose output is not the reference's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract
from export.contract.artifact import Artifact
from export.parity.golden import Case
from export.runners.lib import layers, protocol
from export.runtime import process

FILE = "layers.npz"  # in the golden folder
RUNTIMES = ("keras", "tensorflow")  # whose failures can be located
TOLERANCE = 4e-5  # of a layer's output, in units of its largest value
HEAD = 3  # numbers in front of the values of a fingerprint
ENOUGH = 16  # values, for a straight line through them to say something


def write_layers(folder: Path, model: Any, contract: Contract, cases: Mapping[str, Sequence[Case]]) -> None:
    """Write what every layer of the live model returns in the first golden case, into the golden folder."""
    endpoint = contract.endpoints[0]
    case = first_case(cases[endpoint.name])
    if case is None:
        return
    import tensorflow as tf

    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    inputs = {name: tf.constant(value, dtypes[name]) for name, value in rows_of(case, endpoint.batch).items()}
    try:
        found = layers.watch(model, lambda: endpoint.call(inputs))
    except Exception:  # a layer that cannot be watched costs the diagnosis, never the export
        return
    protocol.save_arrays(folder / FILE, {f"{i:04d}/{name}": value for i, (name, value) in enumerate(found)})


def first_difference(
    folder: Path, contract: Contract, cases: Mapping[str, Sequence[Case]], artifact: Artifact, modules: Sequence[str]
) -> str | None:
    """Return a clause about the first layer of a failed artifact that differs; None where that cannot be known.

    Args:
        folder: The bundle.
        contract: Its contract.
        cases: Golden cases by endpoint.
        artifact: A Keras file or a SavedModel that ran.
        modules: Modules that hold classes of the model.
    """
    endpoint = contract.endpoints[0]
    case = first_case(cases[endpoint.name])
    if case is None or not (folder / "golden" / FILE).is_file() or endpoint.name not in artifact.endpoints:
        return None
    reference = protocol.read_arrays(folder / "golden" / FILE)
    with tempfile.TemporaryDirectory(prefix="locate-") as scratch:
        inputs, out = Path(scratch) / "inputs.npz", Path(scratch) / "out.npz"
        protocol.save_arrays(inputs, rows_of(case, endpoint.batch))
        job = {
            "artifact": {
                "format": artifact.format,
                "path": str((folder / artifact.path).resolve()),
                "endpoints": [contract[name].to_json() for name in artifact.endpoints],
            },
            "endpoint": endpoint.name,
            "names": [key.partition("/")[2] for key in reference],
            "inputs": str(inputs),
            "out": str(out),
            "modules": list(modules),
        }
        process.run_script("locate.py", job, Path(scratch), sorted({name.partition(".")[0] for name in modules}))
        found = protocol.read_arrays(out) if out.is_file() else {}
    return compare(reference, found)


def compare(reference: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> str | None:
    """Return a clause about the first of the fingerprints that differs, or that all agree; None if there are none."""
    compared = 0
    for key, wanted in reference.items():
        got, name = found.get(key), key.partition("/")[2]
        if got is None or got.shape != wanted.shape or got[2] != wanted[2]:
            continue
        compared += 1
        scale = max(1.0, float(np.max(np.abs(wanted[HEAD:]))))
        apart = float(np.max(np.abs(wanted[HEAD:] - got[HEAD:]))) / scale
        if not apart <= TOLERANCE:
            return f"the first layer that differs is {name}, by {apart:.2g}{_scaled(wanted[HEAD:], got[HEAD:])}"
    return "every layer agrees: what is before or after the model differs" if compared else None


def _scaled(wanted: np.ndarray, got: np.ndarray) -> str:
    """Return a clause if all values are the reference's times a factor and plus a shift; else nothing."""
    if wanted.size < ENOUGH or np.ptp(wanted) == 0 or not np.all(np.isfinite([wanted, got])):
        return ""
    factor, shift = np.polyfit(wanted, got, 1)
    if np.max(np.abs(factor * wanted + shift - got)) > 1e-3 * np.ptp(got):
        return ""
    plus = f" {shift:+.3g}" if abs(shift) > 1e-3 * np.ptp(got) else ""
    return f": its values are {factor:.3g} times the reference's{plus}, as another normalisation makes them"


def first_case(cases: Sequence[Case]) -> Case | None:
    """Return the first case that a layer can be compared in: judged, answered, one call."""
    return next((case for case in cases if case.judged and case.outputs and not case.chain), None)


def rows_of(case: Case, batch: int | None) -> dict[str, np.ndarray]:
    """Return the rows of one call."""
    return {name: value[:batch] if batch else value for name, value in case.inputs.items()}
