"""python -m zoo.evaluate RUN: metrics and figures on the test split, from the float32 served model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from zoo.core.capabilities import WritesResults
from zoo.core.run_folder import RunFolder
from zoo.core.task import first_metrics
from zoo.distribution.replicas import SINGLE, Replicas
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import step
from zoobase.files import write_atomic

if TYPE_CHECKING:
    import keras
    import numpy as np

    from pipelines.dataset import Dataset
    from zoo.core.plan import Plan
    from zoo.core.task import SplitEvaluation


MAX_TABLE_CLASSES = 20  # a larger confusion matrix does not fit a terminal


def run(
    path: str | Path,
    *,
    split: str = "test",
    dataset: Dataset | None = None,
    replicas: Replicas = SINGLE,
    console: Console | None = None,
) -> dict[str, Any]:
    """Evaluate a run's best weights on a split; for the test split, write evaluation.json and figures/.

    Args:
        path: The run folder.
        split: "test", "validation" or "train".
        dataset: The dataset that the run was trained on; loaded again if None.
        replicas: The processes that share the evaluation; the others call `share`.
        console: Receives progress and tables; None prints nothing.

    Returns:
        {"metrics": scalar metrics, "split", "examples", "model", "data", "source"} and the task's other metrics, such
        as "per_class" and "confusion_matrix".

    Raises:
        UsageError: The path is not a run folder, or another dataset than its own is given.
        MissingError: No epoch was finished, or the data was in memory and is not given.
        pipelines.DataError: The data is not available.

    Example:
        >>> result = run("runs/digits", split="validation")
        >>> result["split"], "accuracy" in result["metrics"]
        ('validation', True)
    """
    from zoo.core import environment

    console = console or Console(quiet=True)
    folder = RunFolder.open(path)
    environment.prepare()
    plan = folder.plan()
    model = folder.model()
    dataset = folder.dataset(dataset)
    with step(f"while {plan.model} was evaluated"):
        baselines = folder.baselines() if split == "test" else {}
        if plan.candidates:
            from zoo.training import ladder

            baselines = ladder.baselines(folder, plan, dataset, split) | baselines
        evaluation = evaluate_split(plan, model, dataset, split, baselines, replicas)
    result = result_of(evaluation, plan.model)
    if limit := plan.recipe.limit:
        said = f"recipe.limit={limit}: the figures are of at most {limit:,} {split} examples, not of the whole split"
        result["remarks"] = [*result.get("remarks", ()), said]
    if split == "test":
        folder.write("evaluation.json", result)
        write_figures(plan, evaluation, folder.history(), folder.path / "figures")
        files = plan.task.result_files(evaluation) if isinstance(plan.task, WritesResults) else {}
        for name, content in files.items():
            write_atomic(folder.path / name, content)
        folder.saved()
    _show(console, path, result)
    return result


def result_of(evaluation: SplitEvaluation, model: str) -> dict[str, Any]:
    """Return an evaluation as what `run` returns."""
    metrics, info = evaluation.metrics, evaluation.info
    scalars = dict(first_metrics(metrics))
    return {
        "metrics": scalars,
        "split": evaluation.split,
        "examples": len(evaluation.truth),
        "model": model,
        "data": info.name,
        "source": info.source,
        **{k: v for k, v in metrics.items() if k not in scalars},
    }


def evaluate_split(
    plan: Plan,
    model: keras.Model,
    dataset: Dataset,
    split: str,
    baselines: Mapping[str, Mapping[str, np.ndarray]] = MappingProxyType({}),
    replicas: Replicas = SINGLE,
) -> SplitEvaluation:
    """Return the outputs of a model for a split, or what its task keeps of them, with the metrics of the task."""
    # If the task serves several models, all of them are called, and their inputs and outputs are merged.
    from zoo.candidates import selection
    from zoo.evaluation import conformal, intervals, outputs

    contracts = {name: plan.task.contract(served, dataset.info) for name, served in plan.task.served(model).items()}
    evaluation = outputs.of_split(plan, model, dataset, split, replicas.sharing)
    metrics = plan.task.metrics(evaluation.outputs, evaluation.truth, dataset.info)
    evaluation = dataclasses.replace(evaluation, metrics=metrics, split=split)
    contract = outputs.merge_contracts(contracts)
    evaluation = plan.task.evaluate_extra(evaluation, contract, dataset, lambda name: plan.feed(dataset, name))
    fitted = {} if baselines else selection.baselines(plan, dataset, split)
    evaluation = dataclasses.replace(evaluation, baselines={**fitted, **evaluation.baselines, **baselines})
    evaluation = intervals.with_intervals(plan.task, evaluation)
    if split == "test" and (result := conformal.of_test(plan.task, evaluation)) is not None:
        evaluation = dataclasses.replace(evaluation, metrics={**evaluation.metrics, "conformal": result})
    if remarks := selection.better(plan, evaluation.metrics, dataset.info):
        evaluation = dataclasses.replace(evaluation, metrics={**evaluation.metrics, "remarks": remarks})
    return evaluation


def share(path: str | Path, dataset: Dataset, replicas: Replicas) -> None:
    """Compute a part of the outputs that `run` needs for the test split, in a process that does not write them."""
    from zoo.evaluation import outputs

    folder = RunFolder.open(path)
    outputs.of_split(folder.plan(), folder.model(), dataset, "test", replicas.sharing)


def write_figures(
    plan: Plan,
    evaluation: SplitEvaluation,
    history: Sequence[Mapping[str, float]],
    folder: Path,
    most: int | None = None,
) -> list[str]:
    """Write the curves of a training and the first `most` figures of its task (all if None); return their names."""
    from zoo.evaluation import plots

    title = f"{plan.title} on {evaluation.info.name}"
    names = ["curves"] if history else []
    if history:
        plots.save(plots.curves(history, title), folder / "curves.png")
    for name, figure in itertools.islice(plan.task.figures(evaluation), most):
        plots.caption(figure, f"{title}, {len(evaluation.truth):,} {evaluation.split} examples")
        plots.save(figure, folder / f"{name}.png")
        names.append(name)
    return names


def _show(console: Console, path: str | Path, result: dict[str, Any]) -> None:
    from zoo.evaluation import conformal

    rows = metric_rows(result)
    console.table(
        f"{result['model']} on {result['data']}, {result['examples']:,} {result['split']} examples",
        ["metric", "value", "95 % interval"],
        rows,
    )
    for group, members in result.items():
        if group == "intervals":
            continue
        if isinstance(members, Mapping) and all(isinstance(m, Mapping) for m in members.values()):
            show_group(console, group, members)
        elif group == "most_confused" and len(result["confusion_matrix"]) > MAX_TABLE_CLASSES:
            rows = [(pair["true"], pair["predicted"], pair["count"]) for pair in members]
            console.table("most confused", ["true", "predicted", "count"], rows)
        elif group == "thresholds":
            rows = [
                tuple(" to ".join(map("{:.3f}".format, v)) if isinstance(v, list) else v for v in r.values())
                for r in members
            ]
            console.table(f"positive: {result['positive_class']}", list(members[0]), rows)
        elif group == "conformal":
            console.print(conformal.describe(members))
        elif group == "dependence":
            console.print(members)
        elif group in ("errors", "remarks"):
            for sentence in members:
                console.print(sentence)
        elif group == "confusion_matrix" and len(members) <= MAX_TABLE_CLASSES:
            names = list(result.get("per_class", range(len(members))))
            rows = [(name, *map(str, row)) for name, row in zip(names, members, strict=True)]
            console.table("confusion matrix (rows: true)", ["", *(str(n)[:6] for n in names)], rows)
    if result["split"] == "test":
        console.print(f"written: {path}/evaluation.json, figures in {path}/figures")
    console.print(f"next: python -m zoo.predict {path} FILE...")


def metric_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (metric, value, its 95 % interval or "") of the result of an evaluation."""
    intervals = result.get("intervals", {})
    ends = {name: f"{low:.4f} to {high:.4f}" for name, (low, high) in intervals.items()}
    return [(name, f"{value:.4f}", ends.get(name, "")) for name, value in result["metrics"].items()]


def show_group(console: Console, group: str, members: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table of {row: {column: value}}, such as the comparison with baselines."""
    columns = list(dict.fromkeys(c for m in members.values() for c in m))
    rows = [(name, *(m.get(c) for c in columns)) for name, m in members.items()]
    console.table(group.replace("_", " "), ["", *columns], rows)


@click.command("evaluate")
@click.argument("run_folder", metavar="RUN", type=click.Path())
@click.option("--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True)
@shell.common_options
def main(run_folder: str, split: str, console: Console) -> None:
    """Evaluate the best weights of RUN: metrics, confusion matrix, precision and recall of each class."""
    console.result(run(run_folder, split=split, console=console))


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.evaluate")
