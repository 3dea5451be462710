"""Predictions on the rows of a table file, in batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import catalogue, tabular

if TYPE_CHECKING:
    from zoo.prediction.predictor import Predictor

SUFFIXES = (".csv", ".tsv", ".parquet")
BATCH = 4096  # rows


def is_table(argument: str) -> bool:
    """Whether an argument names a table file: a row as JSON does not."""
    return argument.lower().endswith(SUFFIXES) and not argument.lstrip().startswith("{")


def predict_rows(opened: Predictor, path: str, top_k: int) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the table rows of the predictions for a file, and sentences about what is unknown in it."""
    cells = catalogue.as_features(tabular.read_table(Path(path)), opened.info)
    inputs, remarks = opened.task.read_rows(cells, opened.info)
    rows: list[Mapping[str, Any]] = []
    count = len(next(iter(inputs.values())))
    for start in range(0, count, BATCH):
        batch = {name: values[start : start + BATCH] for name, values in inputs.items()}
        outputs = opened.call("serving_default", batch)
        for i in range(min(BATCH, count - start)):
            one = {name: values[i] for name, values in outputs.items()}
            rows.extend(opened.task.show(f"{path}:{start + i + 1}", one, opened.info, top_k).rows)
    return rows, remarks
