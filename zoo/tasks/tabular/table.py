"""Any table: regression or classification, by what the target column holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import splits, tabular
from pipelines.dataset import Dataset, Info
from pipelines.sources import storage
from zoo.core.recipe import Recipe
from zoo.core.task import Prediction, SplitEvaluation
from zoo.tasks.tabular.base import TabularTask
from zoo.tasks.tabular.classification import TabularClassification
from zoo.tasks.tabular.regression import Regression
from zoobase.errors import USAGE, DataError, UsageError, unknown

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.feeding import Feed

PARTS = ("train", "validation", "test")
LEAST = 2  # rows of a split: the metrics of one are not numbers


@dataclass(frozen=True)
class Table(TabularTask):
    """The rows of a table of any columns; the types of a CSV file are inferred, and shown when it is loaded.

    A target column of numbers is regression, one of other values classification. A missing number is NaN, which the
    model and the baseline both see, a missing or rare category the unknown one.
    """

    target_column: str = ""  # the column to predict; empty is the last one
    # types that are not inferred, by column: "number", "category", "date" or "ignored". Of the target, "category" makes
    # classes of numbers.
    columns: Mapping[str, str] = field(default_factory=dict)
    # a column: rows with the same value are in the same split, and intervals leave out all of them. It is no input: a
    # value of the test split is never one of training.
    groups: str = ""
    time: str = ""  # a column of dates or numbers: the first rows are for training, the last ones for the test

    title = "regression or classification of table rows"
    output = "prediction"  # of regression; classes are "logits"

    def missing_features(self, info: Info) -> list[str]:
        """Return "named columns" for a dataset that is not a table."""
        return [] if "cells" in info.statistics else super().missing_features(info)

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the table with types, divided as the settings say, with statistics of the training rows."""
        # A table with types, such as one of `pipelines.from_arrays`, keeps them and its splits; so does the result.
        if "types" in dataset.info.statistics:
            return dataset
        if "cells" not in dataset.info.statistics:
            if settings := [f"task.{name}" for name, value in dataclasses.asdict(self).items() if value]:
                raise UsageError(f"{', '.join(settings)} is about a CSV file: {dataset.info.name} has types and splits")
            return _with_types(dataset)
        parts = {name: tabular.collect(dataset[name]) for name in PARTS}
        table = {name: np.concatenate([part[name] for part in parts.values()]) for name in parts["train"]}
        target, groups, time = (self._column(setting, table) for setting in ("target_column", "groups", "time"))
        target = target or list(table)[-1]
        chosen = {tabular.plain_name(name): kind for name, kind in self.columns.items()}
        if groups in chosen or groups == target:
            raise UsageError(f"task.groups={groups} is neither an input nor the target: leave out its type")
        types = tabular.types_of(table, chosen | ({groups: "ignored"} if groups else {}), target)
        forms = {name: tabular.date_form(table[name].tolist()) for name, kind in types.items() if kind == "date"}
        dates = {name: form for name, form in forms.items() if form}
        for name, form in dates.items():
            cells = tabular.as_iso(table[name].tolist(), form)
            storage.log.info("%s: %s is read as %s", name, table[name][0], cells[0])
            table[name] = np.array(cells, object)
        sizes = [dataset.info.counts[name] for name in PARTS]
        typed, names = _typed(table, types, target)
        labels = typed[target] if names else np.zeros(sum(sizes), int)
        rows = _divide(table, typed, labels, types, sizes, groups, time)
        if min(map(len, rows)) < LEAST:
            raise DataError(
                f"{sum(sizes)} rows are too few to be divided into {', '.join(str(len(part)) for part in rows)} for "
                f"training, validation and test: each needs at least {LEAST}",
                USAGE,
            )
        divided = {name: tabular.take(typed, indices) for name, indices in zip(PARTS, rows, strict=True)}
        inputs = [name for name in typed if name != target]
        tabular.drop_rare(divided, inputs)
        kinds = ", ".join(f"{name}: {kind}" for name, kind in types.items() if name != target)
        what = f"classes {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" if names else "numbers"
        storage.log.info("target %s (%s); %s", target, what, kinds)
        info = dataclasses.replace(
            dataset.info,
            features={n: "string" if v.dtype == object else v.dtype.name for n, v in typed.items()},
            counts={name: len(part[target]) for name, part in divided.items()},
            class_names=names,
            statistics=dataset.info.statistics
            | {
                "types": types,
                "dates": dates,
                "columns": tabular.with_quantiles(_described(divided["train"], inputs), divided["train"]),
                "target": tabular.describe({target: divided["train"][target].astype(np.float32)}, (target,))[0],
            },
        )
        typed_rows = Dataset(**{name: tabular.dataset(part) for name, part in divided.items()}, info=info)
        if not groups:
            return typed_rows
        members = {name: table[groups][indices].astype(str) for name, indices in zip(PARTS, rows, strict=True)}
        return splits.with_groups(typed_rows, members, groups)

    def _column(self, setting: str, table: tabular.Table) -> str:
        """Return the name in the table of the column that a setting names, or ""; UsageError if there is none."""
        name = getattr(self, setting)
        if name and tabular.plain_name(name) not in table:
            raise unknown(f"column, task.{setting}", name, table)
        return tabular.plain_name(name) if name else ""

    @property
    def sequential(self) -> bool:
        """Whether the rows are in the order of time."""
        return bool(self.time)

    # === What the kind of the target decides ===

    def _of(self, info: Info) -> TabularTask:
        return TabularClassification() if info.class_names else Regression()

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the columns, and the number of classes or the target's mean and standard deviation."""
        return {"num_classes": 0, "target": [0.0, 1.0]} | self._of(info).model_args(info)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return cross-entropy, or Huber's loss, with their metrics."""
        return self._of(info).compile_arguments(model, recipe, info)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (columns) and, if some are strings, `encoded` (ids)."""
        return self._of(info).contract(served, info)

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the metrics of classification or of regression."""
        return self._of(info).metrics(outputs, truth, info)

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add the times of the rows, if they have some."""
        return self._of(dataset.info).evaluate_extra(evaluation, contract, dataset, feed)

    def probabilities(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the probabilities of the classes (N, classes); None of regression."""
        return TabularClassification().probabilities(outputs) if "logits" in outputs else None

    def residuals(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray | None:
        """Return the predicted minus the true number of each row (N,); None of classification."""
        return None if "logits" in outputs else Regression().residuals(outputs, truth)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the figures of classification or of regression."""
        return self._of(evaluation.info).figures(evaluation)

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the predicted number, or the most probable classes."""
        return self._of(info).show(argument, outputs, info, top_k)


def _with_types(dataset: Dataset) -> Dataset:
    """Return a table with quantiles and the share of missing numbers; numbers of classes, float32, become int64."""
    info, parts = dataset.info, {name: tabular.collect(dataset[name]) for name in PARTS}
    columns = tabular.with_quantiles(info.statistics["columns"], parts["train"])
    info = dataclasses.replace(info, statistics=info.statistics | {"columns": columns})
    if info.class_names:
        target = info.statistics["target"]["name"]
        parts = {name: part | {target: part[target].astype(np.int64)} for name, part in parts.items()}
        info = dataclasses.replace(info, features={**info.features, target: "int64"})
    return Dataset(**{name: tabular.dataset(part) for name, part in parts.items()}, info=info)


def _divide(
    table: tabular.Table,
    typed: tabular.Table,
    labels: np.ndarray,
    types: Mapping[str, str],
    sizes: Sequence[int],
    groups: str,
    time: str,
) -> list[np.ndarray]:
    """Return the rows of each split: of whole groups and of equal rows, with the same classes, or in time's order."""
    if groups and time:
        raise UsageError("task.groups and task.time divide the rows in two ways: give one of them")
    count, ends = sum(sizes), np.cumsum(sizes)[:-1]
    if time:
        if types[time] not in ("date", "number"):
            raise UsageError(f"task.time={time} is not a column of dates or numbers")
        values = tabular.values_of(time, table[time], types[time])
        return np.split(np.argsort(next(iter(values.values())), kind="stable"), ends)
    if groups:
        policy = tuple(round(100 * size / count) for size in sizes)
        part = splits.of_groups(table[groups].astype(str).tolist(), labels.tolist(), policy)
        return [np.flatnonzero(part == i) for i in range(len(PARTS))]
    numbers = tabular.equal_rows(typed)
    if len(np.unique(numbers)) == count and not labels.any():
        return np.split(np.arange(count), ends)
    return splits.of_equal_rows(numbers, labels, ends)


def _typed(table: tabular.Table, types: Mapping[str, str], target: str) -> tuple[tabular.Table, tuple[str, ...] | None]:
    """Return the columns with their types, and the classes of the target if it is a category."""
    if missing := sum(map(tabular.is_missing, table[target])):
        raise UsageError(f"{missing} rows have no {target}: remove them")
    typed: tabular.Table = {}
    for name, kind in types.items():
        if name != target and kind != "ignored":
            typed |= tabular.values_of(name, table[name], kind)
    if types[target] == "number":
        return typed | tabular.values_of(target, table[target], "number"), None
    names = tuple(sorted(set(table[target].tolist())))
    classes = {value: i for i, value in enumerate(names)}
    return typed | {target: np.array([classes[value] for value in table[target]], np.int64)}, names


def _described(train: tabular.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the descriptions of the columns; the vocabulary leaves out "", the missing and the rare values."""
    columns = tabular.describe(train, names)
    for column in columns:
        if column["kind"] == "category":
            column["vocabulary"] = [value for value in column["vocabulary"] if value]
    return [column for column in columns if column.get("vocabulary", True)]
