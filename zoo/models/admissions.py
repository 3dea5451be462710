"""Logistic regression on the columns of a table; with `units`, a small network.

Reference: Cox 1958, doi:10.1111/j.2517-6161.1958.tb00292.x (logistic regression); Rumelhart, Hinton, Williams 1986,
           doi:10.1038/323533a0 (network).
Train:     python -m zoo.train admissions                          # scikit-learn's breast cancer data
           python -m zoo.train admissions --data-dir binary.csv    # columns admit, gre, gpa, rank
           python -m zoo.train admissions --recipe network
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.tabular_inputs import encoded_columns, looked_up_columns
from zoo.tasks.tabular.binary_classification import BinaryClassification

COLUMNS = (
    {"name": "gre", "kind": "number", "mean": 587.7, "deviation": 115.4},
    {"name": "gpa", "kind": "number", "mean": 3.39, "deviation": 0.38},
    {"name": "rank", "kind": "category", "vocabulary": ["1", "2", "3", "4"]},
)


@register(
    data="admissions",
    task=BinaryClassification(),
    recipes={
        "default": Recipe(
            epochs=30, batch_size=16, optimizer="sgd", momentum=0.0, learning_rate=0.1, schedule="constant", l2=1e-3
        ),
        "network": Recipe(
            epochs=30,
            batch_size=16,
            optimizer="sgd",
            learning_rate=0.02,
            schedule="cosine",
            l2=1e-3,
            patience=10,
            model={"units": (16,)},
        ),
    },
    tiny={"units": (4,)},
    card=Card(
        of_course=True,
        paper="Cox 1958, doi:10.1111/j.2517-6161.1958.tb00292.x",
        expect={"accuracy": 0.9913, "auc": 0.9984},
        command="python -m zoo.train admissions --precision float32",
        test_data="breast_cancer (scikit-learn)",
        measured_on="2 cores of an Intel Xeon under other load: 2.5 minutes; on 115 rows of breast cancer. "
        "scikit-learn's logistic regression has the same two values there; --recipe network has 0.9826 and 0.9971",
        notes="Learns correlations of the training rows, not causes.",
    ),
)
def admissions(
    columns: Sequence[Mapping[str, Any]] = COLUMNS, units: Sequence[int] = (), dropout: float = 0.0
) -> keras.Model:
    """Logistic regression, or a small network, on named columns: categories one-hot, numbers normalised inside.

    Shapes: {column: (B,) string or float32} -> probability (B,) float32 of the second class.
    """
    inputs, x = encoded_columns(columns, embedding=0)
    for i, width in enumerate(units):
        x = layers.Dense(width, activation="relu", name=f"dense_{i}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{i}")(x)
    x = layers.Reshape((), name="logit")(layers.Dense(1, name="unit")(x))
    core = keras.Model(inputs, layers.Activation("sigmoid", name="probability")(x), name="core")
    raw, encoded = looked_up_columns(columns)
    return keras.Model(raw, core(encoded), name="admissions")
