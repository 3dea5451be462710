"""Small Keras models, other implementations of them, and the bugs that such a conversion may have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Port = Callable[[Mapping[str, np.ndarray], str | None], Callable[..., Any]]


@dataclass(frozen=True)
class Conversion:
    """A model, and another implementation of it.

    Attributes:
        reference: Builds the Keras model, with weights as a trained one has them.
        port: From {path of a weight: value} and the name of a bug or None, the function of the inputs by name.
        inputs: {input: (dtype, shape of a row, number of ids or None)}.
        format: Of the converted file, "tflite" or "saved_model".
        bugs: {name: what is wrong}.
    """

    reference: Callable[[], Any]
    port: Port
    inputs: Mapping[str, tuple[str, tuple[int, ...], int | None]]
    format: str
    bugs: Mapping[str, str]


def trained(model: Any, seed: int = 0) -> Any:
    """Return the model with weights that no initializer gives: biases, statistics and scales are not zero or one."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        kind, shape = weight.path.rpartition("/")[2], weight.shape
        if kind in ("bias", "beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.2, shape))
        elif kind in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.3, 1.5, shape))
    return model


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """Return {layer/weight: value} of a model whose layers have names of their own."""
    return {"/".join(weight.path.split("/")[-2:]): weight.numpy() for weight in model.weights}
