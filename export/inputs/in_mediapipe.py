"""What MediaPipe Tasks answer for the golden images: they resize these themselves, and show no tensor."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from export.contract import Artifact, Contract
from export.inputs.check import cost
from export.inputs.golden_files import Outcome, pixels_of
from export.parity.cases import GoldenCase, write_golden
from export.protocol.arrays import MAIN
from export.protocol.runner import Runtime
from export.runtime.execution import run_all


def check(
    folder: Path, contract: Contract, artifact: Artifact, runtime: Runtime, right: Mapping[str, np.ndarray]
) -> Outcome | None:
    """Return what changes when MediaPipe is given the golden images as they are; None where there are none.

    Args:
        folder: The bundle.
        contract: Its contract.
        artifact: The TFLite file.
        runtime: The record of MediaPipe.
        right: The outputs (N, ...) of the artifact's endpoint for the golden tensors, by name.
    """
    endpoint = contract[artifact.endpoints[0]]
    tensor, count = endpoint.inputs[0], len(next(iter(right.values())))
    pixels = {row: image for row, image in pixels_of(folder, tensor).items() if row < count}
    if not pixels:
        return None
    cases = [GoldenCase(f"file {row}", {tensor.name: image[None]}, compared=False) for row, image in pixels.items()]
    with tempfile.TemporaryDirectory(prefix="mediapipe-") as scratch:
        golden = Path(scratch) / "golden"
        write_golden(golden, {endpoint.name: cases})
        (run,) = run_all(folder, contract, {runtime.name: (runtime, [artifact])}, (), golden).values()
    arrays = run.of(endpoint.name).arrays
    keys = [[(case.name, MAIN, output) for case in cases] for output in right]
    problem = run.failure or next(iter(run.of(endpoint.name).errors.values()), None)
    if problem or any(key not in arrays for row in keys for key in row):
        return Outcome("mediapipe", len(cases), problem=problem or "it gave no output")
    answered = {output: np.concatenate([arrays[key] for key in row]) for output, row in zip(right, keys, strict=True)}
    costs = cost(endpoint, {name: values[list(pixels)] for name, values in right.items()}, answered)
    if "changed" in costs:
        text = f"{costs['changed']} of {len(cases)} answers change"
    else:
        text = f"outputs change by up to {max(costs['largest_change'].values()):.3g}"
    height, width = tensor.shape[1:3]
    note = f"MediaPipe resizes images itself, bilinear without antialias: {text}; give it {width} x {height} pixels"
    return Outcome("mediapipe", len(cases), note=note)
