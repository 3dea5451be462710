"""python -m zoo.mistakes RUN: the worst examples, groups that are worse than others, and likely wrong labels."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from pipelines import splits
from pipelines.dataset import Dataset
from zoo.core.capabilities import Classifies, Regresses
from zoo.core.run_folder import RunFolder
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError
from zoobase.files import write_atomic

SHOWN = 10  # rows of a table in the terminal
FOLDS = (2, 10)


def run(
    path: str | Path,
    *,
    split: str = "validation",
    folds: int | None = None,
    most: int = 50,
    dataset: Dataset | None = None,
    out: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Report what the model of a run gets wrong, as a page of HTML that needs no other file.

    Args:
        path: The run folder.
        split: The split whose examples are reported, "validation" or "test"; "train" with `folds` only.
        folds: Train so many models, each without a part of the training split, and report that split: the label of an
            example is evaluated by a model that did not see it.
        most: Largest number of examples of each list.
        dataset: The dataset of the run; loaded again if None.
        out: The page; by default mistakes-SPLIT.html in the run folder.
        console: Receives progress; None prints nothing.

    Returns:
        {"split", "examples", "worst": the examples with the largest error, "likely_wrong": those whose label is
        probably wrong, "slices": groups that are worse than the others, "page"}; examples are {"example", "true",
        "predicted", "error"}, by file or by index.

    Raises:
        UsageError: The outputs of the model are neither classes nor numbers, or it would report examples that it was
            trained on.

    Example:
        >>> report = run("runs/digits")
        >>> sorted(report["worst"][0])
        ['error', 'example', 'predicted', 'true']
    """
    from zoo.core import environment
    from zoo.evaluation.mistakes import findings
    from zoo.evaluation.mistakes import page as pages

    console, folder = console or Console(quiet=True), RunFolder.open(path)
    split = "train" if folds else split
    if split == "train" and not folds:
        raise UsageError("the model was trained on the training split: --folds evaluates it by models that were not")
    environment.prepare()
    plan, data = folder.plan(), folder.dataset(dataset)
    task, info = plan.task, data.info
    outputs, truth = _out_of_fold(folder, data, folds, console) if folds else _outputs(folder, data, split)
    examples = list(data[split].as_numpy_iterator())
    probabilities = task.probabilities(outputs) if isinstance(task, Classifies) else None
    residuals = task.residuals(outputs, truth) if isinstance(task, Regresses) else None
    if probabilities is None and residuals is None:
        raise UsageError(f"the outputs of {plan.model} are neither classes nor numbers, whose mistakes are reported")
    columns, wrong = findings.properties(examples, info), []
    if probabilities is not None:
        evaluated = _evaluate_classes(probabilities, truth.astype(int), info.class_names)
        columns["class"] = evaluated.true
        wrong = findings.likely_wrong(probabilities, truth.astype(int))[:most].tolist()
    else:
        errors = abs(residuals)
        evaluated = _Evaluated(truth, truth + residuals, errors, (-errors).argsort(kind="stable"))
    order = evaluated.order[:most].tolist()
    report = {
        "split": split,
        "examples": len(examples),
        "worst": [evaluated.row(i, examples) for i in order],
        "likely_wrong": [evaluated.row(i, examples) for i in wrong],
        "slices": findings.worst_slices(evaluated.errors, columns),
    }
    page = Path(out) if out is not None else folder.path / f"mistakes-{split}.html"
    title = f"{plan.model} on {info.name}: {len(examples):,} {split} examples"
    shown = {"worst": [examples[i] for i in order], "likely_wrong": [examples[i] for i in wrong]}
    write_atomic(page, pages.render(title, report, shown))
    return report | {"page": str(page)}


@dataclasses.dataclass(frozen=True)
class _Evaluated:
    """Predictions with their errors: 1 minus the probability of the true class, or absolute differences of numbers."""

    true: np.ndarray
    predicted: np.ndarray
    errors: np.ndarray
    order: np.ndarray

    def row(self, index: int, examples: list[Mapping[str, Any]]) -> dict[str, Any]:
        name = examples[index]["file"].decode() if "file" in examples[index] else str(index)
        true, predicted = (values[index].item() for values in (self.true, self.predicted))
        return {"example": name, "true": true, "predicted": predicted, "error": float(self.errors[index])}


