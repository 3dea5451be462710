"""python -m zoo.train NAME: train, evaluate, export and verify one model of the zoo."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import ARGUMENTS, ModelCommand, check_quantize, flags, model_arguments, quantize_option, settings
from zoo.core import config_file
from zoo.core.plan import PRECISIONS, check_names
from zoo.distribution.launcher import launch, new_folder
from zoo.distribution.replicas import check_batch_size, workers_of_environment
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError, step

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from zoo.core.plan import Plan
    from zoo.core.run_folder import Run
    from zoo.distribution.replicas import Replicas
    from zoo.training.user_objects import UserObjects


def run(
    name: str | None,
    *,
    recipe: str = "default",
    model_arguments: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    data_dir: str | None = None,
    cache_dir: str | None = None,
    out: str | None = None,
    seed: int | None = None,
    precision: str = "auto",
    init: str | None = None,
    resume: str | None = None,
    devices: str | None = None,
    data_service: str | None = None,
    evaluate: bool = True,
    export: bool = True,
    quantize: Sequence[str] = (),
    dataset: Dataset | None = None,
    callbacks: Sequence[Any] = (),
    optimizer: Any = None,
    loss: Any = None,
    metrics: Sequence[Any] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Train a model, evaluate it on the test split, export it and verify the artifacts.

    The same call with the same `out` resumes an interrupted run after its last complete epoch. Under a `TF_CONFIG` with
    several workers, each process makes the same call: they share each batch, and the first one writes the run folder,
    evaluates and exports.

    Args:
        name: Name of the model; may be None with `resume`.
        recipe: Name of one of its recipes.
        model_arguments: Arguments of the model's builder.
        settings: The settings of `--set` by name: `recipe.X`, `model.X`, `task.X`, `data`.
        data_dir: Path of your own data.
        cache_dir: Folder of prepared data.
        out: The run folder; by default runs/NAME/TIME.
        seed: Random seed; None is 0, or the seed of the run with `resume`.
        precision: "float32", "bfloat16", or "auto": the faster one for this model on this machine.
        init: Initial weights: a run, a bundle, a weights file or "default".
        resume: An unfinished run folder to resume; other settings may be omitted and must not conflict.
        devices: "auto" for all GPUs, or their numbers such as "0,1", which share each batch; None for one device.
        data_service: HOST:PORT of a tf.data service that reads and decodes the training examples, which are shards;
            their order is then not repeatable.
        evaluate: Whether to evaluate on the test split; otherwise it is not read, and nothing is exported.
        export: Whether to export and verify.
        quantize: Quantised TFLite files to export as well: "float16", "dynamic", "int8".
        dataset: The data, such as the result of `pipelines.from_arrays`; the dataset of the settings is loaded if None.
            It is not stored: `zoo.evaluate.run`, `zoo.export.run` and a resumed training take it again.
        callbacks: Keras callbacks, or "module:Class" of some; called after those of the zoo.
        optimizer: A Keras optimizer, or its name, instead of that of the recipe.
        loss: A Keras loss, or its name, instead of that of the task.
        metrics: Keras metrics, or their names, in addition to those of the task.
        console: Receives progress; None prints nothing.

    Returns:
        JSON-able summary: run, metrics, bundles with their verdicts, seconds. That of a worker that does not write ends
        with the training.

    Raises:
        UsageError: An unknown name or setting, settings that conflict with those of the run to resume, `out` is not
            empty, another process trains in it, or the model takes no other optimizer, loss or metrics.
        pipelines.DataError: The data is not available.
        ZooError: The loss became NaN or infinite.
        export.ExportError: The verification of an artifact failed.

    Example:
        >>> summary = run("mnist", settings={"data": "digits", "recipe.epochs": 1}, out="runs/digits", export=False)
        >>> summary["epochs"], "accuracy" in summary["metrics"]
        (1, True)
    """
    from zoo.core import environment

    console, quantize = console or Console(quiet=True), check_quantize(quantize)
    if name is not None:  # before TensorFlow is imported, which takes seconds
        check_names(name, recipe, model_arguments or {}, settings or {}, precision)
    environment.prepare()
    from zoo import weights
    from zoo.core.run_folder import Run
    from zoo.distribution import served_data
    from zoo.distribution.replicas import choose
    from zoo.training import autotune
    from zoo.training.user_objects import UserObjects, get_callbacks

    objects = UserObjects(get_callbacks(callbacks), optimizer, loss, metrics)
    options = {"recipe": recipe, "model_arguments": model_arguments, "settings": settings}
    options |= {"data_dir": data_dir, "cache_dir": cache_dir, "seed": seed, "precision": precision, "init": init}
    replicas = choose(devices, data_service)
    if replicas.workers > 1 and out is None and resume is None:
        raise UsageError("workers share one run folder: name it with --out, on a path that all can read")
    if not replicas.is_chief:
        console.quiet = True  # the log of `pipelines` goes there, too
        replicas.wait()  # until the chief has written the settings to the run folder
    planned, folder = _open_or_plan(name, options, out, resume, dataset)
    replicas.check(planned.recipe)
    if data_service is not None:
        served_data.check(planned, data_service)
    if planned.init is not None:
        weights.locate(planned.model, planned.init)  # an unknown name is an error before the data is loaded
    with contextlib.ExitStack() as stack:
        if planned.data["name"] == "shards":
            from pipelines.shards import reading

            stack.enter_context(reading.naming_damage(planned.data["data_dir"]))
        if folder is not None:
            if replicas.is_chief:
                stack.enter_context(folder.locked())
            dataset = folder.dataset(dataset)
        else:
            dataset = planned.load_data() if dataset is None else planned.prepare(dataset)
            requested = planned.to_json()
            planned = autotune.choose_precision(planned, dataset, console, replicas.workers)
            planned = autotune.fit_to_budget(planned, dataset, console)
            folder = Run.create(planned.model, out)
            stack.enter_context(folder.locked())
            folder.save_config(planned, dataset.info, {"requested": requested})
            stack.push(functools.partial(_remove_unused, folder.path))
        if replicas.is_chief:
            replicas.wait()
        replicas.wait()  # until all have read the settings: a run that turns out to be impossible is removed
        if not replicas.is_chief:
            return _train(planned, folder, dataset, console, objects, replicas)
        return _execute(planned, folder, dataset, evaluate, export, quantize, console, objects, replicas)


