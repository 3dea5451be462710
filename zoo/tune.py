"""python -m zoo.tune NAME: search for better settings of a training, by their validation metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import settings_options
from zoo.core.registry import get_entry
from zoo.core.run_folder import LOCK, RunFolder
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError
from zoobase.files import locked
from zoobase.requirements import install_command

if TYPE_CHECKING:
    import optuna

    from zoo.core.typed import ModelName
    from zoo.search.definition import Search

OPTIONS = ("recipe", "data_dir", "cache_dir", "seed", "init", "settings", "precision", "model_arguments")  # of a trial


def run(
    name: ModelName,
    *,
    trials: int = 20,
    space: str | Path | None = None,
    storage: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    minimize: str | None = None,
    maximize: str | None = None,
    options: Mapping[str, Any] | None = None,
    dataset: Any = None,
    optimizer: Any = None,
    loss: Any = None,
    metrics: Sequence[Any] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Search for better settings of a training by Optuna; the test split is not used.

    The first trial has the settings of the recipe, if they are within the space. Later ones are proposed by a
    tree-structured Parzen estimator (Bergstra 2011) and stopped early by asynchronous successive halving (Li 2020,
    arXiv:1810.05934). Every trial is a run folder. The same call continues a search, also while others work on it.

    Args:
        name: Name of the model.
        trials: Number of trials, those of earlier and of other processes included.
        space: A TOML file with ranges; by default a space around the recipe of the model.
        storage: Where Optuna stores the trials: a URL such as "sqlite:///study.db", or the path of a journal; by
            default a database in `out`.
        out: Folder of the search; by default runs/NAME/search.
        resume: Whether to continue a search whose settings are not given again.
        minimize: Metric of which the lowest value is the best; by default that of the model's task, often "val_loss".
        maximize: Metric of which the highest value is the best, such as "val_accuracy".
        options: Arguments of `zoo.train.run` for every trial: recipe, settings, data_dir, cache_dir, seed, precision,
            init.
        dataset: The data, as `zoo.train.run` takes them; with `resume` they are given again, as the next three are.
        optimizer: A Keras optimizer for every trial; what it determines, such as the learning rate, is not searched.
        loss: A Keras loss instead of that of the task.
        metrics: Keras metrics in addition to those of the task; `maximize` may name "val_" and the name of one.
        console: Receives progress; None prints nothing.

    Returns:
        JSON-able summary: the best trial, and the command line that trains with its settings.

    Raises:
        UsageError: A name, setting or range is not valid; the storage holds a search with other settings, or none to
            resume.
        MissingError: Optuna, or the driver of a database, is not installed.
        ZooError: No trial was trained to the end.

    Example:
        >>> fixed = {"data": "digits", "recipe.epochs": 1, "recipe.limit": 100}
        >>> summary = run("mnist", trials=2, options={"settings": fixed}, out="runs/digits-search")
        >>> summary["trials"], summary["metric"]
        (2, 'val_loss')
    """
    console = console or Console(quiet=True)
    get_entry(name)
    if trials < 1:
        raise UsageError("--trials must be at least 1")
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise MissingError(f"a search needs optuna ({error}); {install_command('tune')}") from error
    for option in options or {}:
        if option not in OPTIONS:
            raise UsageError(f"{option} has no effect in a search, whose trials only train: omit it")
    given = {"optimizer": optimizer, "loss": loss, "metrics": metrics}
    if dataset is not None:
        from pipelines.adapters.arrays import from_python

        given["dataset"] = dataset = from_python(dataset)
    folder = Path(out) if out is not None else Path("runs") / name / "search"
    arguments = (name, dict(options or {}), space, minimize, maximize)
    in_python = ("" if dataset is None else dataset.info.name, optimizer is not None)
    study, search, waits = _open(folder, storage, resume, arguments, in_python)
    if search.dataset and dataset is None:
        raise UsageError(f"{folder} searches on data in memory, {search.dataset}: give dataset= again")
    from zoo.search import report
    from zoo.search import study as studies

    console.print(f"searching hyperparameters of {name} by {search.metric} in {folder}, {trials} trials")
    studies.optimize(study, folder, search, trials, lambda trial: console.print(report.line(trial)), waits, given)
    summary = report.write(folder, study, search)
    best = summary["best"]
    rows = [(key, value) for key, value in best["parameters"].items()]
    console.table(f"trial {best['trial']}: {summary['metric']} {best['value']:.4f}", ["", ""], rows)
    if summary["default"] is not None:
        console.print(f"{summary['metric']} with the settings of the recipe: {summary['default']:.4f}")
    console.print(f"report: {summary['report']}")
    console.print(f"next: {summary['command']}")
    console.print(f"      python -m zoo.evaluate {best['run']}")
    return summary


def _open(
    folder: Path, storage: str | None, resume: bool, arguments: tuple[Any, ...], in_python: tuple[str, bool]
) -> tuple[optuna.Study, Search, bool]:
    """Return the study and its search, which is new if there is none, and whether it is in a database."""
    from zoo.core import environment
    from zoo.search import definition, space

    model, *given = arguments
    search = None if resume and not any(given) else definition.define(*arguments, *in_python)
    environment.prepare()
    from zoo.search import study as studies  # imports Keras

    where = "the storage" if storage else str(folder)  # a URL may hold a password
    if storage is None:
        database = folder / "study.db"
        if not database.is_file():
            if resume:
                raise UsageError(f"{where} holds no search to resume; omit --resume to begin one")
            RunFolder.check_empty(folder)
        storage = f"sqlite:///{database.absolute()}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK):
        opened = studies.open_storage(storage)
        stored = studies.stored(opened, model)
        if resume and stored is None:
            raise UsageError(f"{where} holds no search for {model}; omit --resume to begin one")
        if search and stored and search.to_json() != stored.to_json():
            raise UsageError(
                f"{where} holds a search for {model} with other settings: omit them and add --resume, or choose "
                "another --out or --storage"
            )
        search = search or stored
        study = studies.open_study(opened, search)
        if stored is None and (defaults := space.defaults_within(search.plan(), search.space)) is not None:
            study.enqueue_trial(defaults, {studies.DEFAULT: True})
    return study, search, isinstance(opened, studies.RDBStorage)  # which notices killed processes


@click.command("tune")
@click.argument("name")
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True, help="Number of trials in all.")
@click.option("--space", metavar="FILE", help="Settings and ranges in TOML.  [default: around the recipe]")
@click.option("--storage", metavar="URL|FILE", help="Database or journal of the trials.  [default: OUT/study.db]")
@click.option("--resume", is_flag=True, help="Continue a search without giving its settings again.")
@click.option("--out", type=click.Path(), help="Folder of the search.  [default: runs/NAME/search]")
@click.option("--minimize", metavar="METRIC", help="Metric to minimise.  [default: that of the task, such as val_loss]")
@click.option("--maximize", metavar="METRIC", help="Metric to maximise, such as val_accuracy.")
@settings_options(*OPTIONS[:6], precision="float32")
@shell.common_options
def main(name: str, given: dict[str, Any], console: Console, **search: Any) -> None:
    """Search for better settings of model NAME: trains, compares on the validation split, writes a report.

    The same command continues a search; in another terminal at the same time, it shares the trials.
    """
    summary = run(name, options=given, console=console, **search)
    console.result(summary)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.tune")
