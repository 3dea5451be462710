"""python -m zoo compare RUN RUN...: settings that differ, validation curves in one figure, metrics side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zoo.core.run_folder import RunFolder, flatten
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError

LONGEST = 60  # characters of a setting in the table
SETTINGS = ("model", "recipe_name", "recipe", "task", "arguments", "data", "seed", "precision", "versions", "machine")


def run(paths: Sequence[str | Path], *, out: str | Path | None = None) -> dict[str, Any]:
    """Compare finished runs; the others are left out.

    Args:
        paths: At least two run folders.
        out: File for the figure of their curves (PNG), or None.

    Returns:
        {"runs": paths, "settings": {name: [one value per run]} of the settings that differ, "metrics": {name: [one
        value per run, None if the run does not have the metric]}, "left_out": {path: reason}}.

    Raises:
        UsageError: Fewer than two paths, or one of them is not a run folder.
        MissingError: Fewer than two of the runs are finished.

    Example:
        >>> comparison = run(["runs/digits", "runs/digits-sgd"])
        >>> comparison["settings"]["recipe.optimizer"]
        ['adam', 'sgd']
    """
    if len(paths) < 2:
        raise UsageError("name at least two runs to compare")
    opened = [RunFolder.open(p) for p in paths]
    left_out = {str(r.path): reason for r in opened if (reason := _unfinished(r))}
    runs = [r for r in opened if str(r.path) not in left_out]
    if len(runs) < 2:
        raise MissingError(
            f"fewer than two of the runs are finished: {'; '.join(f'{p} {why}' for p, why in left_out.items())}; "
            "python -m zoo.train --resume RUN finishes one"
        )
    configs = [flatten({k: r.read("config.json").get(k) for k in SETTINGS}) for r in runs]
    keys = sorted(set().union(*configs))
    settings = {k: [c.get(k) for c in configs] for k in keys if len({str(c.get(k)) for c in configs}) > 1}
    metrics = [r.metrics() for r in runs]
    names = list(dict.fromkeys(n for m in metrics for n in m))
    if out is not None:
        from zoo.evaluation import plots

        histories = {str(r.path): r.history() for r in runs}
        plots.save(plots.compared({path: rows for path, rows in histories.items() if rows}), Path(out))
    return {
        "runs": [str(r.path) for r in runs],
        "settings": settings,
        "metrics": {n: [m.get(n) for m in metrics] for n in names},
        "left_out": left_out,
    }


def _short(value: Any) -> str:
    """Return the text of a setting, such as the quantiles of all columns, cut for a table."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _unfinished(run: RunFolder) -> str:
    """Return why a run cannot be compared, or ""."""
    if run.finished or run.metrics():
        return ""
    epochs = len(run.history())
    return f"is {run.state()}, after {epochs} epochs" if epochs else f"is {run.state()}, before its first epoch"


@click.command("compare")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--out", type=click.Path(), default="comparison.png", show_default=True, help="Figure of the curves."
)
@shell.common_options
def main(runs: tuple[str, ...], out: str, console: Console) -> None:
    """Compare runs side by side: settings that differ, validation curves in one figure, metrics."""
    comparison = run(runs, out=out)
    for path, reason in comparison["left_out"].items():
        console.print(f"left out: {path} {reason}")
    for title, kind in (("settings that differ", "settings"), ("test metrics", "metrics")):
        rows = {name: row for name, row in comparison[kind].items() if None not in row}
        if rows:
            cells = [
                (name, *(v if isinstance(v, float) else _short(v) for v in values)) for name, values in rows.items()
            ]
            console.table(title, ["", *comparison["runs"]], cells)
        if others := len(comparison[kind]) - len(rows):
            console.print(f"{others} {kind} that only some of the runs have are not shown; --json has them")
    console.print(f"written: {out}")
    console.result(comparison)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.compare")
