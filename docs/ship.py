"""python -m docs.ship RUN: make the best weights of a run the default weights of its model, as files of the package."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from docs import packing
from pipelines import splits
from zoo.core import registry, weight_files
from zoo.core.run_folder import RunFolder
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError, unknown
from zoobase.files import sha256, write_atomic

EVALUATED = ("metrics", "intervals", "dependence", "compared", "gains", "conformal", "examples")  # of the description
LIMIT = 3_000_000  # bytes per model; larger weights are a release asset with a source and a sha256


def run(
    path: str | Path,
    omit: Collection[str] = (),
    repeats: Sequence[str | Path] = (),
    *,
    bits: int | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Write a run's best weights to `zoo/weights/files/NAME.weights.h5`, and their metadata to NAME.json.

    Matrices and kernels are float16, biases and statistics float32. The parts of the model that no served model uses,
    such as discriminators, are left out.

    Args:
        path: The run folder; it must be finished.
        omit: Other parts to leave out, by their attribute of the model. `zoo.build` initialises them as new.
        repeats: Runs of the same settings with other seeds, whose metrics are recorded beside those of this one.
        bits: Round the matrices to so many bits, see `docs.packing`, and measure the metrics on the test split
            again.
        console: Receives messages; None prints nothing.

    Returns:
        {"model", "file", "sha256", "bytes", "arguments", "metrics", "omitted"}.

    Raises:
        UsageError: The run is not finished, its bundle was not verified, its weights are too large to ship, the model
            has no such part, or a repetition has other settings.
    """
    from zoo.core import environment
    from zoo.core.task import first_metrics
    from zoo.evaluate import evaluate_split

    console = console or Console(quiet=True)
    environment.prepare()
    folder = RunFolder.open(path)
    if not folder.finished:
        raise UsageError(f"{path} is not finished: python -m zoo.train --resume {path}")
    summary = folder.read("summary.json")
    bundles = summary.get("bundles", [])
    if not bundles or any(b["verdict"] != "pass" for b in bundles):
        raise UsageError(f"{path} has no bundle that passed verification: python -m zoo.export {path}")
    model = folder.model()
    parts = packing.parts(model)
    if missing := sorted(set(omit) - set(parts)):
        raise unknown(f"part of {model.name}", missing[0], parts)
    omitted = sorted({*omit, *packing.training_parts(model, folder.plan().task.served(model).values())})
    metrics = summary["metrics"]
    if bits is not None:
        packing.round_model(model, bits)
        metrics = dict(first_metrics(evaluate_split(folder.plan(), model, folder.dataset(None), "test").metrics))
        console.print(f"rounded to {bits} bits: {_differences(summary['metrics'], metrics)}")
    content = packing.compact(model, omitted)
    if len(content) > LIMIT:
        raise UsageError(f"the weights of {path} have {len(content):,} bytes, and at most {LIMIT:,} are shipped")
    config = folder.read("config.json")
    target = weight_files.SHIPPED / f"{config['model']}.weights.h5"
    target.parent.mkdir(exist_ok=True)
    write_atomic(target, content)
    metadata = {k: config[k] for k in ("arguments", "info", "seed", "recipe", "versions", "git")}
    metadata["info"]["source"] = metadata["info"]["source"].replace(str(Path.home()), "~")
    metadata |= {"command": folder.plan().command()}
    metadata |= {k: summary[k] for k in (*EVALUATED, "train_seconds") if k in summary}
    if bits is not None:
        metadata |= {"bits": bits, "metrics": metrics, "metrics_of_the_run": summary["metrics"]}
    metadata["history"] = folder.history()
    metadata["seeds"] = {str(config["seed"]): summary["metrics"]} | dict(_repetition(config, r) for r in repeats)
    weight_files.write_description(target, metadata)
    entry = {"model": config["model"], "file": target.name, "sha256": sha256(target), "bytes": len(content)}
    entry |= {"arguments": config["arguments"], "metrics": metrics, "omitted": omitted}
    _pin(entry["model"], entry["sha256"])
    console.print(f"written: {target}, its .json and {weight_files.PINNED}")
    return entry


