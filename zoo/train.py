"""python -m zoo.train NAME: train, evaluate, export and verify one model of the zoo."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from pipelines import catalogue, splits
from pipelines.sources import remote
from zoo import evaluate, export
from zoo.cli.options import ARGUMENTS, ModelCommand, settings_options
from zoo.core import environment
from zoo.core.capabilities import Untrained
from zoo.core.plan import resolve
from zoo.core.run_folder import RunFolder, RunSummary
from zoo.core.run_store import RunStore
from zoo.core.settings import TrainSettings, check_recipe, read_config
from zoo.distribution.launcher import launch
from zoo.distribution.replicas import choose, read_environment
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError, step

INITIAL = "initial.weights.h5"  # of a run: the weights from which a model of the user's own starts
SMALL = 2000  # examples of a split whose classes are counted
if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from zoo.core.plan import Plan
    from zoo.core.typed import ModelName, TrainOptions
    from zoo.distribution.replicas import Replicas
    from zoo.training.session import Session


def run(
    name: ModelName | None,
    *,
    model: Any = None,
    dataset: Any = None,
    callbacks: Sequence[Any] = (),
    optimizer: Any = None,
    loss: Any = None,
    metrics: Sequence[Any] = (),
    console: Console | None = None,
    **settings: Unpack[TrainOptions],
) -> RunSummary:
    """Train a model, evaluate it on the test split, export it and verify the artifacts.

    The same call with the same `out` resumes an interrupted run after its last complete epoch, or, with
    `checkpoint_minutes`, within one. Under a `TF_CONFIG` with several workers, each process makes the same call: they
    share each batch, and the first one writes the run folder, evaluates and exports.

    Args:
        name: Name of the model; may be None with `resume`, and with `model` for rows of a table and images.
        model: A Keras model of your own, of layers of Keras, in place of the named one, whose task, recipe and data it
            has, or a function of the `Info` of the data: rows (B, columns) float32, or what the named model takes ->
            what that returns; a last softmax or sigmoid is left out. Optimizer, loss and metrics of a compiled model
            are those of the training. The run folder has its configuration and weights, and no code.
        dataset: The data: the result of `pipelines.from_arrays`, or (x, y) for it, or finite pairs (x, y) of a
            `tf.data.Dataset` or a `keras.utils.PyDataset`; the dataset of the settings is loaded if None. It is not
            stored: a resumed training takes it again, and `zoo.evaluate.run` and `zoo.export.run` take the result of
            `from_arrays`.
        callbacks: Keras callbacks, or "module:Class" of some; called after those of the zoo.
        optimizer: A Keras optimizer, or its name, instead of that of the recipe.
        loss: A Keras loss, or its name, instead of that of the task.
        metrics: Keras metrics, or their names, in addition to those of the task.
        console: Receives progress; None prints nothing.
        **settings: Fields of `zoo.core.settings.TrainSettings`, such as `recipe="quick"`, `settings={"recipe.epochs":
            3}`, `data_dir`, `out`, `seed`, `resume`, `export=False`. The page of settings describes them.

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
    chosen = TrainSettings.of({"name": name, **settings})  # before TensorFlow is imported, which takes seconds
    objects = {"callbacks": callbacks, "optimizer": optimizer, "loss": loss, "metrics": metrics, "model": model}
    return _run(chosen, objects, dataset, console or Console(quiet=True))