def _evaluate_classes(probabilities: np.ndarray, truth: np.ndarray, class_names: Any) -> _Evaluated:
    names = np.array(class_names or [str(i) for i in range(probabilities.shape[-1])])
    predicted, given = probabilities.argmax(-1), probabilities[np.arange(len(truth)), truth]
    order = np.argsort(given, kind="stable")
    return _Evaluated(names[truth], names[predicted], 1.0 - given, order[predicted[order] != truth[order]])


def _outputs(folder: RunFolder, dataset: Dataset, split: str) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
    from zoo.evaluation import outputs

    evaluation = outputs.of_split(folder.plan(), folder.model(), dataset, split)
    return evaluation.outputs, evaluation.truth


def _out_of_fold(
    folder: RunFolder, dataset: Dataset, folds: int, console: Console
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the outputs for the training split of models that were trained on the other folds of it."""
    import tensorflow as tf

    from zoo import train

    low, high = FOLDS
    if not low <= folds <= high:
        raise UsageError(f"--folds {folds} must be from {low} to {high}")
    count, settings = dataset.info.counts["train"], folder.requested()
    kept = {key: value for key, value in settings.items() if key not in ("data_dir", "cache_dir", "out", "export")}
    kept["settings"] = {k: v for k, v in kept.get("settings", {}).items() if k not in ("data", "recipe.split")}
    fold_of = np.arange(count) % folds
    if (groups := splits.groups_of(dataset, "train")) is not None:  # the examples of a group are in one fold
        from sklearn.model_selection import GroupKFold

        if (number := len(np.unique(groups))) < folds:
            raise UsageError(f"--folds {folds}: the training split has {number} groups, which are kept together")
        for fold, (_, rows) in enumerate(GroupKFold(folds).split(groups, groups=groups)):
            fold_of[rows] = fold
    parts, truths, places, fold_at = [], [], [], tf.constant(fold_of)
    for fold in range(folds):
        numbered = dataset.train.enumerate()
        rest = numbered.filter(lambda i, _, fold=fold: fold_at[i] != fold).map(lambda _, example: example)
        left_out = numbered.filter(lambda i, _, fold=fold: fold_at[i] == fold).map(lambda _, example: example)
        size = int((fold_of == fold).sum())
        info = dataclasses.replace(dataset.info, counts={**dataset.info.counts, "train": count - size, "test": size})
        sized = [
            part.apply(tf.data.experimental.assert_cardinality(n))
            for part, n in ((rest, count - size), (left_out, size))
        ]
        part = Dataset(train=sized[0], validation=dataset.validation, test=sized[1], info=info)
        place = folder.path / "folds" / f"{fold + 1}-of-{folds}"
        console.print(f"fold {fold + 1} of {folds}: training without {size:,} examples")
        if not (RunFolder.exists(place) and RunFolder.open(place).finished):
            train.run(dataset=part, **{**kept, "out": str(place), "export": False, "evaluate": False})
        outputs, truth = _outputs(RunFolder.open(place), part, "test")
        parts.append(outputs)
        truths.append(truth)
        places.append(np.flatnonzero(fold_of == fold))
    order = np.argsort(np.concatenate(places))
    return {k: np.concatenate([p[k] for p in parts])[order] for k in parts[0]}, np.concatenate(truths)[order]


@click.command("mistakes")
@click.argument("run_folder", metavar="RUN", type=click.Path())
@click.option("--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True)
@click.option(
    "--folds", type=click.IntRange(*FOLDS), help="Evaluate the training split by so many models without a part."
)
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, help="Examples of each list.")
@click.option("--out", type=click.Path(), help="The page.  [default: mistakes-SPLIT.html in RUN]")
@shell.common_options
def main(run_folder: str, console: Console, **options: Any) -> None:
    """Show what the model of RUN gets wrong: the worst examples, groups of them, and likely wrong labels."""
    report = run(run_folder, console=console, **options)
    for title, rows in (("worst", report["worst"]), ("likely wrong labels", report["likely_wrong"])):
        if rows:
            console.table(f"{title}: {len(rows)}", list(rows[0]), [tuple(row.values()) for row in rows[:SHOWN]])
    if report["slices"]:
        rows = [tuple(row.values()) for row in report["slices"][:SHOWN]]
        console.table("worse than the others", list(report["slices"][0]), rows)
    console.print(f"written: {report['page']}")
    console.result(report)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.mistakes")
