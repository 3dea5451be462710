"""python -m zoo.train NAME: train, evaluate, export and prove one model of the zoo."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from commandline import console as shell
from commandline.console import Console
from zoo.cli.options import ModelCommand, check_quantize, flags, model_arguments, quantize_option, settings
from zoo.core.errors import UsageError
from zoo.core.plan import PRECISIONS

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from zoo.core.plan import Plan
    from zoo.core.run_folder import Run


def run(
    name: str | None,
    *,
    recipe: str = "default",
    asked: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    data_dir: str | None = None,
    cache_dir: str | None = None,
    out: str | None = None,
    seed: int = 0,
    precision: str = "auto",
    init: str | None = None,
    resume: str | None = None,
    export: bool = True,
    quantize: Sequence[str] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Train a model, judge it on the test split, export it and prove the artifacts.

    The same call with the same `out` takes up a run that was killed, exactly where its last epoch ended.

    Args:
        name: Of the model; may be None with `resume`.
        recipe: Name of one of its recipes.
        asked: Builder arguments.
        settings: As of `--set`: `recipe.X`, `model.X`, `task.X`, `data`.
        data_dir: The user's own data.
        cache_dir: Where prepared data lies.
        out: Exactly this run folder; without it runs/NAME/TIME.
        seed: Of everything random.
        precision: "float32", "bfloat16", or "auto": what this machine trains this model faster in.
        init: Weights to begin from: a run, a bundle, a weights file or "default".
        resume: An unfinished run folder to take up; other settings may be left out, and must not conflict.
        export: Whether to export and prove.
        quantize: Coarser TFLite files to export too: "float16", "dynamic", "int8".
        console: Where to speak; silent without one.

    Returns:
        JSON-able summary: run, metrics, bundles with their verdicts, seconds.

    Raises:
        UsageError: Something unknown, or `out` is taken.
        pipelines.DataError: The data is not to be had.
        ZooError: The loss became NaN.
        export.ExportError: An artifact failed its proof.
    """
    from zoo.core import environment

    console, quantize = console or Console(quiet=True), check_quantize(quantize)
    environment.prepare()
    from zoo.core.run_folder import Run
    from zoo.training import autotune

    wanted = {"recipe": recipe, "asked": asked, "settings": settings, "data_dir": data_dir, "cache_dir": cache_dir}
    wanted |= {"seed": seed, "precision": precision, "init": init}
    planned, folder = _begin(name, wanted, out, resume)
    dataset = planned.load_data()
    if folder is None:
        requested = planned.to_json()
        planned = autotune.choose_precision(planned, dataset, console)
        planned = autotune.fit_to_budget(planned, dataset, console)
        folder = Run.create(planned.model, out)
        folder.save_config(planned, dataset.info, {"requested": requested})
    return _carry_out(planned, folder, dataset, export, quantize, console)


def _carry_out(
    planned: Plan, folder: Run, dataset: Dataset, export: bool, quantize: Sequence[str], console: Console
) -> dict[str, Any]:
    """Train, judge, export; return the summary, which is written last."""
    from zoo import evaluate
    from zoo import export as exporting
    from zoo.training import trainer

    began = time.monotonic()
    info = dataset.info
    console.print(f"training {planned.model} on {info.name} ({_counts(info.counts)}) in {folder.path}")
    kept = trainer.train_best(planned, dataset, folder, console)
    seconds = time.monotonic() - began
    if kept.stopped:
        console.print(f"stopped after epoch {len(kept.rows)}: {kept.stopped}")
    summary: dict[str, Any] = {
        "run": str(folder.path),
        "epochs": len(kept.rows),
        "best_epoch": kept.best_epoch,
        "train_seconds": round(seconds, 1),
    }
    summary |= evaluate.run(folder.path, dataset=dataset, console=Console(quiet=True))
    if (folder.path / "baseline.json").is_file():
        summary["baseline"] = folder.read("baseline.json")
    if export:
        summary["bundles"] = exporting.run(folder.path, quantize=quantize, dataset=dataset, console=console)
    summary["seconds"] = round(time.monotonic() - began, 1)
    folder.finish(summary)
    _show(console, planned.model, summary)
    return summary


