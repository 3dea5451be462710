"""Base class of tasks on tables: named columns -> one number, with encoded inputs for runtimes without strings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines.sources import storage
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Candidate
from zoo.tasks.tabular import rows
from zoo.tasks.templates import template
from zoobase.errors import UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract, Tensor
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


class TabularTask(BaseTask):
    """Rows of named columns; the model takes them as a dict, and its layer `core` takes the encoded ones."""

    accepts = "texts"
    output: str  # name of the model's output
    output_meaning: str  # its meaning, one of `export.contract.MEANINGS`

    def missing_features(self, info: Info) -> list[str]:
        """Return "named columns" for a dataset that is not a table."""
        return [] if {"columns", "target"} <= set(info.statistics) else ["named columns"]

    def target(self, info: Info) -> str:
        """Return the name of the target column."""
        return info.statistics["target"]["name"]

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the descriptions of the columns, which are computed from the training rows."""
        return {"columns": list(info.statistics["columns"])}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({column: scalar string or float32}, target float32)."""
        names = [c["name"] for c in info.statistics["columns"]]
        target = self.target(info)
        return pipelines.feed(split, decode=lambda row: ({name: row[name] for name in names}, row[target]))

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (columns) and, if some are strings, `encoded` (ids), which TFLite supports."""
        from export.contract import Contract, Endpoint, Tensor
        from export.contract.endpoints import tensor_endpoint

        columns = info.statistics["columns"]
        strings = any(column["kind"] == "category" for column in columns)
        output = [Tensor(self.output, "float32", self.output_shape(info), self.output_meaning)]
        whole = tensor_endpoint(
            served, [_tensor(column, encoded=False) for column in columns], output, structure="dict"
        )
        types = info.statistics.get("types", {})
        raw = (rows.endpoint(whole, columns, types),) if "date" in types.values() else ()
        if not strings:
            return Contract((whole, *raw))
        core = served.get_layer("core")
        encoded = Endpoint(
            "encoded",
            tuple(_tensor(column, encoded=True) for column in columns),
            tuple(output),
            call=lambda row: {self.output: core({k.removesuffix("_id"): v for k, v in row.items()}, training=False)},
        )
        return Contract((whole, encoded, *raw))

    def output_shape(self, info: Info) -> tuple[int | None, ...]:
        """Return the shape of the output: one number a row."""
        return (None,)

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return a constant, linear and additive models, and boosted trees."""
        from zoo.candidates import tables

        return tables.ladder(len(info.class_names or ()))

    def around(self, network: keras.Model, reference: keras.Model, **arguments: Any) -> keras.Model:
        """Return a model of named columns around a network of their numbers, and ids of categories, (B, columns)."""
        from zoo.candidates import tables

        return tables.around(network, arguments["columns"], arguments.get("num_classes", 0))

    def code_snippets(self, info: Info) -> dict[str, str]:
        """Return Python that encodes a row as the lookups of the SavedModel do; none if no column is a string."""
        categories = any(c["kind"] == "category" for c in info.statistics["columns"])
        return {"Ids of a row": template(__file__, "encoder.py")} if categories else {}

    def parse(self, argument: str, endpoint: Any, info: Info) -> Mapping[str, np.ndarray]:
        """Return a row such as `{"hour": "08", "temperature": 21}`; a number that is left out is NaN, a missing one."""
        try:
            row = json.loads(argument)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            names = ", ".join(c["name"] for c in info.statistics["columns"])
            raise UsageError(f'{argument!r} is not a row: use JSON such as {{"column": value}}; columns: {names}')
        inputs, remarks = self.read_rows({name: [value] for name, value in row.items()}, info, strict=True)
        for remark in remarks:
            storage.log.warning("%s", remark)
        return {name: np.array(values[0], values.dtype) for name, values in inputs.items()}

    def read_rows(
        self, cells: Mapping[str, Sequence[Any]], info: Info, strict: bool = False
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        """Return the columns of the model for the rows of a file like the one that it was trained on."""
        facts = info.statistics
        return rows.inputs_of(facts["columns"], facts.get("types", {}), cells, strict, facts.get("dates", {}))

    def encode_rows(self, inputs: Mapping[str, np.ndarray], info: Info) -> dict[str, np.ndarray]:
        """Return the inputs of the endpoint `encoded` for those of `serving_default`."""
        encoded: dict[str, np.ndarray] = {}
        for column in info.statistics["columns"]:
            name, values = column["name"], inputs[column["name"]]
            if column["kind"] == "category":
                ids = {word.encode(): i for i, word in enumerate(column["vocabulary"], start=1)}
                encoded[f"{name}_id"] = np.array([ids.get(value, 0) for value in values], np.int64)
            else:
                encoded[name] = values
        return encoded


def _tensor(column: Mapping[str, Any], encoded: bool) -> Tensor:
    from export.contract import Tensor

    if column["kind"] == "number":
        return Tensor(
            column["name"], "float32", (None,), "tensor", low=column["low"], high=column["high"], missing="NaN"
        )
    vocabulary = tuple(column["vocabulary"])
    if encoded:  # id 0 is an unknown category
        return Tensor(f"{column['name']}_id", "int64", (None,), "token", low=0, high=len(vocabulary))
    return Tensor(column["name"], "string", (None,), "category", vocabulary=vocabulary)