def _remove_unused(path: Path, kind: type | None, *_: object) -> None:
    """Remove a new run folder in which settings turned out to be wrong before an epoch was finished."""
    if kind is not None and issubclass(kind, UsageError) and not any(path.rglob("history.csv")):
        shutil.rmtree(path, ignore_errors=True)


def _execute(
    planned: Plan,
    folder: Run,
    dataset: Dataset,
    evaluate: bool,
    export: bool,
    quantize: Sequence[str],
    console: Console,
    objects: UserObjects,
    replicas: Replicas,
) -> dict[str, Any]:
    """Train, evaluate and export; return the summary, which is written last."""
    from zoo import evaluate as evaluating
    from zoo import export as exporting

    start = time.monotonic()
    info = dataset.info
    among = f", batches shared by {replicas.count} replicas" if replicas.count > 1 else ""
    console.print(f"training {planned.model} on {info.name} ({_counts(info.counts)}) in {folder.path}{among}")
    summary = _train(planned, folder, dataset, console, objects, replicas)
    if not evaluate:
        folder.finish(summary)
        return summary
    summary |= evaluating.run(folder.path, dataset=dataset, console=Console(quiet=True))
    if (folder.path / "baseline.json").is_file():
        summary["baseline"] = folder.read("baseline.json")
    if export:
        summary["bundles"] = exporting.run(folder.path, quantize=quantize, dataset=dataset, console=console)
    summary["seconds"] = round(time.monotonic() - start, 1)
    folder.finish(summary)
    _show(console, planned.model, summary, given=bool(planned.data.get("given")))
    return summary


def _train(
    planned: Plan, folder: Run, dataset: Dataset, console: Console, objects: UserObjects, replicas: Replicas
) -> dict[str, Any]:
    """Train; return the part of the summary that is known then."""
    from zoo.training import trainer

    start = time.monotonic()
    with replicas.together(), step(f"while {planned.model} was trained"):
        best = trainer.train_best(planned, dataset, folder, console, objects, replicas)
    seconds = max(time.monotonic() - start, sum(row["seconds"] for row in best.rows))  # with those before a resume
    if best.stop_reason:
        console.print(f"stopped after epoch {len(best.rows)}: {best.stop_reason}")
    replicas.wait()  # a process that ends while others compute would be an error to them
    return {
        "run": str(folder.path),
        "epochs": len(best.rows),
        "best_epoch": best.best_epoch,
        "train_seconds": round(seconds, 1),
    }


