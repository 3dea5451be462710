"""python -m zoo runs [FOLDER...]: the run folders below a folder, ranked by their headline metric."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from zoo.core.run_folder import RunFolder
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import MissingError, ZooError


def run(folders: Sequence[str | Path] = ("runs",), *, model: str | None = None) -> list[dict[str, Any]]:
    """Return the runs below some folders, those of one dataset and metric together, the best first.

    Args:
        folders: Folders that hold run folders, at any depth, or are run folders.
        model: Only runs of this model; None for all.

    Returns:
        {"run", "model", "data", "metric", "value", "minutes", "state"} for each run; metric and value are None where
        the test split was not evaluated. The state is "finished", "training", "unfinished" or "damaged".

    Raises:
        MissingError: A folder does not exist.

    Example:
        >>> [(row["model"], row["state"]) for row in run(["runs"])][:1]
        [('mnist', 'finished')]
    """
    rows = []
    for folder in folders:
        if not Path(folder).is_dir():
            raise MissingError(f"there is no folder {folder}: python -m zoo.train NAME writes runs/NAME/TIME")
        rows += [_row(path) for path in _below(Path(folder))]
    rows = [row for row in rows if model in (None, row["model"])]
    return sorted(rows, key=_rank)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the run folders at and below a folder; what is in a run folder is its own."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        if "config.json" in files:
            folders.clear()
            yield Path(place)


def _row(path: Path) -> dict[str, Any]:
    folder = RunFolder(path)
    row: dict[str, Any] = dict.fromkeys(("run", "model", "data", "metric", "value", "minutes", "state")) | {
        "run": str(path)
    }
    try:
        config = folder.read("config.json")
        row |= {"model": str(config["model"]), "data": str(config["info"]["name"]), "state": folder.state()}
        row |= dict(zip(("metric", "value"), next(iter(folder.metrics().items()), (None, None)), strict=True))
        row["minutes"] = round(sum(epoch.get("seconds", 0.0) for epoch in folder.history()) / 60, 1)
    except (ZooError, KeyError, TypeError):
        row["state"] = "damaged"
    return row


def _rank(row: dict[str, Any]) -> tuple[Any, ...]:
    from export.parity.intervals import lower_is_better

    value = row["value"]
    best_first = 0.0 if value is None else value if lower_is_better(row["metric"]) else -value
    return row["data"] or "", row["metric"] or "", value is None, best_first, row["run"]


@click.command("runs")
@click.argument("folders", metavar="[FOLDER...]", nargs=-1, type=click.Path())
@click.option("--model", metavar="NAME", help="Only runs of this model.")
@shell.common_options
def main(folders: tuple[str, ...], model: str | None, console: Console) -> None:
    """List the run folders below FOLDER (by default runs), ranked by their headline metric."""
    rows = run(folders or ("runs",), model=model)
    columns = ["run", "model", "data", "metric", "value", "minutes", "state"]
    console.table(f"{len(rows)} runs", columns, [[row[name] for name in columns] for row in rows])
    finished = [row["run"] for row in rows if row["state"] == "finished"]
    if unfinished := next((row["run"] for row in rows if row["state"] == "unfinished"), None):
        console.print(f"next: python -m zoo.train --resume {unfinished}")
    elif len(finished) > 1:
        console.print(f"next: python -m zoo compare {' '.join(finished[:2])}")
    console.result(rows)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.runs")
