"""python -m docs.recipes: train, plot and write docs/recipes.md, the effects of the fields of a recipe.

Everything on the page is measured by this command; `docs/recipes/results.json` holds the results.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from docs import figures
from docs.experiments import COMMON, EXPERIMENTS, MODEL, PRECISION, SEEDS, Experiment
from zoo.core.plan import make_plan
from zoo.core.recipe import Recipe
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import unknown
from zoobase.files import write_atomic

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from zoo.core.run_folder import RunFolder

HERE = Path(__file__).parent
IMAGES = HERE / "recipes"
VALIDATION = "val_cross_entropy"  # by which the best epoch is chosen: without smoothing and penalties
BINS = [round(0.005 * i, 3) for i in range(-60, 61)]  # of the histograms of weights
HEADER = (
    "",
    "epochs",
    "best epoch",
    "training loss there",
    "validation loss there",
    "at the end",
    "test loss",
    "accuracy",
)


def train(experiment: Experiment, label: str, seed: int, folder: Path) -> RunFolder:
    """Train a variant with a seed, or return the run of an earlier experiment with the same settings."""
    from zoo import train as training
    from zoo.core.run_folder import RunFolder

    out = folder / hashlib.sha256(experiment.command(label, seed).encode()).hexdigest()[:12]
    if not out.exists():
        arguments = {"settings": experiment.settings(label), "seed": seed, "precision": PRECISION, "export": False}
        training.run(MODEL, **arguments, out=str(out), dataset=_data())
    return RunFolder(out)


@functools.cache
def _data() -> Dataset:
    """Load the images, which are the same in every experiment."""
    return make_plan(MODEL, settings=COMMON).load_data()


def lines(label: str, runs: Sequence[RunFolder]) -> dict[str, list[RunFolder]]:
    """Return the trainings by the label of their line: the runs of all seeds, or the restarts of one run."""
    restarts = [type(runs[0])(path) for path in sorted(runs[0].path.glob("restarts/*"))]
    return {f"seed {seed}": [inner] for seed, inner in enumerate(restarts)} or {label: list(runs)}


def table_row(runs: Sequence[RunFolder], tested: bool = True) -> dict[str, list[float]]:
    """Return a row of the table: [mean, standard deviation] of the best epochs of runs and of their test metrics."""
    rows = []
    for run in runs:
        history = run.history()
        best = min(history, key=lambda row: row[VALIDATION])
        row = {"epochs": len(history), "best_epoch": int(best["epoch"])}
        row |= {"loss": best["loss"], "val_loss": best[VALIDATION], "last_val_loss": history[-1][VALIDATION]}
        if tested:
            metrics = run.read("evaluation.json")["metrics"]
            row |= {f"test_{name}": metrics[name] for name in ("loss", "accuracy")}
        rows.append(row)
    values = {name: [row[name] for row in rows] for name in rows[0]}
    return {n: [round(statistics.mean(v), 4), round(statistics.pstdev(v), 4)] for n, v in values.items()}


def measure(experiment: Experiment, folder: Path, console: Console) -> dict[str, dict[str, list[float]]]:
    """Train every variant and plot the losses; return the rows of the table."""
    from zoo.evaluation import plots

    rows, histories, weights = {}, {}, {}
    for label in experiment.variants:
        runs = [train(experiment, label, seed, folder) for seed in experiment.seeds]
        console.print(f"{experiment.name}: {label}")
        inner = lines(label, runs)
        histories |= {name: [run.history() for run in members] for name, members in inner.items()}
        weights |= {label: _histogram(runs[0])} if experiment.panel == "weights" else {}
        rows |= {name: table_row(members, tested=False) for name, members in inner.items() if len(inner) > 1}
        rows[label] = table_row(runs)
    drawn = draw(experiment, histories, weights)
    figures.check_axes(drawn, experiment.name)
    plots.save(drawn, IMAGES / f"{experiment.name}.png")
    return rows


def draw(
    experiment: Experiment, histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], weights: Mapping
) -> Any:
    """Plot training and validation loss of every variant, and the additional panel of the experiment.

    A line is the mean of the seeds, its band reaches from the lowest to the highest.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15 if experiment.panel else 10, 3.8), layout="constrained")
    training, validation, *panels = figure.subplots(1, 3 if experiment.panel else 2)
    for colour, (label, seeds) in enumerate(histories.items()):
        epochs, style = range(1, min(map(len, seeds)) + 1), {"color": f"C{colour}", "label": label}
        for axes, name in ((training, "loss"), (validation, VALIDATION)):
            values = np.array([[row[name] for row in rows[: len(epochs)]] for rows in seeds])
            axes.plot(epochs, values.mean(axis=0), **style)
            axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=f"C{colour}", alpha=0.2)
        best = int(np.argmin(values.mean(axis=0)))
        validation.plot(epochs[best], values.mean(axis=0)[best], "*", color=f"C{colour}", markersize=12)
        if len(epochs) < COMMON["recipe.epochs"]:
            validation.axvline(epochs[-1], color=f"C{colour}", linestyle=":")
        if experiment.panel == "learning_rate":
            panels[0].plot(epochs, [row["learning_rate"] for row in seeds[0][: len(epochs)]], **style)
        if label in weights:
            panels[0].stairs(weights[label], BINS, **style)
    training.set(ylabel="training loss", yscale="log")
    validation.set(ylabel="validation cross-entropy (star: lowest mean)", yscale="log")
    for axes in panels:
        names = {"learning_rate": "learning rate after the epoch", "weights": "number of weights"}
        axes.set(ylabel=names[experiment.panel], yscale="log" if weights else "linear")
    for axes in figure.axes:
        axes.set(xlabel="weight" if axes in panels and weights else "epoch")
        axes.grid(alpha=0.3)
    validation.legend(fontsize=8)
    return figure


