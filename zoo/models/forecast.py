"""A forecast of a time series: a small network of dense layers over time and over features.

Reference: Chen 2023, arXiv:2303.06053 (TSMixer); Zeng 2023, arXiv:2205.13504 (a linear layer beside it).
Train:     python -m zoo.train forecast --data-dir sales.csv --time date --target sales --horizon 28 --candidates all
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from zoo.candidates.windows import window_inputs
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.tabular.forecasting import Forecasting


@register(
    data="series",
    task=Forecasting(),
    recipes={
        "default": Recipe(epochs=60, batch_size=32, learning_rate=1e-3, weight_decay=0.01, warmup=0.05, patience=10)
    },
    tiny={"units": 8, "blocks": 1, "task.horizon": 4, "task.history": 24},
    card=Card(
        paper="Chen 2023, arXiv:2303.06053",
        notes="One series. Naive, linear and boosted forecasts are in the same table of every evaluation.",
    ),
    flags={"target": "task.target_column", "time": "task.time", "horizon": "task.horizon", "known": "task.known"},
    candidates="all",
)
def forecast(
    history: int = 28,
    horizon: int = 14,
    features: Sequence[Sequence[float]] = ((0.0, 1.0), (0.0, 1.0)),
    target: Sequence[float] = (0.0, 1.0),
    units: int = 32,
    blocks: int = 2,
    dropout: float = 0.1,
) -> keras.Model:
    """Forecast the next rows of a time series from the last ones and from what is known ahead.

    Shapes: history (B, history) float32, known (B, history + horizon, features) float32 -> forecast (B, horizon)
    float32, in the unit of the series.

    Args:
        history: Rows before the forecast; determined by the data.
        horizon: Rows of the forecast; determined by the task.
        features: Mean and standard deviation of each feature that is known ahead; determined by the data.
        target: Mean and standard deviation of the series; determined by the data.
        units: Channels of each row.
        blocks: Mixer layers, each over time and then over channels.
        dropout: Share of the units that are set to zero in a training step.
    """

    def mix(x: Any, name: str) -> Any:  # (B, rows, units) -> the same
        y = layers.Permute((2, 1), name=f"{name}_to_channels")(layers.LayerNormalization(name=f"{name}_time_norm")(x))
        y = layers.Dense(history + horizon, activation="relu", name=f"{name}_time")(y)
        y = layers.Dropout(dropout, name=f"{name}_time_dropout")(layers.Permute((2, 1), name=f"{name}_to_rows")(y))
        x = layers.Add(name=f"{name}_add_time")([x, y])
        y = layers.Dense(units, activation="relu", name=f"{name}_channels")(
            layers.LayerNormalization(name=f"{name}_channel_norm")(x)
        )
        return layers.Add(name=f"{name}_add")([x, layers.Dropout(dropout, name=f"{name}_dropout")(y)])

    inputs, past, known, output = window_inputs(history, horizon, features, target)
    rows = layers.Reshape((history, 1), name="rows")(past)
    x = layers.Concatenate(name="features")([layers.ZeroPadding1D((0, horizon), name="unknown")(rows), known])
    x = layers.Dense(units, name="embed")(x)
    for i in range(blocks):
        x = mix(x, f"mixer_{i}")
    x = layers.Cropping1D((history, 0), name="future")(x)
    change = layers.Reshape((horizon,), name="change")(layers.Dense(1, name="head")(x))
    total = layers.Add(name="sum")([change, layers.Dense(horizon, name="linear")(past)])
    return keras.Model(inputs, output(total), name="forecast")
