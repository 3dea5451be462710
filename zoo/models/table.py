"""Any table: embeddings of categories, numbers by quantiles, two dense layers; regression or classification.

Reference: Guo, Berkhahn 2016, arXiv:1604.06737 (entity embeddings); Gorishniy 2022, arXiv:2203.05556 (piecewise linear
           encoding of numbers); Gorishniy 2021, arXiv:2106.11959 (dense networks beside gradient boosting).
Train:     python -m zoo.train table --data-dir my.csv --target price        (--recipe full: the mean of four networks;
           --model boosting: gradient-boosted trees, fitted by scikit-learn, in every format)
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.blocks import ensemble_of
from zoo.modeling.tabular_inputs import encoded_columns, looked_up_columns
from zoo.tasks.tabular.table import Table

COLUMNS = (
    {"name": "size", "kind": "number", "mean": 80.0, "deviation": 30.0},
    {"name": "city", "kind": "category", "vocabulary": ["Berlin", "Paris"]},
)


_RECIPE = Recipe(epochs=60, batch_size=64, learning_rate=2e-3, weight_decay=0.01, warmup=0.05, patience=15)


@register(
    data="table",
    task=Table(),
    recipes={"default": _RECIPE, "full": dataclasses.replace(_RECIPE, model={"ensemble": 4})},
    tiny={"units": (16,), "embedding": 4},
    card=Card(
        paper="Gorishniy 2022, arXiv:2203.05556",
        notes="Tuned gradient boosting is in the same table of every evaluation, with the interval of the difference.",
    ),
    flags={"target": "task.target_column", "time": "task.time", "model": "candidates"},
    candidates="all",
)
def table(
    columns: Sequence[Mapping[str, Any]] = COLUMNS,
    target: Sequence[float] = (0.0, 1.0),
    num_classes: int = 0,
    units: Sequence[int] = (128, 64),
    embedding: int = 8,
    bins: int = 32,
    dropout: float = 0.1,
    ensemble: int = 1,
) -> keras.Model:
    """Regression or classification of the rows of a table, with lookups and encodings inside the model.

    A missing number is NaN: the mean of the training rows, and an input that says so if some of those had none.

    Shapes: {column: (B,) string or float32} -> prediction (B,) float32 in the target's unit; or with `num_classes`
    logits (B, num_classes) float32.

    Args:
        columns: Descriptions of the columns, from the training rows; determined by the data.
        target: Mean and standard deviation of the target; determined by the data.
        num_classes: Number of classes, 0 for regression; determined by the data.
        units: Units of the dense layers.
        embedding: Dimensions of the embedding of a category; 0 is one-hot.
        bins: Intervals, of equally many training rows, of the piecewise linear encoding of a number; 0 is its
            normalised value alone.
        dropout: Share of the units that are set to zero in a training step.
        ensemble: Number of networks, each trained from a seed of its own, whose outputs are averaged.
    """

    def build(name: str, prefix: str) -> keras.Model:
        inputs, x = encoded_columns(columns, embedding, prefix, bins)
        for i, width in enumerate(units):
            x = layers.Dense(width, activation="relu", name=f"{prefix}dense_{i}")(x)
            x = layers.Dropout(dropout, name=f"{prefix}dropout_{i}")(x)
        if num_classes:
            x = layers.Dense(num_classes, dtype="float32", name=f"{prefix}logits")(x)
        else:
            mean, deviation = target
            x = layers.Rescaling(deviation, mean, name=f"{prefix}unit")(layers.Dense(1, name=f"{prefix}score")(x))
            x = layers.Reshape((), name=f"{prefix}prediction")(x)
        return keras.Model(inputs, x, name=name)

    raw, encoded = looked_up_columns(columns)
    core = ensemble_of(build, ensemble)
    return keras.Model(raw, core(encoded), name="table")