def _run(chosen: TrainSettings, objects: dict[str, Any], dataset: Any, console: Console) -> RunSummary:
    if dataset is None:
        chosen.check_data_dir()
    environment.prepare()
    from pipelines.adapters.arrays import from_python
    from zoo.core.weight_files import save_file
    from zoo.training.compiling import UserObjects, get_callbacks

    dataset = None if dataset is None else from_python(dataset)
    if objects.get("model") is not None:
        chosen, objects, dataset = _own_network(chosen, objects, dataset)
    network = objects.pop("model", None)
    objects = UserObjects(**{**objects, "callbacks": get_callbacks(objects["callbacks"])})
    replicas = choose(chosen.devices)
    store = None
    for key in ("out", "resume"):
        if (url := getattr(chosen, key)) is not None and remote.is_url(url):  # the run folder is a local copy
            store = RunStore(url, replicas.index)
            chosen = TrainSettings.of(chosen.given, {key: str(store.path)})
            break
    if replicas.workers > 1 and chosen.out is None and chosen.resume is None:
        raise UsageError("workers share one run folder: name it with --out, on a path that all can read")
    if not replicas.is_chief:
        console.quiet = True  # the log of `pipelines` goes there, too
        replicas.wait()  # until the chief has written the settings to the run folder
    with contextlib.ExitStack() as stack:
        if store is not None:
            store.fetch()
        session = _open(chosen, dataset, console, replicas, stack)
        session.folder.store = store
        if replicas.is_chief and not session.plan.data.get("given"):
            stack.push(functools.partial(_show_resume, console, store.url if store else session.folder.path))
        if replicas.is_chief:
            session.folder.saved()
        initial = session.folder.path / INITIAL if session.plan.network else None
        if network is not None and replicas.is_chief and not initial.is_file():
            built = session.plan.build(session.info)
            built.set_weights(network.get_weights())
            save_file(built, initial)
        given = {"objects": objects, "checkpoint_minutes": chosen.checkpoint_minutes, "initial": initial}
        session = dataclasses.replace(session, **given)
        if replicas.is_chief:
            replicas.wait()
        replicas.wait()  # until all have read the settings: a run that turns out to be impossible is removed
        start, summary = time.monotonic(), RunSummary(_train(session))
        folder = session.folder
        if not replicas.is_chief:
            if chosen.evaluate:
                if store is not None:
                    store.fetch()  # the weights
                with replicas.together():
                    evaluate.share(folder.path, session.dataset, replicas)
                    replicas.wait()
            return summary
        if chosen.evaluate:
            console.print(f"evaluating the best weights on {session.info.counts['test']:,} test examples")
            with replicas.together():
                summary.update(evaluate.run(folder.path, dataset=session.dataset, replicas=replicas))
                replicas.wait()  # a process that ends while others compute would be an error to them
            if chosen.export:
                forms = {"quantize": chosen.quantize, "quick": chosen.quick}
                summary["bundles"] = export.run(folder.path, **forms, dataset=session.dataset, console=console)
            summary["seconds"] = round(time.monotonic() - start, 1)
        if store is not None:
            summary["store"] = store.url
        folder.finish(summary)
        folder.saved()
    if chosen.evaluate:
        _show(console, session.plan.title, summary, given=bool(session.plan.data.get("given")))
    return summary


def _own_network(
    chosen: TrainSettings, objects: dict[str, Any], dataset: Dataset | None
) -> tuple[TrainSettings, dict[str, Any], Dataset]:
    """Return settings, objects and data for a model of the user's own."""
    import keras

    from zoo.core import replacements

    if chosen.resume is not None:
        raise UsageError("model= is not for resume=: repeat the call with the same out=, which resumes the run")
    if chosen.name is None:
        if dataset is None:
            raise UsageError("model= needs a dataset=, or the name of a model of the zoo, whose task and data it has")
        chosen = TrainSettings.of(chosen.given, {"name": "table" if "columns" in dataset.info.statistics else "mnist"})
    plan = resolve(TrainSettings.of(chosen.given, {"network": "{}"}))  # settings that have no effect are refused first
    dataset = catalogue.load(**plan.data, split=plan.recipe.split) if dataset is None else dataset
    info = plan.prepare(dataset).info
    keras.utils.set_random_seed(plan.seed)
    network = objects["model"]
    network = network(info) if callable(network) and not isinstance(network, keras.Model) else network
    own = {"network": replacements.to_config(network)}
    compiled = keras.saving.deserialize_keras_object(network.get_compile_config()) if network.compiled else {}
    objects |= {k: objects[k] or compiled.get(k) for k in ("optimizer", "loss", "metrics")} | {"model": network}
    if info.class_names:
        objects["loss"] = replacements.loss_of(network, objects["loss"])
    return TrainSettings.of(chosen.given, own), objects, dataset


