"""The model that an int8 file of integers stands for, of quantization-aware training (QAT)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.contract import Contract

LEVELS = 255  # steps of a range


@dataclass(frozen=True)
class Simulation:
    """A model that rounds its activations as the int8 file is to, with the ranges of a training.

    Attributes:
        model: A functional model with TensorFlow's fake quantization where the file has a tensor of integers; each
            range of `ranges` is that of the output of its layer of that name.
        contract: Its endpoints, with the names and tensors of the contract of the exported model.
        ranges: (least, largest) value of activations, by the name of a layer.

    Example:
        >>> simulation = Simulation(model, infer_contract(model), {"logits": (-10.2, 15.3)})
        >>> simulation.parameters()["logits"]
        (0.1, -26)
    """

    model: Any
    contract: Contract
    ranges: Mapping[str, tuple[float, float]]

    def parameters(self) -> dict[str, tuple[float, int]]:
        """Return (scale, zero point) of int8 tensors with the ranges, moved so that 0 is represented exactly."""
        return {name: parameters_of(*limits) for name, limits in self.ranges.items()}


def parameters_of(low: float, high: float) -> tuple[float, int]:
    """Return (scale, zero point) of an int8 tensor for a range, as TensorFlow's fake quantization has them."""
    scale = float(np.float32(high) - np.float32(low)) / LEVELS
    return scale, round(min(max(-low / scale, 0), LEVELS)) - 128