def measure(
    name: str, *, bits: int | None = None, calibrate: bool = False, console: Console | None = None
) -> dict[str, Any]:
    """Evaluate the shipped weights of a model again on the test split of its data, and update their description.

    Args:
        name: The model.
        bits: First round the matrices of the file to so many bits, for a smaller one.
        calibrate: First divide the logits by a temperature, if that lowers the cross-entropy of held-out validation.
        console: Receives messages; None prints nothing.

    Returns:
        The result of the evaluation, as of `zoo.evaluate.run`.

    Raises:
        UsageError: The model has no shipped weights.
        pipelines.DataError: The data is not available.
    """
    from zoo import weights
    from zoo.core.plan import make_plan
    from zoo.evaluate import evaluate_split, result_of

    file, _ = weights.locate(name, "default")
    record = weight_files.read_description(file)
    plan = make_plan(name, settings={"data": record["info"]["name"]})
    dataset = plan.load_data()
    _, model, _ = weights.open_default(name)
    console, changed = console or Console(quiet=True), bits is not None
    if calibrate:
        from zoo.training import calibration

        if not calibration.has_logits(plan, model, dataset.info):
            raise UsageError(f"{name} does not return the logits of classes: omit --calibrate")
        groups = splits.groups_of(dataset, "validation")
        found = calibration.calibrate(model, plan.feed(dataset, "validation"), groups=groups)
        console.print(f"{name}: {calibration.describe(found)}")
        changed |= found["after"] < found["before"]
    if bits is not None:
        packing.round_model(model, bits)
    result = result_of(evaluate_split(plan, model, dataset, "test"), name)
    console.print(f"{name}: {_differences(record['metrics'], result['metrics'])}")
    kept = {key: value for key, value in record.items() if key not in EVALUATED}
    if changed:
        write_atomic(file, packing.compact(model, packing.training_parts(model, plan.task.served(model).values())))
        kept |= {"metrics_of_the_run": record.get("metrics_of_the_run", record["metrics"])}
        kept |= {} if bits is None else {"bits": bits}
        _pin(name, sha256(file))
    weight_files.write_description(file, kept | {key: result[key] for key in EVALUATED if key in result})
    return result


def measure_all(console: Console) -> list[dict[str, Any]]:
    """Evaluate all shipped weights again, and write the tables and pages that show them; return what was evaluated."""
    import keras

    from docs import pages, tables
    from pipelines import DataError
    from zoo import weights

    results = []
    for name in weights.shipped_models():
        before = weights.description(name)
        try:
            results.append(result := measure(name, console=console))
        except DataError as error:
            console.print(f"{name}: not evaluated: {error}")
            continue
        verdicts = [{row: gain["verdict"] for row, gain in one.get("gains", {}).items()} for one in (before, result)]
        for row in sorted(verdicts[0].keys() | verdicts[1].keys()):
            old, new = (one.get(row, "not compared") for one in verdicts)
            if old != new:
                console.print(f"{name}, verdict over {row}: {old} to {new}")
        keras.backend.clear_session()
    tables.write()
    pages.write()
    return results


def _pin(name: str, digest: str) -> None:
    """Write the digest of shipped weights; a licence that is there stays."""
    file = weight_files.SHIPPED / weight_files.PINNED
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known[name] = {**known.get(name, {}), "sha256": digest}
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known))
    write_atomic(file, f"{{\n{lines}\n}}\n")


def _differences(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {before[name]:.4f} to {value:.4f}" for name, value in after.items() if name in before)


def _repetition(config: Mapping[str, Any], path: str | Path) -> tuple[str, dict[str, Any]]:
    """Return the seed and the metrics of a run of the same settings."""
    folder = RunFolder.open(path)
    other = folder.read("config.json")
    if different := [key for key in ("model", "arguments", "recipe") if other[key] != config[key]]:
        raise UsageError(f"{path} is not a repetition: its {different[0]} differs")
    return str(other["seed"]), folder.read("summary.json")["metrics"]


@click.command("ship")
@click.argument("source", metavar="RUN|NAME|all", type=click.Path())
@click.option("--omit", multiple=True, metavar="PART", help="A part of the model that is left out.")
@click.option("--repeat", "repeats", multiple=True, metavar="RUN", help="A run of the same settings with another seed.")
@click.option("--bits", type=click.IntRange(4, 11), help="Round matrices to so many bits, for a smaller file.")
@click.option("--calibrate", is_flag=True, help="Calibrate the probabilities of the default weights of NAME.")
@shell.common_options
def main(
    source: str, omit: tuple[str, ...], repeats: tuple[str, ...], bits: int | None, calibrate: bool, console: Console
) -> None:
    """Make the best weights of a finished run the default weights of its model, as files of this package.

    With the NAME of a model, its default weights are evaluated again, after --calibrate or --bits those that are
    changed, and the figures in their description replaced; with "all", those of each model whose data is available,
    and the tables and pages that show them. The verdicts over baselines that changed are printed.
    """
    if source == "all":
        if omit or repeats or calibrate or bits is not None:
            raise click.UsageError('"all" evaluates the weights as they are: omit the options.')
        console.result(measure_all(console))
        return
    if source in registry.entries():
        if omit or repeats:
            raise click.UsageError("--omit and --repeat are for a RUN.")
        console.result(measure(source, bits=bits, calibrate=calibrate, console=console))
    elif calibrate:
        raise click.UsageError("--calibrate is for the NAME of a model: a training calibrates its probabilities.")
    else:
        console.result(run(source, omit, repeats, bits=bits, console=console))


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.ship")