def _histogram(run: RunFolder) -> Any:
    """Return the number of weights of all kernels in each of `BINS`."""
    import numpy as np

    kernels = [v.numpy().ravel() for v in run.model().trainable_variables if v.name == "kernel"]
    return np.histogram(np.concatenate(kernels), BINS)[0]


def page(results: Mapping[str, Any]) -> str:
    """Return the page for `results`."""
    cpu = sum(result["cpu_seconds"] for result in results.values())
    where = "; ".join(dict.fromkeys(f"{result['machine']}, {result['date']}" for result in results.values()))
    parts = [
        "# What the fields of a recipe do",
        "Written by `python -m docs.recipes`, figures and images included, in "
        f"{cpu / 60:.1f} minutes of CPU time on {where}. Each section changes one setting of one small training, "
        f"the model `{MODEL}` on 1,000 images of Fashion-MNIST (and 1,000 each for validation and test), with "
        f"{len(SEEDS)} seeds. Tables have the mean and the standard deviation of the seeds, images the mean and a band "
        "from the lowest to the highest. The seeds share the images: which of two similar variants is better for other "
        "images is not shown. Losses are cross-entropies. The command of every row, for the first seed, is below its "
        "table.",
    ]
    for experiment in EXPERIMENTS:
        if experiment.name in results:
            parts += _section(experiment, results[experiment.name]["rows"])
    parts += ["## Every field", "Each can be set by `--set recipe.FIELD=VALUE`.", _fields()]
    return "\n\n".join(parts) + "\n"


def _section(experiment: Experiment, rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    table = [HEADER, ("---", *["---:"] * (len(HEADER) - 1))]
    names = ("epochs", "best_epoch", "loss", "val_loss", "last_val_loss", "test_loss", "test_accuracy")
    table += [(label, *(_cell(*row[n]) if n in row else "" for n in names)) for label, row in rows.items()]
    commands = [f"    # {label}\n    {experiment.command(label)}" for label in experiment.variants]
    test_losses = {label: row["test_loss"] for label, row in rows.items() if "test_loss" in row}
    lowest = min(test_losses, key=test_losses.get)
    mean, spread = test_losses[lowest]
    similar = [n for n, (m, s) in test_losses.items() if n != lowest and m - mean <= s + spread]
    summary = f"Lowest test loss: {lowest} ({_cell(mean, spread)})."
    summary += f" Within the standard deviations of it: {', '.join(similar)}." if similar else ""
    return [
        f"## {experiment.title}",
        experiment.text,
        figures.figure(f"recipes/{experiment.name}.png", *shown(experiment)),
        "\n".join(f"| {' | '.join(cells)} |" for cells in table),
        *([summary] if len(experiment.seeds) > 1 else []),
        "\n".join(commands),
    ]


def shown(experiment: Experiment) -> tuple[str, str]:
    """Return what the figure of an experiment shows, and from which data."""
    parts = "training and validation loss by epoch"
    if experiment.panel:
        parts += {"learning_rate": ", and the learning rate", "weights": ", and histograms of the weights"}[
            experiment.panel
        ]
    seeds = (
        f"Seeds {', '.join(map(str, experiment.seeds))}" if len(experiment.seeds) > 1 else f"Seed {experiment.seeds[0]}"
    )
    return (
        f"{experiment.title}: {parts} of {', '.join(experiment.variants)}",
        f"Data: 1,000 images of Fashion-MNIST. {seeds}.",
    )


def _cell(mean: float, deviation: float) -> str:
    return f"{mean:g} ± {deviation:g}" if deviation else f"{mean:g}"


def _fields() -> str:
    sections = {f: f"[{e.title}](#{_anchor(e.title)})" for e in reversed(EXPERIMENTS) for f in e.fields}
    rows = ["| field | default | what it is | shown in |", "|---|---|---|---|"]
    for f in dataclasses.fields(Recipe):
        default = json.dumps(getattr(Recipe(), f.name))
        rows.append(f"| `{f.name}` | `{default}` | {f.metadata['help']} | {sections.get(f.name, 'not shown here')} |")
    return "\n".join(rows)


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@click.command("recipes")
@click.argument("names", metavar="[EXPERIMENT]...", nargs=-1)
@shell.common_options
def main(names: tuple[str, ...], console: Console) -> None:
    """Run each EXPERIMENT (by default all) and write docs/recipes.md and its figures."""
    from zoo.core import environment
    from zoo.training.autotune import processor

    experiments = {e.name: e for e in EXPERIMENTS}
    for name in names:
        if name not in experiments:
            raise unknown("experiment", name, experiments)
    environment.prepare()
    path = IMAGES / "results.json"
    results = json.loads(path.read_text()) if path.is_file() and names else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names or experiments:
            start = time.process_time()
            rows = measure(experiments[name], Path(folder), console)
            results[name] = {
                "rows": rows,
                "cpu_seconds": round(time.process_time() - start),
                "machine": f"{os.cpu_count()} cores of {processor()}",
                "date": datetime.date.today().isoformat(),
            }
            write_atomic(path, json.dumps(results, indent=2) + "\n")
    write_atomic(HERE / "recipes.md", page(results))
    console.print(f"written: {HERE / 'recipes.md'}")
    console.result(results)


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.recipes")