def _open(
    settings: TrainSettings, dataset: Dataset | None, console: Console, replicas: Replicas, stack: contextlib.ExitStack
) -> Session:
    """Return the session of a new run, or of the one to resume; its folder is locked until the stack is closed."""
    from zoo import weights
    from zoo.candidates import selection
    from zoo.compression import distillation
    from zoo.training import autotune
    from zoo.training.session import Session

    plan, folder = open_or_plan(settings, dataset)
    if isinstance(plan.task, Untrained):
        raise UsageError(plan.task.not_trained)
    plan.task.check_arguments(plan.model_arguments)
    replicas.check(plan.recipe)
    if plan.init is not None:
        weights.locate(plan.model, plan.init)  # an unknown name is an error before the data is loaded
    if plan.recipe.teacher:
        distillation.check_teacher(plan.recipe.teacher)
    if plan.data["name"] == "shards":
        from pipelines.shards import reading

        stack.enter_context(reading.naming_damage(plan.data["data_dir"]))
    if folder is not None:
        if replicas.is_chief:
            stack.enter_context(folder.locked())
        return Session(plan, folder, folder.dataset(dataset), console, replicas)
    dataset = plan.load_data() if dataset is None else plan.prepare(dataset)
    if settings.export and settings.evaluate:
        export.check_data(plan, dataset.info, export.with_trained(settings.quantize, plan))
    for part in ("validation", *(("test",) if settings.evaluate else ())):
        if dataset.info.counts[part] <= SMALL and (names := splits.lacking(dataset, part)):
            console.print(f"no example of {', '.join(names)} is in {part}, whose figures say nothing about it")
    if settings.candidates is None and replicas.count > 1:
        plan = dataclasses.replace(plan, candidates="")
    requested = plan.to_json()
    if not plan.candidates or selection.NETWORK in selection.names_of(plan, dataset.info):
        plan = autotune.choose_precision(plan, dataset, console, replicas.workers)
        plan = autotune.fit_to_budget(plan, dataset, console)
    folder = RunFolder.create(plan.model, settings.out)
    stack.enter_context(folder.locked())
    folder.save_config(plan, dataset.info, {"requested": requested})
    stack.push(functools.partial(_remove_unused, folder.path))
    return Session(plan, folder, dataset, console, replicas)


def open_or_plan(settings: TrainSettings, dataset: Dataset | None = None) -> tuple[Plan, RunFolder | None]:
    """Return the plan of settings, and the unfinished run that it resumes, if there is one."""

    def plan_of(settings: TrainSettings) -> Plan:
        plan = resolve(settings)
        return plan if dataset is None else plan.with_dataset(dataset.info)

    if settings.resume is not None:
        folder = RunFolder.open(settings.resume)
    elif settings.out is not None and RunFolder.exists(settings.out):
        folder = RunFolder.open(settings.out)
    else:
        if settings.out is not None:
            RunFolder.check_empty(settings.out)  # before the data is fetched; created when there is something to write
        return plan_of(settings), None
    if folder.finished:
        raise UsageError(f"{folder.path} already holds a finished run: choose another --out, or remove it first")
    saved = folder.plan()
    if dataset is None and saved.data.get("given"):
        saved.load_data()  # raises: only the caller has the data
    if settings.name not in (None, saved.model):
        differences = [f"model: {saved.model!r} in the run, {settings.name!r} requested"]
    else:  # with --resume, what is not given is that of the run
        whole = settings if settings.resume is None else TrainSettings.of(folder.requested(), settings.given)
        differences = folder.differences(plan_of(whole))
    if differences:
        raise UsageError(f"{folder.path} is a run with other settings ({'; '.join(differences)}): it cannot be resumed")
    return saved, folder


def _remove_unused(path: Path, kind: type | None, *_: object) -> None:
    """Remove a new run folder in which settings turned out to be wrong before an epoch was finished."""
    if kind is not None and issubclass(kind, UsageError) and not any(path.rglob("history.csv")):
        shutil.rmtree(path, ignore_errors=True)


def _show_resume(console: Console, run: str | Path, kind: type | None, *_: object) -> None:
    """Print the command that continues a run that was interrupted."""
    if kind is not None and issubclass(kind, KeyboardInterrupt):
        console.print(f"next: python -m zoo.train --resume {run}")


