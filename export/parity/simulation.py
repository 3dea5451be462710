"""Compare the integers of an int8 file with the network of quantization-aware training: outputs and ranges."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from export.contract.simulation import Simulation, parameters_of
from export.formats.format import TensorQuantization

LEAST_SHARE = 0.999  # of the numbers of an output that are within one step of the network's
STEP = 1.01  # one step, and the rounding of float32
FIXED = (parameters_of(0, 255 / 256), parameters_of(-1, 127 / 128))  # of sigmoid and softmax, and of tanh


def differences(reference: np.ndarray, value: np.ndarray, step: float) -> dict[str, Any]:
    """Return how many numbers are equal, and within one step."""
    steps = np.abs(reference.astype(np.float64) - value) / step
    return {
        "step": step,
        "numbers": steps.size,
        "equal": float(np.mean(steps < 0.5)),
        "within_one_step": float(np.mean(steps <= STEP)),
        "most_steps": round(float(steps.max()), 2),
    }


def explain(output: str, figure: Mapping[str, Any]) -> str | None:
    """Return why an output is not that of the training, or None."""
    if figure["within_one_step"] >= LEAST_SHARE:
        return None
    return (
        f"{output} is not what was trained: {1 - figure['within_one_step']:.2%} of {figure['numbers']:,} numbers "
        f"differ by more than one step of {figure['step']:.3g} from the network with fake quantization, by up to "
        f"{figure['most_steps']:g} steps ({1 - LEAST_SHARE:.1%} may)"
    )


def check_ranges(simulation: Simulation, tensors: Mapping[str, TensorQuantization]) -> Iterator[str]:
    """Yield a clause for each range of the training that no tensor of a file has, and each of the file's own."""
    trained = simulation.parameters()
    for name, parameters in trained.items():
        if not any(is_same(parameters, q) for q in tensors.values()):
            low, high = simulation.ranges[name]
            yield f"no tensor of the file has the trained range of {name}, [{low:.4g}, {high:.4g}]"
    for tensor, q in tensors.items():
        if not any(is_same(parameters, q) for parameters in (*trained.values(), *FIXED)):
            low, high = (q.scale * (end - q.zero_point) for end in (-128, 127))
            yield f"{tensor.split(';')[-1]} has the range [{low:.4g}, {high:.4g}], which was not trained"


def is_same(parameters: tuple[float, int], tensor: TensorQuantization) -> bool:
    """Return whether a tensor has a scale, to the rounding of float32, and a zero point."""
    scale, zero_point = parameters
    return abs(tensor.scale - scale) <= 1e-5 * scale and tensor.zero_point == zero_point
