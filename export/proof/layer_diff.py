"""Name the layers of a failed artifact that differ from the reference, or that add most quantisation noise."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Artifact, Contract
from export.contract.simulation import Simulation
from export.formats.format import TensorQuantization
from export.formats.tflite import FORMAT, path_of
from export.parity.cases import TYPICAL, GoldenCase
from export.parity.simulation import is_same
from export.proof.certificate import CAUSE, FAIL, Finding, ProofRequest, Row
from export.protocol import layers
from export.protocol.arrays import Key, read_arrays, save_arrays
from export.runtime import process

FILE = "layers.npz"  # in the golden folder
RUNTIMES = ("keras", "tensorflow")  # runtimes whose layers can be compared
TOLERANCE = 4e-5  # of a layer's output, in units of its largest value
HEAD = 3  # numbers before the values of a fingerprint
MIN_VALUES = 16  # for a linear fit
WORST_LAYERS = 3
LEAST_SHARE = 0.99  # of the integers of a layer that are within one step of those of a simulation
ROWS, ROWS_OF_SIMULATION = 32, 16


def write_layers(folder: Path, model: Any, contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> None:
    """Write the outputs of every layer of the live model in the first golden case to the golden folder."""
    endpoint = contract.endpoints[0]
    case = first_case(cases[endpoint.name])
    if case is None:
        return
    import tensorflow as tf

    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    inputs = {name: tf.constant(value, dtypes[name]) for name, value in rows_of(case, endpoint.batch).items()}
    try:
        outputs = layers.record_outputs(model, lambda: endpoint.call(inputs))
    except Exception:  # without recorded layers only the diagnosis is missing
        return
    save_arrays(folder / FILE, {(f"{i:04d}", name): value for i, (name, value) in enumerate(outputs)})


def first_difference(
    folder: Path,
    contract: Contract,
    cases: Mapping[str, Sequence[GoldenCase]],
    artifact: Artifact,
    modules: Sequence[str],
) -> str | None:
    """Return a clause about the first layer of a Keras file or SavedModel that differs; None where it is not found."""
    endpoint = contract.endpoints[0]
    case = first_case(cases[endpoint.name])
    if case is None or not (folder / "golden" / FILE).is_file() or endpoint.name not in artifact.endpoints:
        return None
    reference = read_arrays(folder / "golden" / FILE)
    with tempfile.TemporaryDirectory(prefix="layer-diff-") as scratch:
        inputs, out = Path(scratch) / "inputs.npz", Path(scratch) / "out.npz"
        save_arrays(inputs, rows_of(case, endpoint.batch))
        job = {
            "artifact": {
                "format": artifact.format,
                "path": str((folder / artifact.path).resolve()),
                "endpoints": [contract[name].to_json() for name in artifact.endpoints],
            },
            "endpoint": endpoint.name,
            "names": [name for _, name in reference],
            "inputs": str(inputs),
            "out": str(out),
            "modules": list(modules),
        }
        packages = sorted({name.partition(".")[0] for name in modules})
        process.run_script("jobs/run_layers.py", job, Path(scratch), packages, forked_from="keras", reads=[folder])
        fingerprints = read_arrays(out) if out.is_file() else {}
    return compare(reference, fingerprints)


def compare(reference: Mapping[Key, np.ndarray], candidate: Mapping[Key, np.ndarray]) -> str | None:
    """Return a clause about the first fingerprint that differs, or that all agree; None if none can be compared."""
    compared = 0
    for key, expected in reference.items():
        actual, name = candidate.get(key), key[1]
        if actual is None or actual.shape != expected.shape or actual[2] != expected[2]:
            continue
        compared += 1
        scale = max(1.0, float(np.max(np.abs(expected[HEAD:]))))
        difference = float(np.max(np.abs(expected[HEAD:] - actual[HEAD:]))) / scale
        if not difference <= TOLERANCE:
            return (
                f"the first layer that differs is {name}, by {difference:.2g}{_scaled(expected[HEAD:], actual[HEAD:])}"
            )
    return "every layer agrees: what is before or after the model differs" if compared else None


def _scaled(expected: np.ndarray, actual: np.ndarray) -> str:
    """Return a clause if the values are a linear function of the reference's; else an empty string."""
    if expected.size < MIN_VALUES or np.ptp(expected) == 0 or not np.all(np.isfinite([expected, actual])):
        return ""
    factor, shift = np.polyfit(expected, actual, 1)
    if np.max(np.abs(factor * expected + shift - actual)) > 1e-3 * np.ptp(actual):
        return ""
    plus = f" {shift:+.3g}" if abs(shift) > 1e-3 * np.ptp(actual) else ""
    return f": its values are {factor:.3g} times the reference's{plus}, which suggests another normalisation"