def _open_or_plan(
    name: str | None, options: dict[str, Any], out: str | None, resume: str | None, dataset: Dataset | None = None
) -> tuple[Plan, Run | None]:
    """Return the plan, and the unfinished run that it resumes, if there is one."""
    from zoo.core.plan import make_plan
    from zoo.core.run_folder import Run

    def plan_of(model: str) -> Plan:
        plan = make_plan(model, **options | {"seed": options["seed"] or 0})
        return plan if dataset is None else plan.with_dataset(dataset.info)

    if resume is not None:
        if out is not None:
            raise UsageError("--resume continues in the folder of the run: omit --out")
        folder = Run.open(resume)
    elif out is not None and Run.exists(out):
        folder = Run.open(out)
    else:
        if out is not None:
            Run.check_empty(out)  # before the data is fetched; the folder is created when there is something to write
        return plan_of(name), None
    if folder.finished:
        raise UsageError(f"{folder.path} already holds a finished run: choose another --out, or remove it first")
    saved = folder.plan()
    if dataset is None and saved.data.get("given"):
        saved.load_data()  # raises: only the caller has the data
    differences = folder.differences(plan_of(name or saved.model), None if resume is None else _explicit(options))
    if differences:
        raise UsageError(f"{folder.path} is a run with other settings ({'; '.join(differences)}): it cannot be resumed")
    return saved, folder


def _explicit(options: dict[str, Any]) -> set[str]:
    """Return the settings that the user gave, also if they have their default values, by their names in config.json."""
    names = {"model", *(["seed"] if options["seed"] is not None else [])}
    for name in [*(options["settings"] or {}), *(f"model.{name}" for name in options["model_arguments"] or {})]:
        group, _, field = name.partition(".")
        names.add({"data": "data.name", "model": f"model_arguments.{field}"}.get(group, name))
    return names


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {split}" for split, n in counts.items())


def _show(console: Console, name: str, summary: dict[str, Any], given: bool = False) -> None:
    from zoo import evaluate
    from zoo import export as exporting

    rows = [(k, f"{v:.4f}") for k, v in summary["metrics"].items()]
    for what, figures in summary.get("baseline", {}).items():
        rows += [(f"baseline: {what.replace('_', ' ')}, {k}", f"{v:.4f}") for k, v in figures.items()]
    rows += [("best epoch", f"{summary['best_epoch']} of {summary['epochs']}")]
    rows += [("training", f"{summary['train_seconds'] / 60:.1f} min")]
    console.table(f"{name} on {summary['data']}, {summary['examples']:,} test examples", ["", ""], rows)
    if "compared" in summary:
        evaluate.show_group(console, "compared", summary["compared"])
    for sentence in summary.get("remarks", ()):
        console.print(sentence)
    for bundle in summary.get("bundles", []):
        exporting.show(console, bundle)
    console.print(f"run folder: {summary['run']}")
    figures = sorted(path.name for path in Path(summary["run"], "figures").glob("*.png"))
    console.print(f"figures: {summary['run']}/figures: {', '.join(figures)}")
    verb = "predict" if given else "evaluate"  # data in memory cannot be loaded by a command
    console.print(f"next: python -m zoo.{verb} {summary['run']}{' INPUT...' if given else ''}")
    for bundle in summary.get("bundles", []):
        console.print(f"      python -m export verify {bundle['path']}")


def _read_config(ctx: click.Context, option: click.Parameter, path: str | None) -> dict[str, Any]:
    """Return the name and the settings of a file; its other fields become the defaults of the options."""
    if path is None:
        return {}
    values = config_file.read(path)
    ctx.default_map = {field: value for field, value in values.items() if field not in ("name", "settings")}
    return values


