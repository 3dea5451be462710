"""python -m zoo.learning_curve NAME: train on parts of the data, to see whether more examples would help."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import evaluate, train
from zoo.cli.options import settings_options
from zoo.core.plan import resolve
from zoo.core.run_folder import RunFolder
from zoo.core.settings import TrainSettings
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError
from zoobase.files import write_atomic

if TYPE_CHECKING:
    import numpy as np

    from pipelines.dataset import Dataset

LEAST = 3  # sizes for a curve with two free parameters


def run(
    name: str,
    *,
    sizes: int = 5,
    seeds: int = 1,
    dataset: Dataset | None = None,
    out: str | Path | None = None,
    console: Console | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train on 1, 1/2, 1/4, ... of the training split; evaluate each on the validation split.

    The test split is not looked at. The same call continues after an interruption.

    Args:
        name: Name of the model.
        sizes: Number of sizes, each half of the next.
        seeds: Trainings of each size; the curve is through their means.
        dataset: The data; that of the settings is loaded if None.
        out: Folder of the runs, the table and the picture.
        console: Receives progress; None prints nothing.
        **settings: As in `zoo.train.run`, without `evaluate` and `export`.

    Returns:
        {"metric", "rows": [{"examples", "value", "low", "high"}], "doubled": the expected value of twice as many
        examples, "folder"}: low and high are the 95 % interval on the validation split.

    Raises:
        UsageError: Fewer than three sizes, or too few examples for them.

    Example:
        >>> settings = {"data": "digits", "recipe.epochs": 2}
        >>> curve = run("mnist", sizes=3, settings=settings, out="runs/digits-curve")
        >>> [row["examples"] for row in curve["rows"]]
        [314, 628, 1257]
    """
    from pipelines import catalogue
    from zoo.evaluation import plots

    if sizes < LEAST:
        raise UsageError(f"--sizes {sizes} is too few for a curve: give at least {LEAST}")
    console, plan = console or Console(quiet=True), resolve(TrainSettings.of({"name": name, **settings}))
    folder = Path(out) if out is not None else Path("runs") / name / "learning_curve"
    dataset = dataset or catalogue.load(**plan.data, split=plan.recipe.split)
    count, classes = dataset.info.counts["train"], dataset.info.num_classes or 1
    counts = [count >> i for i in reversed(range(sizes))]
    if counts[0] < 2 * classes:
        raise UsageError(f"{count:,} training examples are too few for {sizes} sizes: the smallest has {counts[0]}")
    options = {key: value for key, value in settings.items() if key not in ("data_dir", "cache_dir", "seed")}
    options["settings"] = {k: v for k, v in settings.get("settings", {}).items() if k not in ("data", "recipe.split")}
    rows: list[dict[str, Any]] = []
    for size in counts:
        part = _part(dataset, size)
        results = []
        for seed in range(plan.seed, plan.seed + seeds):
            place = folder / f"{size}-examples-seed-{seed}"
            if not (RunFolder.exists(place) and RunFolder.open(place).finished):
                train.run(name, dataset=part, out=str(place), seed=seed, export=False, evaluate=False, **options)
            results.append(evaluate.run(place, split="validation", dataset=part))
        metric = next(iter(results[0]["metrics"]))
        values = [result["metrics"][metric] for result in results]
        ends = [result.get("intervals", {}).get(metric, [result["metrics"][metric]] * 2) for result in results]
        value, low, high = (sum(column) / seeds for column in (values, *zip(*ends, strict=True)))
        rows.append({"examples": size, "value": value, "low": low, "high": high})
        console.print(f"{size:,} training examples: validation {metric} {value:.4f} ({low:.4f} to {high:.4f})")
    doubled = extrapolate(counts, [row["value"] for row in rows], 2 * count)
    curve = {"metric": metric, "rows": rows, "doubled": doubled, "folder": str(folder)}
    write_atomic(folder / "learning_curve.json", json.dumps(curve, indent=1) + "\n")
    figure = plots.learning_curve(
        counts,
        [row["value"] for row in rows],
        [(row["low"], row["high"]) for row in rows],
        doubled,
        metric.replace("_", " "),
        f"{name} on {dataset.info.name}, validation split",
    )
    plots.save(figure, folder / "learning_curve.png")
    return curve


def _part(dataset: Dataset, size: int) -> Dataset:
    from pipelines.dataset import Dataset as Splits
    from pipelines.splits import subset

    info = dataclasses.replace(dataset.info, counts={**dataset.info.counts, "train": size})
    train_part = dataset.train if size == dataset.info.counts["train"] else subset(dataset.train, size)
    return Splits(train=train_part, validation=dataset.validation, test=dataset.test, info=info)


def extrapolate(counts: Sequence[int], values: Sequence[float], count: int) -> float:
    """Return the value at another number of examples, by the power law a + b n^-c (Hestness 2017, arXiv:1712.00409)."""
    import numpy as np
    from scipy.optimize import least_squares

    n, y = np.array(counts, np.float64), np.array(values, np.float64)

    def predicted(parameters: np.ndarray, n: np.ndarray) -> np.ndarray:
        a, b, c = parameters
        return a + b * (n / counts[-1]) ** -c

    start = [y[-1], y[0] - y[-1], 0.5]
    fit = least_squares(lambda p: predicted(p, n) - y, start, bounds=([-np.inf, -np.inf, 0.05], [np.inf, np.inf, 2.0]))
    return float(predicted(fit.x, np.array(float(count))))


@click.command("learning_curve")
@click.argument("name")
@click.option("--sizes", type=click.IntRange(LEAST), default=5, show_default=True, help="Sizes, each half of the next.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Trainings of each size.")
@click.option("--out", type=click.Path(), help="Folder of the runs.  [default: runs/NAME/learning_curve]")
@settings_options("recipe", "data_dir", "cache_dir", "seed", "init", "settings", precision="float32")
@shell.common_options
def main(name: str, given: dict[str, Any], console: Console, **options: Any) -> None:
    """Train model NAME on parts of the training split: would more examples help?"""
    curve = run(name, console=console, **options, **given)
    last = curve["rows"][-1]
    console.print(
        f"{curve['metric']} {last['value']:.4f} on {last['examples']:,} examples; {curve['doubled']:.4f} is expected "
        f"of twice as many, by the power law through these {len(curve['rows'])} sizes"
    )
    console.print(f"written: {curve['folder']}/learning_curve.png and .json")
    console.result(curve)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.learning_curve")