def first_case(cases: Sequence[GoldenCase]) -> GoldenCase | None:
    """Return the first case for a comparison of layers: a compared case with outputs, of a single call."""
    return next((case for case in cases if case.compared and case.outputs and not case.chain), None)


def rows_of(case: GoldenCase, batch: int | None) -> dict[str, np.ndarray]:
    """Return the inputs of one call."""
    return {name: value[:batch] if batch else value for name, value in case.inputs.items()}


def with_worst_layers(request: ProofRequest, rows: Sequence[Row]) -> list[Row]:
    """Return the rows, those of failed quantised files with the layers that add most noise, against the float file."""
    # Nothing is added where there is no float file, or the quantised file does not run.
    present = {artifact.path: artifact for artifact in request.artifacts if artifact.state is None}

    def explained(row: Row) -> Row:
        artifact = present.get(row.artifact)
        is_failed = artifact is not None and artifact.quantize and row.state == FAIL and row.endpoints
        is_failed = is_failed and row.format == FORMAT.name
        clause = _worst(request, artifact) if is_failed else None
        return row.with_findings(Finding(clause, CAUSE)) if clause else row

    return [explained(row) for row in rows] if path_of() in present else list(rows)


def _worst(request: ProofRequest, artifact: Artifact) -> str | None:
    """Return a clause about the layers of an artifact that add most noise, or None."""
    name = artifact.endpoints[0]
    cases = request.cases[name]
    case = next((case for case in cases if case.name == TYPICAL), None) or first_case(cases)
    if case is None or any(value.dtype.kind in "OSU" for value in case.inputs.values()):
        return None
    dtypes = {tensor.name: tensor.dtype for tensor in request.contract[name].inputs}
    with tempfile.TemporaryDirectory(prefix="tensor-errors-") as scratch:
        inputs = Path(scratch) / "inputs.npz"
        save_arrays(inputs, {k: v[:ROWS].astype(dtypes[k]) for k, v in case.inputs.items()})
        job = {
            "float": str((request.folder / path_of()).resolve()),
            "quantized": str((request.folder / artifact.path).resolve()),
            "signature": name,
            "inputs": str(inputs),
        }
        ranking = process.run_job("jobs/run_tensor_errors.py", job, Path(scratch), reads=[request.folder])[0] or []
    worst = [
        f"{operator['layer']} ({operator['sqnr_db']} dB)"
        for operator in ranking[:WORST_LAYERS]
        if operator["added"] > 0
    ]
    return f"most noise is added by {', '.join(worst)}" if worst else None


def first_simulated_layer(
    request: ProofRequest,
    artifact: Artifact,
    simulation: Simulation,
    inputs: Mapping[str, np.ndarray],
    tensors: Mapping[str, TensorQuantization],
) -> str | None:
    """Return a clause about the layers whose integers differ, in the order of the network; None if none can be."""
    # Layers and tensors are matched by their scale and zero point; of several tensors the closest is taken.
    import keras

    model, few = simulation.model, {name: value[:ROWS_OF_SIMULATION] for name, value in inputs.items()}
    endpoint = simulation.contract[artifact.endpoints[0]]
    pairs = {
        name: [tensor for tensor, q in tensors.items() if is_same(parameters, q)]
        for name, parameters in simulation.parameters().items()
    }
    order = [layer.name for layer in model.layers if pairs.get(layer.name)]
    if not order:
        return None
    observed = keras.Model(model.inputs, {name: model.get_layer(name).output for name in order})
    expected = observed([few[t.name].astype(t.dtype) for t in endpoint.inputs], training=False)
    with tempfile.TemporaryDirectory(prefix="layers-") as scratch:
        files = {name: Path(scratch) / f"{name}.npz" for name in ("inputs", "expected")}
        save_arrays(files["inputs"], {t.name: few[t.name].astype(t.dtype) for t in endpoint.inputs})
        save_arrays(files["expected"], {name: np.asarray(expected[name]) for name in order})
        job = {"quantized": str((request.folder / artifact.path).resolve()), "signature": endpoint.name, "pairs": pairs}
        job |= {name: str(path) for name, path in files.items()}
        shares = process.run_job("jobs/run_tensor_errors.py", job, Path(scratch), reads=[request.folder])[0] or {}
    wrong = [f"{name} ({shares[name]:.1%})" for name in order if shares.get(name, 1) < LEAST_SHARE]
    if not wrong:
        return f"the integers of {len(shares)} layers agree" if shares else None
    return f"first differs {', then '.join(wrong[:WORST_LAYERS])} of whose integers are within one step"