def _begin(name: str | None, wanted: dict[str, Any], out: str | None, resume: str | None) -> tuple[Plan, Run | None]:
    """Return the plan, and the unfinished run that it goes on with, if there is one."""
    from zoo.core.plan import make_plan
    from zoo.core.run_folder import Run

    if resume is not None:
        folder = Run.open(resume)
    elif out is not None and Run.exists(out):
        folder = Run.open(out)
    else:
        if out is not None:
            Run.check_free(out)  # before the data is fetched; the folder is made when there is something to put into it
        return make_plan(name, **wanted), None
    if folder.finished:
        raise UsageError(f"{folder.path} holds a finished run already: choose another --out, or remove it first")
    if name is not None:
        differing = folder.differences(make_plan(name, **wanted), only_given=resume is not None)
        if differing:
            raise UsageError(
                f"{folder.path} is a run with other settings ({'; '.join(differing)}): it cannot be resumed so"
            )
    return folder.plan(), folder


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {split}" for split, n in counts.items())


def _show(console: Console, name: str, summary: dict[str, Any]) -> None:
    from zoo import export as exporting

    rows = [(k, f"{v:.4f}") for k, v in summary["metrics"].items()]
    for what, figures in summary.get("baseline", {}).items():
        rows += [(f"beside it: {what.replace('_', ' ')}, {k}", f"{v:.4f}") for k, v in figures.items()]
    rows += [("best epoch", f"{summary['best_epoch']} of {summary['epochs']}")]
    rows += [("training", f"{summary['train_seconds'] / 60:.1f} min")]
    console.table(f"{name}, {summary['examples']:,} test examples", ["", ""], rows)
    for sentence in summary.get("remarks", ()):
        console.print(sentence)
    for bundle in summary.get("bundles", []):
        exporting.show(console, bundle)
    console.print(f"all of it: {summary['run']}")
    console.print(f"next: python -m zoo.evaluate {summary['run']}")
    for bundle in summary.get("bundles", []):
        console.print(f"      python -m export verify {bundle['path']}")


@click.command("train", cls=ModelCommand)
@click.argument("name", required=False)
@click.option("--recipe", default="default", show_default=True, help="One of the model's recipes.")
@click.option("--data-dir", type=click.Path(), help="Your own data.")
@click.option("--cache-dir", type=click.Path(), help="Where prepared data lies.")
@click.option("--out", type=click.Path(), help="Exactly this run folder.  [default: runs/NAME/TIME]")
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--batch-size", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--learning-rate", type=float, help="Instead of the recipe's.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of everything random.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True)
@click.option("--init", metavar="RUN", help="Begin from the weights of a run, a bundle or a weights file.")
@click.option("--resume", metavar="RUN", help="Take up an unfinished run; NAME and settings may be left out.")
@click.option("--no-export", is_flag=True, help="Train and evaluate only.")
@quantize_option
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="recipe.X, model.X, task.X or data.")
@shell.common_options
def main(
    name: str | None,
    recipe: str,
    data_dir: str | None,
    cache_dir: str | None,
    out: str | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    seed: int,
    precision: str,
    init: str | None,
    resume: str | None,
    no_export: bool,
    quantize: tuple[str, ...],
    pairs: tuple[str, ...],
    console: Console,
    **model_options: Any,
) -> None:
    """Train model NAME, judge it on the test split, export it and prove every artifact.

    Name a model before --help to see the options of its builder too: `python -m zoo.train fashion_mnist --help`.
    """
    from zoo.core import registry

    if name is None and resume is None:
        raise click.UsageError("Missing argument 'NAME'. `python -m zoo` lists the models.")
    if name is not None:
        registry.get_entry(name)  # a mistyped name is answered before TensorFlow is imported
    changes = settings(pairs) | flags(name, model_options)
    data_dir = changes.pop("data_dir", data_dir)
    for key, value in (("epochs", epochs), ("batch_size", batch_size), ("learning_rate", learning_rate)):
        if value is not None:
            changes[f"recipe.{key}"] = value
    summary = run(
        name,
        recipe=recipe,
        asked=model_arguments(model_options),
        settings=changes,
        data_dir=data_dir,
        cache_dir=cache_dir,
        out=out,
        seed=seed,
        precision=precision,
        init=init,
        resume=resume,
        export=not no_export,
        quantize=quantize,
        console=console,
    )
    console.result(summary)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.train")
