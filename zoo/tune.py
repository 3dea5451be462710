"""python -m zoo.tune NAME: search for better settings of a training, by their validation metric."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import settings_options
from zoo.core.registry import get_entry
from zoo.core.run_folder import RunFolder
from zoo.distribution import ray_cluster
from zoo.distribution.launcher import Process
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError
from zoobase.requirements import install_command

if TYPE_CHECKING:
    from zoo.search.definition import Search
    from zoo.search.pool import Worker


def run(
    name: str,
    *,
    trials: int = 20,
    space: str | Path | None = None,
    workers: int = 1,
    ray: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    minimize: str | None = None,
    maximize: str | None = None,
    options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Search for better settings of a training by Optuna; the test split is not used.

    The first trial has the settings of the recipe, if they are within the space. Later ones are proposed by a
    tree-structured Parzen estimator (Bergstra 2011) and stopped early by asynchronous successive halving (Li 2020,
    arXiv:1810.05934). Every trial is a run folder.

    Args:
        name: Name of the model.
        trials: Number of trials, those of a resumed search included.
        space: A TOML file with ranges; by default a space around the recipe of the model.
        workers: Number of processes that train trials.
        ray: Ray cluster of the processes: "HOST:PORT", or "local" for one of this machine; `out` is then on a path that
            its machines share. Without it they are processes of this machine.
        out: Folder of the search; by default runs/NAME/search.
        resume: Whether to continue the search in that folder.
        minimize: Metric of which the lowest value is the best; by default that of the model's task, often "val_loss".
        maximize: Metric of which the highest value is the best, such as "val_accuracy".
        options: Arguments of `zoo.train.run` for every trial: recipe, settings, data_dir, cache_dir, seed, precision,
            init.
        console: Receives progress; None prints nothing.

    Returns:
        JSON-able summary: the best trial, and the command line that trains with its settings.

    Raises:
        UsageError: A name, setting or range is not valid; the folder already holds a search, or none to resume.
        MissingError: Optuna or Ray is not installed, or there is no such cluster.
        ZooError: No trial was trained to the end.

    Example:
        >>> fixed = {"data": "digits", "recipe.epochs": 1, "recipe.limit": 100}
        >>> summary = run("mnist", trials=2, options={"settings": fixed}, out="runs/digits-search")
        >>> summary["trials"], summary["metric"]
        (2, 'val_loss')
    """
    console = console or Console(quiet=True)
    get_entry(name)
    if trials < 1 or workers < 1:
        raise UsageError("--trials and --workers must be at least 1")
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise MissingError(f"a search needs optuna ({error}); {install_command('tune')}") from error
    from zoo.search import pool, report
    from zoo.search import study as studies

    if ray is not None:
        ray_cluster.check(ray)
    folder = Path(out) if out is not None else Path("runs") / name / "search"
    search = _open_or_define(folder, resume, (name, dict(options or {}), space, minimize, maximize))
    study = studies.open_study(folder, search)
    console.print(f"searching settings of {name} by {search.metric} in {folder}, {trials} trials")
    with _workers(ray, folder, trials, workers) as start:
        pool.run(folder, study, trials, workers, start, console)
    summary = report.write(folder, study, search)
    _show(console, summary)
    return summary


@contextlib.contextmanager
def _workers(ray: str | None, folder: Path, trials: int, workers: int) -> Iterator[Callable[[], Worker]]:
    """Yield what starts a worker: a process of this machine, or a task of a Ray cluster."""
    if ray is None:
        from zoo.search.worker import thread_limits

        environment = {**(thread_limits(workers) if workers > 1 else {}), **os.environ}
        yield lambda: Process(["zoo.search.worker", str(folder), str(trials)], environment)
        return
    with ray_cluster.connected(ray, workers):
        from zoo.search.ray_tasks import Task

        yield lambda: Task(folder, trials, workers)


def _open_or_define(folder: Path, resume: bool, arguments: tuple[Any, ...]) -> Search:
    """Return the search to resume, or a new one in a new folder, with the settings of the recipe as its first trial."""
    from zoo.search import definition, space
    from zoo.search import study as studies

    model, options, space_file, minimize, maximize = arguments
    if resume:
        search = definition.Search.load(folder)
        if search.model != model:
            raise UsageError(f"{folder} holds a search for {search.model}, not for {model}")
        given = bool(options) or any(value is not None for value in (space_file, minimize, maximize))
        if given and definition.define(*arguments) != search:
            raise UsageError(
                f"{folder} holds a search with other settings: omit them to resume it, or choose another --out"
            )
        return search
    if (folder / definition.FILE).exists():
        raise UsageError(f"{folder} already holds a search: continue it with --resume, or choose another --out")
    RunFolder.check_empty(folder)
    search = definition.define(*arguments)
    folder.mkdir(parents=True, exist_ok=True)
    search.save(folder)
    defaults = space.defaults_within(search.plan(), search.space)
    if defaults is not None:
        studies.open_study(folder, search).enqueue_trial(defaults, {studies.DEFAULT: True})
    return search


def _show(console: Console, summary: dict[str, Any]) -> None:
    best = summary["best"]
    rows = [(key, value) for key, value in best["parameters"].items()]
    console.table(f"trial {best['trial']}: {summary['metric']} {best['value']:.4f}", ["", ""], rows)
    if summary["default"] is not None:
        console.print(f"{summary['metric']} with the settings of the recipe: {summary['default']:.4f}")
    console.print(f"report: {summary['report']}")
    console.print(f"next: {summary['command']}")
    console.print(f"      python -m zoo.evaluate {best['run']}")


@click.command("tune")
@click.argument("name")
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True, help="Number of trials in all.")
@click.option("--space", metavar="FILE", help="Settings and ranges in TOML.  [default: around the recipe]")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that train trials.")
@click.option("--ray", metavar="ADDRESS", help="Ray cluster of the processes: HOST:PORT, or local for this machine.")
@click.option("--resume", is_flag=True, help="Continue the search in the folder.")
@click.option("--out", type=click.Path(), help="Folder of the search.  [default: runs/NAME/search]")
@click.option("--minimize", metavar="METRIC", help="Metric to minimise.  [default: that of the task, such as val_loss]")
@click.option("--maximize", metavar="METRIC", help="Metric to maximise, such as val_accuracy.")
@settings_options("recipe", "data_dir", "cache_dir", "seed", "init", "settings", precision="float32")
@shell.common_options
def main(name: str, given: dict[str, Any], console: Console, **search: Any) -> None:
    """Search for better settings of model NAME: trains, compares on the validation split, writes a report."""
    summary = run(name, options=given, console=console, **search)
    console.result(summary)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.tune")
