"""Inputs and output of models that continue a window of a time series."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers


def window_inputs(
    history: int, horizon: int, features: Sequence[Sequence[float]], target: Sequence[float]
) -> tuple[list[Any], Any, Any, Callable[[Any], Any]]:
    """Return the inputs, the scaled history, the scaled features, and the function that returns the forecast.

    The history is relative to its last value, so that the level of a series does not matter (Zeng 2023,
    arXiv:2205.13504), in standard deviations of the target. `features` and `target` are their means and standard
    deviations; of the features those that are known ahead.

    Returns:
        [history (B, history), known (B, history + horizon, features)], (B, history), (B, history + horizon, features),
        and a function of (B, horizon), relative to the last value.
    """
    past = keras.Input((history,), name="history")
    known = keras.Input((history + horizon, len(features)), name="known")
    mean, deviation = np.asarray(features, np.float64).T
    rows = layers.Reshape((history, 1), name="history_rows")(past)
    last = layers.Flatten(name="last")(layers.Cropping1D((history - 1, 0), name="last_row")(rows))
    x = layers.Rescaling(1 / target[1], name="scale")(layers.Subtract(name="change_of_history")([past, last]))
    scaled = layers.Rescaling((1 / deviation).tolist(), (-mean / deviation).tolist(), name="scale_known")(known)

    def forecast(change: Any) -> Any:
        # Keras 3.15 adds (N, N) and (N, 1) as if the latter were (1, N): both have the same shape here
        level = layers.Flatten(name="level")(layers.RepeatVector(horizon, name="repeat_last")(last))
        return layers.Add(name="forecast")([layers.Rescaling(target[1], name="unit")(change), level])

    return [past, known], x, scaled, forecast
