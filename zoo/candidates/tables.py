"""Candidates for the rows of a table: a constant, linear and additive models, and gradient-boosted trees."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from pipelines import tabular
from pipelines.dataset import Dataset, Info
from pipelines.sources import storage
from zoo.candidates import linear
from zoo.candidates.boosting import Rows, fit_boosting
from zoo.core.plan import Plan
from zoo.core.task import Candidate
from zoo.modeling.tabular_inputs import encoded_columns, looked_up_columns, ordinal_columns
from zoo.modeling.trees import TreeEnsemble, trees_of

BINS = 16  # intervals of the additive model, of equally many training rows


def ladder(classes: int) -> dict[str, Candidate]:
    """Return the candidates of rows with so many classes, 0 for regression, the cheapest first."""
    kind, constant = ("logistic", "most frequent class") if classes else ("ridge", "median")
    line, additive = (functools.partial(linear_model, bins=bins) for bins in (0, BINS))
    return {
        "constant": Candidate(constant, line, functools.partial(_fit_constant, classes=classes), fast=True),
        "linear": Candidate(f"{kind} regression", line, functools.partial(_fit_linear, classes=classes), fast=True),
        "additive": Candidate(
            f"{kind} regression of intervals", additive, functools.partial(_fit_linear, classes=classes)
        ),
        "boosting": Candidate("gradient boosting", trees, fit_trees, fast=True),
    }


def linear_model(
    name: str, columns: Sequence[Mapping[str, Any]], num_classes: int = 0, target: Any = None, bins: int = 0
) -> keras.Model:
    """Return one `Dense` layer on normalised numbers, or `bins` intervals of each, and one-hot categories."""
    inputs, x = encoded_columns(columns, 0, bins=bins)
    features = keras.Model(inputs, x, name="encoded_columns")
    x = layers.Dense(max(num_classes, 1), dtype="float32", name="logits" if num_classes else "score")(features(inputs))
    return _whole(name, columns, inputs, x, num_classes)


def trees(name: str, columns: Sequence[Mapping[str, Any]], num_classes: int = 0, target: Any = None) -> keras.Model:
    """Return a model of boosted trees, which are to be fitted."""
    return around(TreeEnsemble(outputs=max(num_classes, 1), name="trees"), columns, num_classes, name)


def around(layer: Any, columns: Sequence[Mapping[str, Any]], num_classes: int, name: str = "table") -> keras.Model:
    """Return a layer of numbers and ids of categories, (B, columns) float32, as a model of named columns."""
    inputs, x = ordinal_columns(columns)
    return _whole(name, columns, inputs, layer(x), num_classes)


def _whole(name: str, columns: Any, inputs: Any, x: Any, num_classes: int) -> keras.Model:
    raw, encoded = looked_up_columns(columns)
    core = keras.Model(inputs, x if num_classes else layers.Reshape((), name="prediction")(x), name="core")
    return keras.Model(raw, core(encoded), name=name)


def arrays(table: tabular.Table, info: Info) -> tuple[np.ndarray, np.ndarray, list[bool]]:
    """Return the inputs of scikit-learn: (rows, columns) with categories as ids, the target, and the category mask."""
    columns = info.statistics["columns"]
    features = []
    for column in columns:
        values = table[column["name"]]
        if column["kind"] == "category":
            ids = {word: i for i, word in enumerate(column["vocabulary"])}
            values = np.array([ids.get(value, np.nan) for value in values])
        features.append(values.astype(np.float64))
    target = table[info.statistics["target"]["name"]].astype(np.float64)
    return np.stack(features, 1), target, [c["kind"] == "category" for c in columns]


def fit_trees(model: keras.Model, plan: Plan, dataset: Dataset) -> None:
    """Fit the trees of a model, with settings that are chosen on validation."""
    info = dataset.info
    rows = (arrays(tabular.collect(dataset[name]), info) for name in ("train", "validation"))
    fill_trees(model.get_layer("core").get_layer("trees"), *rows, len(info.class_names or ()))


def fill_trees(layer: TreeEnsemble, train: Rows, validation: Rows, classes: int = 0) -> None:
    """Fit boosted trees to the inputs of a layer, and set them."""
    boosting = fit_boosting(train, validation, classes)
    ids = {column: kept + 1 for column, kept in boosting.ids.items()}  # 0 is an unknown category
    link = "expm1" if boosting.target else "exp" if boosting.settings["loss"] == "poisson" else "identity"
    layer.fill(*trees_of(boosting.model, ids, classes), link)
    storage.log.info("gradient boosting: %s trees, %s", len(layer.arrays["roots"].numpy()), boosting.settings)


def _dense(model: keras.Model) -> keras.layers.Dense:
    return next(layer for layer in model.get_layer("core").layers if isinstance(layer, layers.Dense))


def _fit_constant(model: keras.Model, plan: Plan, dataset: Dataset, classes: int) -> None:
    linear.fit_constant(_dense(model), plan, dataset, classes)


def _fit_linear(model: keras.Model, plan: Plan, dataset: Dataset, classes: int) -> None:
    features = model.get_layer("core").get_layer("encoded_columns")
    lookups = {layer.name.removesuffix("_lookup"): layer for layer in model.layers if layer.name.endswith("_lookup")}

    def encode(row: Mapping[str, Any]) -> Any:
        return features({name: lookups[name](x) if x.dtype == "string" else x for name, x in row.items()})

    linear.fit_dense(_dense(model), encode, plan, dataset, classes)