@click.command("train", cls=ModelCommand)
@click.argument("name", required=False)
@click.option(
    "--config",
    metavar="FILE",
    callback=_read_config,
    is_eager=True,
    help="Settings: config.json of a run, or TOML; options take precedence.",
)
@click.option("--print-config", is_flag=True, help="Print the settings as JSON for --config, and do not train.")
@click.option("--recipe", default="default", show_default=True, help="Recipe of the model.")
@click.option("--data-dir", type=click.Path(), help="Path of your own data.")
@click.option("--cache-dir", type=click.Path(), help="Folder of prepared data.")
@click.option("--out", type=click.Path(), help="Run folder.  [default: runs/NAME/TIME]")
@click.option("--epochs", type=click.IntRange(1), help="Number of epochs.  [default: the recipe's]")
@click.option("--batch-size", type=click.IntRange(1), help="Batch size.  [default: the recipe's]")
@click.option("--learning-rate", type=float, help="Peak learning rate.  [default: the recipe's]")
@click.option("--limit", type=click.IntRange(1), help="Examples a split, every class included.  [default: all]")
@click.option("--seed", type=shell.SEED, help="Random seed.  [default: 0]")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="Precision of the training; auto measures which is faster.",
)
@click.option("--init", metavar="RUN", help="Initial weights: a run, a bundle or a weights file.")
@click.option("--resume", metavar="RUN", help="Resume a run; NAME and settings may be omitted.")
@click.option("--devices", metavar="A,B", help="Devices that share each batch: auto for all GPUs, or their numbers.")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes of this machine that share each batch.")
@click.option("--ray", metavar="ADDRESS", help="Ray cluster of the workers: HOST:PORT, or local for this machine.")
@click.option("--min-workers", type=click.IntRange(1), help="With --ray: workers to continue with if some are lost.")
@click.option("--data-service", metavar="HOST:PORT", help="A tf.data service that reads data=shards.")
@click.option("--callback", "callbacks", multiple=True, metavar="MODULE:CLASS", help="A Keras callback of your own.")
@click.option("--no-export", is_flag=True, help="Train and evaluate only.")
@quantize_option
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="recipe.X, model.X, task.X or data.")
@shell.common_options
@click.pass_context
def main(
    ctx: click.Context,
    name: str | None,
    config: dict[str, Any],
    print_config: bool,
    recipe: str,
    data_dir: str | None,
    cache_dir: str | None,
    out: str | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    limit: int | None,
    seed: int | None,
    precision: str,
    init: str | None,
    resume: str | None,
    no_export: bool,
    quantize: tuple[str, ...],
    pairs: tuple[str, ...],
    callbacks: tuple[str, ...],
    devices: str | None,
    data_service: str | None,
    workers: int,
    ray: str | None,
    min_workers: int | None,
    console: Console,
    **model_options: Any,
) -> None:
    """Train model NAME, evaluate it on the test split, export it and verify every artifact.

    Name a model before --help to see the options of its builder too: `python -m zoo.train fashion_mnist --help`.
    """
    name = name or config.get("name")
    if name is None and resume is None:
        raise click.UsageError("Missing argument 'NAME'. `python -m zoo` lists the models.")
    if config and name != config["name"]:
        raise click.UsageError(f"The file of --config is for the model {config['name']}, not for {name}.")
    changes = config.get("settings", {}) | settings(pairs) | flags(name, model_options)
    data_dir = changes.pop("data_dir", data_dir)
    fields = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "limit": limit}
    changes |= {f"recipe.{field}": value for field, value in fields.items() if value is not None}
    options = {"recipe": recipe, "model_arguments": model_arguments(model_options), "settings": changes}
    options |= {"data_dir": data_dir, "cache_dir": cache_dir, "seed": seed, "precision": precision, "init": init}
    if print_config:
        from zoo.core.plan import make_plan

        click.echo(json.dumps(make_plan(name, **options | {"seed": seed or 0}).to_json(), indent=2))
        return
    if name is not None and (workers > 1 or ray is not None):
        check_names(name, recipe, options["model_arguments"], changes, precision)
    if ray is None and min_workers is not None:
        raise click.UsageError("--min-workers needs --ray, which starts workers again.")
    if ray is None and workers > 1 and workers_of_environment() == 1:
        launch(ctx.meta[ARGUMENTS], workers, name, out or resume)
        return
    rest = {"out": out, "resume": resume, "devices": devices, "data_service": data_service, "export": not no_export}
    rest |= {"quantize": quantize, "callbacks": callbacks}
    if ray is None:
        summary = run(name, **options, **rest, console=console)
    else:
        summary = _run_by_ray(name, options, rest, (ray, workers, min_workers or workers), console)
    console.result(summary)


def _run_by_ray(
    name: str | None,
    options: dict[str, Any],
    rest: dict[str, Any],
    cluster: tuple[str, int, int],
    console: Console,
) -> dict[str, Any]:
    """Call `run` in the workers of a Ray cluster: its address, their number, and the least number of them."""
    from zoo import train  # the workers import it by its name, which is not __main__
    from zoo.distribution import ray_training

    _, workers, least = cluster
    if least > workers:
        raise click.UsageError(f"--min-workers {least} is more than --workers {workers}.")
    planned, _ = _open_or_plan(name, options, rest["out"], rest["resume"])
    for count in range(least, workers + 1):
        check_batch_size(planned.recipe.batch_size, count)
    with contextlib.ExitStack() as stack:
        if rest["out"] is None and rest["resume"] is None:
            rest["out"] = stack.enter_context(new_folder(name))
        return ray_training.launch(train.run, {"name": name, **options, **rest}, *cluster, console)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.train")
