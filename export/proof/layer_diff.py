"""Name the layers of a failed quantised file that add most noise, or that differ from a simulation."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from export.contract import Artifact
from export.contract.simulation import Simulation
from export.formats.format import TensorQuantization
from export.formats.tflite import FORMAT, path_of
from export.parity.cases import TYPICAL, GoldenCase
from export.parity.simulation import is_same
from export.proof.certificate import CAUSE, FAIL, Finding, ProofRequest, Row
from export.protocol.arrays import save_arrays
from export.runtime import process

WORST_LAYERS = 3
LEAST_SHARE = 0.99  # of the integers of a layer that are within one step of those of a simulation
ROWS, ROWS_OF_SIMULATION = 32, 16


def first_case(cases: Sequence[GoldenCase]) -> GoldenCase | None:
    """Return the first case for a comparison of layers: a compared case with outputs, of a single call."""
    return next((case for case in cases if case.compared and case.outputs and not case.chain), None)


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
