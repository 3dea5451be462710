"""python -m zoo compare RUN RUN...: settings that differ, validation curves in one figure, metrics side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zoo.core.run_folder import RunFolder, flatten
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError

SETTINGS = ("model", "recipe_name", "recipe", "task", "arguments", "data", "seed", "precision", "versions", "machine")


def run(paths: Sequence[str | Path], *, out: str | Path | None = None) -> dict[str, Any]:
    """Compare finished or unfinished runs.

    Args:
        paths: At least two run folders.
        out: File for the figure of their curves (PNG), or None.

    Returns:
        {"runs": paths, "settings": {name: [one value per run]} of the settings that differ, "metrics": {name: [one
        value per run, None if the run does not have the metric]}}.

    Raises:
        UsageError: Fewer than two paths, or one of them is not a run folder.
        MissingError: `out` is given and a run has not finished an epoch.

    Example:
        >>> comparison = run(["runs/digits", "runs/digits-sgd"])
        >>> comparison["settings"]["recipe.optimizer"]
        ['adam', 'sgd']
    """
    if len(paths) < 2:
        raise UsageError("name at least two runs to compare")
    runs = [RunFolder.open(p) for p in paths]
    configs = [flatten({k: r.read("config.json").get(k) for k in SETTINGS}) for r in runs]
    keys = sorted(set().union(*configs))
    settings = {k: [c.get(k) for c in configs] for k in keys if len({str(c.get(k)) for c in configs}) > 1}
    metrics = [r.metrics() for r in runs]
    names = list(dict.fromkeys(n for m in metrics for n in m))
    if out is not None:
        from zoo.evaluation import plots

        histories = {str(p): r.history() for p, r in zip(paths, runs, strict=True)}
        empty = [p for p, rows in histories.items() if not rows]
        if empty:
            raise MissingError(f"{empty[0]} has not finished an epoch: there is no curve to plot")
        plots.save(plots.compared(histories), Path(out))
    return {
        "runs": [str(p) for p in paths],
        "settings": settings,
        "metrics": {n: [m.get(n) for m in metrics] for n in names},
    }


@click.command("compare")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--out", type=click.Path(), default="comparison.png", show_default=True, help="Figure of the curves."
)
@shell.common_options
def main(runs: tuple[str, ...], out: str, console: Console) -> None:
    """Compare runs side by side: settings that differ, validation curves in one figure, metrics."""
    comparison = run(runs, out=out)
    console.table("settings that differ", ["", *runs], [(k, *map(str, v)) for k, v in comparison["settings"].items()])
    console.table("test metrics", ["", *runs], [(k, *v) for k, v in comparison["metrics"].items()])
    console.print(f"written: {out}")
    console.result(comparison)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.compare")
