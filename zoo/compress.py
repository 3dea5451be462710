"""python -m zoo.compress NAME|RUN|FILE.keras: the smallest or fastest file whose loss of quality is within a budget."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from export.contract import Artifact
from export.contract.quantization import CALIBRATION_ROWS
from export.formats import QUANTIZATIONS, format_of, tflite, with_formats
from export.formats.keras import read_model
from pipelines.dataset import Dataset
from zoo import export, train
from zoo.compression.search import Candidate, Subject, Variant
from zoo.core import environment, registry
from zoo.core.plan import Plan
from zoo.core.run_folder import RunFolder
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import CheckFailed, ExportFailed, UsageError
from zoobase.files import discard, staging

GOALS = ("size", "latency")
EPOCHS = 2  # of each training
SLOWER = 0.25  # learning rate of a training that continues, in units of the recipe's
CALIBRATION, PARTS = 256, (0.2, 0.6)  # rows, and where the validation and the test rows of a file begin
SMALL = ("float32", "dynamic", "int8", "int4")  # forms of models with zeros
TRAININGS: dict[str, tuple[dict[str, Any], Sequence[str]]] = {  # name -> settings of the recipe, forms to write
    "80 % zeros": ({"sparsity": "0.8"}, SMALL),
    "80 % zeros, 16 clusters": ({"sparsity": "0.8", "clusters": 16}, SMALL),
    "trained for int8": ({"qat": "int8"}, ("int8",)),
    "trained for int4": ({"qat": "int4_weights"}, ("int4",)),
}


def run(
    source: str | Path,
    *,
    out: str | Path,
    budget: float = 0.005,
    goal: str = "size",
    data: str | Path | None = None,
    epochs: int = EPOCHS,
    console: Console | None = None,
) -> dict[str, Any]:
    """Write and measure smaller files of a model, and export the best within a budget with a proof.

    Files are chosen by the validation examples; the chosen one is evaluated on the test examples, once.

    Args:
        source: A run, the name of a model with default weights, or a Keras file.
        out: The folder of the result; it must not exist. It appears when everything in it is finished.
        budget: Largest drop of the metric, at the upper end of its 95 % interval.
        goal: "size" for the smallest file after gzip, "latency" for the fastest call at batch size 1.
        data: For a Keras file, an .npz file with real inputs by name and one array of truth: a fifth of its rows
            measures ranges, two fifths choose, two fifths test.
        epochs: Epochs of each training with pruning, clusters or QAT, by the answers of the model; 0: none.
        console: Receives progress; None prints nothing.

    Returns:
        {"chosen": a candidate, "file": its path, "test": its drop on the test examples, "candidates": all of them}.

    Raises:
        UsageError: An argument is not valid, or `out` exists.
        CheckFailed: On the test examples, the drop of the chosen file is not within the budget.

    Example:
        >>> run("fashion_mnist", out="small", budget=0.005)["chosen"]["quantize"]
        'dynamic'
    """
    console, out = console or Console(quiet=True), Path(out)
    if out.exists():
        raise UsageError(f"{out} exists: choose another --out, or remove it first")
    if goal not in GOALS:
        raise UsageError(f"goal={goal} is not valid: it must be {' or '.join(GOALS)}")
    if not 0 <= budget < 1 or epochs < 0:
        raise UsageError(f"budget={budget:g} and epochs={epochs} must be zero or more, and the budget below 1")
    of_file = Path(source).suffix == ".keras"
    if of_file != (data is not None):
        raise UsageError("--data has the examples of a Keras file; runs and models have their own")
    environment.prepare()
    from zoo.compression import search
    from zoo.compression.frontier import frontier
    from zoo.evaluation import plots

    with staging(out.absolute().parent, f".{out.name}.staging-") as folder:
        subject, trainings = _of_file(source, data) if of_file else _of_zoo(source, epochs, folder / "runs", console)
        candidates, variants = search.search(subject, folder / "files", budget, trainings, console.print)
        chosen, drop = _export(subject, folder, candidates, variants, budget, goal, console)
        names = [t.name for e in subject.contract.endpoints for t in e.outputs]
        plots.save(frontier(candidates, chosen, budget, drop["metric"]), folder / "frontier.png")
        for leftover in ("files", "runs"):
            discard(folder / leftover)
        result = {
            "source": str(source),
            "budget": budget,
            "goal": goal,
            "outputs": names,
            "chosen": dataclasses.asdict(chosen),
            "file": f"bundle/{Path(*Path(chosen.path).parts[2:])}",
            "test": drop,
            "candidates": [dataclasses.asdict(candidate) for candidate in candidates],
        }
        (folder / "compression.json").write_text(json.dumps(result, indent=1, default=float) + "\n", encoding="utf-8")
        folder.rename(out.absolute())
    return json.loads((out / "compression.json").read_text(encoding="utf-8"))


def _of_file(source: str | Path, data: str | Path) -> tuple[Subject, list[Any]]:
    """Return what is compressed of a Keras file; it is not trained further."""
    from export.contract.inference import infer_contract
    from export.proof.evaluation import read_evaluation
    from zoo.compression.search import Subject

    model = read_model(Path(source))
    with np.load(data, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names = {tensor.name for tensor in infer_contract(model).endpoints[0].inputs}
    contract = infer_contract(model, {name: value for name, value in arrays.items() if name in names})
    evaluation = read_evaluation(arrays, contract.endpoints[0])
    order = np.random.default_rng(0).permutation(len(evaluation.truth))
    first, second, third = np.split(order, [round(part * len(order)) for part in PARTS])
    if len(first) < CALIBRATION_ROWS:
        raise UsageError(f"{data} has {len(order)} examples: give {round(CALIBRATION_ROWS / PARTS[0])} or more")
    calibration = {name: value[first[:CALIBRATION]] for name, value in evaluation.inputs.items()}
    return Subject(model, contract, calibration, evaluation.part(second), evaluation.part(third)), []


def _of_zoo(
    source: str | Path, epochs: int, folder: Path, console: Console
) -> tuple[Subject, Iterator[tuple[str, Callable[[], Variant], Sequence[str]]]]:
    """Return what is compressed of a run or of default weights, and how it is trained further."""
    from zoo.compression.search import Subject

    plan, model, dataset, ranges = export.open_source(source)
    served = plan.task.served(model)
    if len(served) > 1:
        raise UsageError(f"{plan.model} is served as {len(served)} models: export them with --quantize")
    (served,) = served.values()
    contract = plan.task.contract(served, dataset.info)
    endpoint = contract.endpoints[0]
    validation, test = (export.evaluation_of(plan, dataset, endpoint, split) for split in ("validation", "test"))
    simulation = export.simulation_of(plan, dataset.info, served, ranges)
    subject = Subject(served, contract, export.calibration_of(plan, dataset, endpoint), validation, test, simulation)
    return subject, _trainings(source, plan, dataset, epochs, folder, console)


def _trainings(
    source: str | Path, plan: Plan, dataset: Dataset, epochs: int, folder: Path, console: Console
) -> Iterator[tuple[str, Callable[[], Variant], Sequence[str]]]:
    """Yield the trainings that continue from the weights of a run or a model, by its own answers, if there are any."""
    for number, (name, (recipe, forms)) in enumerate(TRAININGS.items() if epochs else ()):
        settings = {f"recipe.{key}": value for key, value in recipe.items()} | {
            "recipe.epochs": epochs,
            "recipe.learning_rate": SLOWER * plan.recipe.learning_rate,
            "recipe.teacher": str(source),
        }
        yield name, lambda s=settings, n=name, i=number: _train(source, plan, dataset, s, folder / str(i), n), forms


def _train(source: str | Path, plan: Plan, dataset: Dataset, settings: dict[str, Any], out: Path, name: str) -> Variant:
    """Train on; return the model as it is served."""
    from zoo.compression.quantization import read_ranges
    from zoo.compression.search import Variant

    trained = plan.arguments(dataset.info)
    if not Path(source).exists():
        from zoo import weights

        trained = weights.description(str(source))["arguments"]
    arguments = {f"model.{key}": value for key, value in trained.items() if key not in registry.DATA_ARGUMENTS}
    init = str(source) if Path(source).exists() else "default"
    options = {"init": init, "dataset": dataset, "seed": plan.seed, "export": False, "evaluate": False}
    train.run(plan.model, settings=arguments | settings, out=str(out), **options)
    folder = RunFolder.open(out)
    ranges = None if folder.plan().recipe.qat == "none" else read_ranges(folder.weights)
    (served,) = plan.task.served(folder.model()).values()
    contract = with_formats(plan.task.contract(served, dataset.info))
    return Variant(name, served, contract, export.simulation_of(plan, dataset.info, served, ranges))


def _export(
    subject: Subject,
    folder: Path,
    candidates: list[Candidate],
    variants: dict[str, Variant],
    budget: float,
    goal: str,
    console: Console,
) -> tuple[Candidate, dict[str, Any]]:
    """Export the best candidate that a proof passes; return it with its drop on the test examples."""
    from export.exporter import export_model
    from export.proof.evaluation import Quantization, measure_drops
    from zoo.compression import search

    samples = {name: value[: search.ROWS] for name, value in subject.validation.inputs.items()}
    while True:
        chosen = search.choose(candidates, budget, goal)
        variant, is_float = variants[chosen.training], chosen.quantize == search.FLOAT
        format = tflite.FORMAT if is_float else format_of(chosen.quantize)
        options: dict[str, Any] = {"formats": (format.name,), "samples": samples}
        if not is_float:
            options["quantization"] = Quantization(
                (chosen.quantize,),
                subject.calibration if QUANTIZATIONS[chosen.quantize].is_calibrated else None,
                keep_float=chosen.keep_float,
                **variant.simulation_for(chosen.quantize, chosen.keep_float),
            )
        console.print(f"proving {chosen.label}")
        try:
            bundle = export_model(variant.model, folder / "bundle", contract=variant.contract, **options)
        except ExportFailed as failure:
            discard(failure.bundle_path)
            if is_float and not chosen.training:
                raise
            failed = dataclasses.replace(chosen, problem=str(failure).partition("; kept as")[0])
            candidates[candidates.index(chosen)] = failed
            continue
        wanted = (format.name, None if is_float else chosen.quantize)
        artifacts = [Artifact.from_json(entry) for entry in bundle.manifest["artifacts"]]
        artifact = next(a for a in artifacts if (a.format, a.quantize) == wanted)
        (drop,) = measure_drops(bundle.path, subject.contract, [artifact], subject.test).values()
        if isinstance(drop, str):
            raise CheckFailed(f"{chosen.label} does not run on the test examples: {drop}")
        if drop["high"] > budget and not (is_float and not chosen.training):
            raise CheckFailed(
                f"{chosen.label}, the best by the validation examples, drops {drop['metric']} by {drop['drop']:.4f} "
                f"[{drop['low']:.4f}, {drop['high']:.4f}] on the test examples, which may be more than the budget of "
                f"{budget:g}: nothing is written; raise --budget"
            )
        return chosen, drop


@click.command("compress")
@click.argument("source", metavar="NAME|RUN|FILE.keras", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="Folder of the result.")
@click.option("--budget", type=float, default=0.005, show_default=True, help="Largest drop of the metric.")
@click.option("--for", "goal", type=click.Choice(GOALS), default="size", show_default=True, help="What is smallest.")
@click.option("--data", type=click.Path(), help="Of a Keras file: real inputs by name and their truth, an .npz.")
@click.option("--epochs", type=click.IntRange(0), default=EPOCHS, show_default=True, help="Of each training; 0: none.")
@shell.common_options
def main(source: str, out: str, budget: float, goal: str, data: str | None, epochs: int, console: Console) -> None:
    """Write the smallest or fastest file of a model whose loss of quality is within a budget, with a proof.

    Tries quantised files, operators that stay float, and trainings with pruning, clusters and QAT.
    """
    result = run(source, out=out, budget=budget, goal=goal, data=data, epochs=epochs, console=console)
    show(console, result)
    runtime = "litert" if result["file"].endswith(".tflite") else "onnxruntime"  # the bundle has no Keras file
    console.print(f"next: python -m export verify {out}/bundle --runtime {runtime}")
    console.result(result)


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the table of all candidates, the smallest first, and what was chosen."""
    from zoo.compression.search import Candidate

    candidates = sorted((Candidate(**c) for c in result["candidates"]), key=lambda c: (bool(c.problem), c.gzip))
    rows, problems = [], defaultdict(list)
    for candidate in candidates:
        if candidate.problem:
            problems[candidate.problem].append(candidate.label)
            continue
        drop = candidate.drop or {}
        interval = f"{drop['drop']:+.4f} [{drop['low']:+.4f}, {drop['high']:+.4f}]" if drop else ""
        state = "yes" if candidate.is_within(result["budget"]) else "no"
        ms = "" if candidate.ms is None else f"{candidate.ms:.3f}"
        sizes = (f"{candidate.size / 1e3:,.0f}", f"{candidate.gzip / 1e3:,.0f}") if candidate.size else ("", "")
        rows.append((candidate.label, *sizes, ms, interval, state))
    head = ("file", "kB", "kB, gzip", "ms", "drop on validation", "within the budget")
    console.table(f"{result['source']}, budget {result['budget']:g}", head, rows)
    for problem, labels in problems.items():
        console.print(f"left out: {'; '.join(labels)}: {problem}")
    drop, label = result["test"], Candidate(**result["chosen"]).label
    console.print(
        f"chosen for {result['goal']}: {label}, {result['file']}; on {drop['examples']:,} "
        f"test examples {drop['metric']} {drop['reference']:.4f} -> {drop['value']:.4f}, drop {drop['drop']:+.4f} "
        f"[{drop['low']:+.4f}, {drop['high']:+.4f}]"
    )


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.compress")
