"""python -m docs.recipes: train, plot and write docs/recipes.md, the effects of the fields of a recipe.

Everything on the page is table_row by this command; `docs/recipes/results.json` holds the results.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline import console as shell
from commandline.console import Console
from docs.experiments import COMMON, EXPERIMENTS, MODEL, PRECISION, Experiment
from pipelines.sources.storage import write_atomic
from zoo.core.errors import unknown
from zoo.core.recipe import Recipe

if TYPE_CHECKING:
    from zoo.core.run_folder import Run

HERE = Path(__file__).parent
IMAGES = HERE / "recipes"
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


def train(experiment: Experiment, label: str, folder: Path) -> Run:
    """Train a variant, or return the run of an earlier experiment with the same settings."""
    from zoo import train as training
    from zoo.core.run_folder import Run

    out = folder / hashlib.sha256(experiment.command(label).encode()).hexdigest()[:12]
    if not out.exists():
        training.run(MODEL, settings=experiment.settings(label), precision=PRECISION, out=str(out), export=False)
    return Run(out)


def lines(label: str, run: Run) -> dict[str, Run]:
    """Return the trainings of a run by label: the run itself, or its restarts."""
    restarts = [type(run)(path) for path in sorted(run.path.glob("restarts/*"))]
    return {f"seed {seed}": inner for seed, inner in enumerate(restarts)} or {label: run}


def table_row(run: Run, test: Mapping[str, float] | None) -> dict[str, float]:
    """Return a row of the table: values of the history, and test metrics of the best epoch."""
    history = run.history()
    best = min(history, key=lambda row: row["val_loss"])
    row = {"epochs": len(history), "best_epoch": int(best["epoch"])}
    row |= {"loss": best["loss"], "val_loss": best["val_loss"], "last_val_loss": history[-1]["val_loss"]}
    row |= {f"test_{name}": test[name] for name in ("loss", "accuracy")} if test else {}
    return {name: round(value, 4) for name, value in row.items()}


def measure(experiment: Experiment, folder: Path, console: Console) -> dict[str, dict[str, float]]:
    """Train every variant and plot the losses; return the rows of the table."""
    from zoo.evaluation import plots

    rows, histories, weights = {}, {}, {}
    for label in experiment.variants:
        run = train(experiment, label, folder)
        console.print(f"{experiment.name}: {label}")
        inner = lines(label, run)
        histories |= {name: one.history() for name, one in inner.items()}
        weights |= {label: _magnitudes(run)} if experiment.panel == "weights" else {}
        test = run.read("evaluation.json")["metrics"]
        rows |= {name: table_row(one, None) for name, one in inner.items() if len(inner) > 1}
        rows[label] = table_row(run, test)
    plots.save(draw(experiment, histories, weights), IMAGES / f"{experiment.name}.png")
    return rows


def draw(experiment: Experiment, histories: Mapping[str, Sequence[Mapping[str, float]]], weights: Mapping) -> Any:
    """Plot training and validation loss of every variant, and the additional panel of the experiment."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15 if experiment.panel else 10, 3.8), layout="constrained")
    training, validation, *panels = figure.subplots(1, 3 if experiment.panel else 2)
    for colour, (label, rows) in enumerate(histories.items()):
        epochs, style = [row["epoch"] for row in rows], {"color": f"C{colour}", "label": label}
        training.plot(epochs, [row["loss"] for row in rows], **style)
        validation.plot(epochs, [row["val_loss"] for row in rows], **style)
        best = min(rows, key=lambda row: row["val_loss"])
        validation.plot(best["epoch"], best["val_loss"], "*", color=f"C{colour}", markersize=12)
        if len(rows) < COMMON["recipe.epochs"]:
            validation.axvline(epochs[-1], color=f"C{colour}", linestyle=":")
        if experiment.panel == "learning_rate":
            panels[0].plot(epochs, [row["learning_rate"] for row in rows], **style)
        if label in weights:
            panels[0].plot(weights[label], **style)
    training.set(title="training loss", yscale="log")
    validation.set(title="validation loss (star: best epoch)", yscale="log")
    for axes in panels:
        titles = {"learning_rate": "learning rate after the epoch", "weights": "weights by size, largest first"}
        axes.set(
            title=titles[experiment.panel], yscale="log" if weights else "linear", ylim=(1e-5, 2) if weights else None
        )
    for axes in figure.axes:
        axes.set(xlabel="weight" if axes in panels and weights else "epoch")
        axes.grid(alpha=0.3)
    validation.legend(fontsize=8)
    return figure


def _magnitudes(run: Run) -> Any:
    import numpy as np

    kernels = [v.numpy().ravel() for v in run.model().trainable_variables if v.name == "kernel"]
    return np.sort(np.abs(np.concatenate(kernels)))[::-1][::50]


def page(results: Mapping[str, Any]) -> str:
    """Return the page for `results`."""
    cpu = sum(result["cpu_seconds"] for result in results.values())
    where = "; ".join(dict.fromkeys(f"{result['machine']}, {result['date']}" for result in results.values()))
    parts = [
        "# What the fields of a recipe do",
        "Written by `python -m docs.recipes`, figures and images included, in "
        f"{cpu / 60:.1f} minutes of CPU time on {where}. Each section changes one setting of one small training, "
        f"the model `{MODEL}` on 359 of scikit-learn's 8x8 digits (539 for validation, 899 for test). One seed: a "
        "difference in the third decimal may be chance. Losses are cross-entropies. The command of every row is "
        "below its table.",
    ]
    for experiment in EXPERIMENTS:
        if experiment.name in results:
            parts += _section(experiment, results[experiment.name]["rows"])
    parts += ["## Every field", "Each can be set by `--set recipe.FIELD=VALUE`.", _fields()]
    return "\n\n".join(parts) + "\n"


def _section(experiment: Experiment, rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    table = [HEADER, ("---", *["---:"] * (len(HEADER) - 1))]
    names = ("epochs", "best_epoch", "loss", "val_loss", "last_val_loss", "test_loss", "test_accuracy")
    table += [(label, *(f"{row[n]:g}" if n in row else "" for n in names)) for label, row in rows.items()]
    commands = [f"    # {label}\n    {experiment.command(label)}" for label in experiment.variants]
    test_losses = {label: row["test_loss"] for label, row in rows.items() if "test_loss" in row}
    lowest, highest = min(test_losses, key=test_losses.get), max(test_losses, key=test_losses.get)
    summary = f"Lowest test loss: {lowest} ({test_losses[lowest]:g}); highest: {highest} ({test_losses[highest]:g})."
    return [
        f"## {experiment.title}",
        experiment.text,
        f"![Losses by epoch](recipes/{experiment.name}.png)",
        "\n".join(f"| {' | '.join(cells)} |" for cells in table),
        *([summary] if lowest != highest else []),
        "\n".join(commands),
    ]


def _fields() -> str:
    described = dict(re.findall(r"^        (\w+): (.+)$", Recipe.__doc__, re.MULTILINE))
    sections = {f: f"[{e.title}](#{_anchor(e.title)})" for e in reversed(EXPERIMENTS) for f in e.fields}
    rows = ["| field | default | what it is | shown in |", "|---|---|---|---|"]
    for f in dataclasses.fields(Recipe):
        default = json.dumps(getattr(Recipe(), f.name))
        rows.append(f"| `{f.name}` | `{default}` | {described[f.name]} | {sections.get(f.name, 'not shown here')} |")
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