def _train(session: Session) -> dict[str, Any]:
    """Train; return the part of the summary that is known then."""
    from zoo.training import calibration, ladder, trainer

    plan, info, console, replicas = session.plan, session.info, session.console, session.replicas
    if replicas.is_chief:
        counts = ", ".join(f"{n:,} {split}" for split, n in info.counts.items())
        among = f", batches shared by {replicas.count} replicas" if replicas.count > 1 else ""
        console.print(f"training {plan.title} on {info.name} ({counts}) in {session.folder.path}{among}")
    start = time.monotonic()
    with replicas.together(), step(f"while {plan.model} was trained"):
        best = (ladder.train if plan.candidates else trainer.train_best)(session)
    seconds = max(time.monotonic() - start, sum(row["seconds"] for row in best.rows))  # with those before a resume
    if best.stop_reason:
        console.print(f"stopped after epoch {len(best.rows)}: {best.stop_reason}")
    elif 1 < len(best.rows) == best.best_epoch:
        again = "" if plan.network else f"--init {session.folder.path} continues from these weights, "
        again += f"--set recipe.epochs={2 * plan.recipe.epochs} trains longer from the start"
        console.print(f"the validation still improved in the last epoch: {again}")
    if replicas.is_chief:
        if not plan.candidates:
            calibration.calibrate_best(session)
        session.folder.saved()
    replicas.wait()  # a process that ends while others compute would be an error to them
    return {
        "run": str(session.folder.path),
        "epochs": len(best.rows),
        "best_epoch": best.best_epoch,
        "train_seconds": round(seconds, 1),
    }


def _show(console: Console, name: str, summary: dict[str, Any], given: bool = False) -> None:
    from zoo.evaluation import conformal

    rows = evaluate.metric_rows(summary)
    rows += [("best epoch", f"{summary['best_epoch']} of {summary['epochs']}", "")]
    rows += [("training", f"{summary['train_seconds'] / 60:.1f} min", "")]
    title = f"{name} on {summary['data']}, {summary['examples']:,} test examples"
    console.table(title, ["metric", "value", "95 % interval"], rows)
    for group in ("compared", "gains"):
        if group in summary:
            evaluate.show_group(console, group, summary[group])
    for sentence in filter(None, [summary.get("dependence"), *summary.get("remarks", ())]):
        console.print(sentence)
    if "conformal" in summary:
        console.print(conformal.describe(summary["conformal"]))
    for bundle in summary.get("bundles", []):
        export.show(console, bundle)
    stored = f"{summary['store']}, and its copy " if "store" in summary else ""
    console.print(f"run folder: {stored}{summary['run']}")
    figures = sorted(path.name for path in Path(summary["run"], "figures").glob("*.png"))
    console.print(f"figures: {summary['run']}/figures: {', '.join(figures)}")
    verb = "predict" if given else "evaluate"  # data in memory cannot be loaded by a command
    place = summary.get("store", summary["run"])
    console.print(f"next: python -m zoo.{verb} {place}{' INPUT...' if given else ''}")
    for bundle in summary.get("bundles", []) if place == summary["run"] else ():
        console.print(f"      python -m export verify {bundle['path']}")


@click.command("train", cls=ModelCommand)
@click.argument("name", required=False)
@click.option("--config", metavar="FILE", help="Settings: config.json of a run, or TOML; options take precedence.")
@click.option("--print-config", is_flag=True, help="Print the settings as JSON for --config, and do not train.")
@settings_options()
@click.option("--callback", "callbacks", multiple=True, metavar="MODULE:CLASS", help="A Keras callback of your own.")
@click.option("--workers", type=click.IntRange(1), help="Processes of this machine that share each batch.")
@shell.common_options
@click.pass_context
def main(
    ctx: click.Context,
    name: str | None,
    config: str | None,
    print_config: bool,
    callbacks: tuple[str, ...],
    workers: int | None,
    given: dict[str, Any],
    console: Console,
) -> None:
    """Train model NAME, evaluate it on the test split, export it and verify every artifact.

    Name a model before --help to see the options of its builder too: `python -m zoo.train fashion_mnist --help`.
    """
    file = {} if config is None else read_config(config)
    if file and name not in (None, file["name"]):
        raise click.UsageError(f"The file of --config is for the model {file['name']}, not for {name}.")
    check_recipe(given, file, config)
    settings = TrainSettings.of(file, {"name": name, **given})
    if settings.name is None and settings.resume is None:
        raise click.UsageError("Missing argument 'NAME'. `python -m zoo` lists the models.")
    if print_config:
        plan, _ = open_or_plan(settings)
        click.echo(json.dumps(plan.to_json(), indent=2))
        return
    started, _ = read_environment()
    if started == 1 and workers not in (None, 1):
        launch(ctx.meta[ARGUMENTS], workers, settings.name, settings.out or settings.resume)
        return
    if workers not in (None, started):
        raise click.UsageError(f"--workers {workers} contradicts TF_CONFIG, which has {started} workers.")
    console.result(_run(settings, {"callbacks": callbacks}, None, console))


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.train")
