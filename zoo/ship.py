"""python -m zoo.ship RUN: make the best weights of a run the default weights of its model, as files of the package.

What is not needed is left out, and matrices are float16.

Matrices may also be rounded to 8 bits. They stay float16, so that any reader of the file gets them: as their values are
multiples of a power of two, most of their bits are zero, which compresses well.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from zoo.core import registry, weight_files
from zoo.core.run_folder import RunFolder
from zoo.core.weight_files import OMITTED
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError, unknown
from zoobase.files import sha256, write_atomic

if TYPE_CHECKING:
    import h5py
    import keras

    from pipelines.dataset import Dataset
    from zoo.core.plan import Plan

SMALL = 64  # values of an array that is written as it is
FLOAT16 = 65504  # the largest float16
SMALLEST = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
EVALUATED = (
    "metrics",
    "intervals",
    "compared",
    "gains",
    "conformal",
    "examples",
)  # keys of an evaluation in the description
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
        bits: Round the matrices to so many bits, see `rounded`. The metrics of the rounded weights on the test split
            are measured and recorded, beside those of the run.
        console: Receives messages; None prints nothing.

    Returns:
        {"model", "file", "sha256", "bytes", "arguments", "metrics", "omitted"}, for `weights=` in the model's file.

    Raises:
        UsageError: The run is not finished, its bundle was not verified, its weights are too large to ship, the model
            has no such part, or a repetition has other settings.
    """
    from zoo.core import environment

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
    parts = {name for name, value in vars(model).items() if _has_weights(value)}
    if missing := sorted(set(omit) - parts):
        raise unknown(f"part of {model.name}", missing[0], parts)
    omitted = sorted({*omit, *_training_parts(model, folder.plan().task.served(model).values(), parts)})
    metrics = summary["metrics"]
    if bits is not None:
        _round(model, bits)
        metrics = _test_metrics(folder.plan(), model, folder.dataset(None))
        console.print(f"rounded to {bits} bits: {_differences(summary['metrics'], metrics)}")
    content = compact(model, omitted)
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
    console.print(f"written: {target} and its .json; next, in the file of {entry['model']}:")
    console.print(f'weights={{"default": Weights("{entry["file"]}", sha256="{entry["sha256"]}")}}')
    return entry


def measure(name: str, *, bits: int | None = None, console: Console | None = None) -> dict[str, Any]:
    """Evaluate the shipped weights of a model again on the test split of its data, and update their description.

    Args:
        name: The model.
        bits: First round the matrices of the file to so many bits, for a smaller one, see `rounded`.
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
    if bits is not None:
        _round(model, bits)
    result = result_of(evaluate_split(plan, model, dataset, "test"), name)
    console = console or Console(quiet=True)
    console.print(f"{name}: {_differences(record['metrics'], result['metrics'])}")
    kept = {key: value for key, value in record.items() if key not in EVALUATED}
    if bits is not None:
        parts = {part for part, value in vars(model).items() if _has_weights(value)}
        write_atomic(file, compact(model, _training_parts(model, plan.task.served(model).values(), parts)))
        kept |= {"bits": bits, "metrics_of_the_run": record.get("metrics_of_the_run", record["metrics"])}
        console.print(f'next, in the file of {name}: Weights("{file.name}", sha256="{sha256(file)}")')
    weight_files.write_description(file, kept | {key: result[key] for key in EVALUATED if key in result})
    return result


def _round(model: keras.Model, bits: int) -> None:
    """Round the matrices of a model in place."""
    for variable in model.variables:
        if variable.trainable and len(variable.shape) > 1:
            variable.assign(rounded(variable.numpy(), bits))


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Return weights (..., N) as multiples of a power of two, one for each of the N columns.

    Args:
        values: Weights, as of a layer whose last axis are its outputs.
        bits: The largest multiple of a column is below 2 ** (bits - 1).

    Returns:
        Float array of the same shape.

    Example:
        >>> rounded(np.array([[1.27, 0.3], [0.1, 0.0]]), bits=3).tolist()
        [[1.5, 0.25], [0.0, 0.0]]
    """
    largest = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
    exponents = np.ceil(np.log2(np.where(largest > 0, largest, 1) / (2 ** (bits - 1) - 1)))
    steps = np.exp2(exponents).astype(values.dtype)
    return np.round(values / steps) * steps


def _test_metrics(plan: Plan, model: keras.Model, dataset: Dataset) -> dict[str, float]:
    from zoo.core.task import first_metrics
    from zoo.evaluate import evaluate_split

    return dict(first_metrics(evaluate_split(plan, model, dataset, "test").metrics))


def _differences(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {before[name]:.4f} to {value:.4f}" for name, value in after.items() if name in before)


def _repetition(config: Mapping[str, Any], path: str | Path) -> tuple[str, dict[str, Any]]:
    """Return the seed and the metrics of a run of the same settings."""
    folder = RunFolder.open(path)
    other = folder.read("config.json")
    if different := [key for key in ("model", "arguments", "recipe") if other[key] != config[key]]:
        raise UsageError(f"{path} is not a repetition: its {different[0]} differs")
    return str(other["seed"]), folder.read("summary.json")["metrics"]


def compact(model: keras.Model, omitted: Collection[str] = ()) -> bytes:
    """Return the weights file of a model, without the optimizer's state and the omitted parts, in float16.

    Arrays of one dimension, small ones, and those with values beyond the range of float16 stay float32.
    """
    import h5py

    from zoo.core.weight_files import content_of

    source, target = io.BytesIO(content_of(model)), io.BytesIO()
    with h5py.File(source) as whole, h5py.File(target, "w") as file:
        file.attrs.update(whole.attrs)
        groups = [_group(model, name, whole) for name in omitted]
        file.attrs[OMITTED] = groups

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if f"{name}/".startswith(tuple(f"{group}/" for group in groups)):
                return
            if isinstance(item, h5py.Group):
                file.require_group(name).attrs.update(item.attrs)
                return
            values = item[()]
            if np.size(values) <= SMALL:
                file.create_dataset(name, data=values)
                return
            half = np.ndim(values) > 1 and values.dtype == np.float32 and np.abs(values).max() < FLOAT16
            file.create_dataset(name, data=values.astype(np.float16) if half else values, **SMALLEST)

        whole.visititems(copy)
    return target.getvalue()


def _group(model: keras.Model, name: str, whole: h5py.File) -> str:
    """Return the group of a weights file in which Keras stores a part of a model.

    It has the name of the attribute, or for some layers, `layers/` and a number after the name of the class: found by
    its values.
    """
    if name in whole:
        return name
    values, found = getattr(model, name).get_weights(), []
    for group in (f"layers/{entry}" for entry in whole["layers"]):
        stored = whole[group]["vars"]
        if len(stored) == len(values) and all(np.array_equal(stored[str(i)], v) for i, v in enumerate(values)):
            found.append(group)
    if len(found) != 1:
        raise UsageError(f"{len(found)} groups of the weights file of {model.name} have the values of {name}, not one")
    return found[0]


def _training_parts(model: keras.Model, served: Collection[keras.Model], parts: Collection[str]) -> list[str]:
    """Return those parts of a model of which no served model has a weight."""
    used = {id(variable) for one in served for variable in one.variables}
    return [name for name in parts if not any(id(v) in used for v in getattr(model, name).variables)]


def _has_weights(value: Any) -> bool:
    import keras

    return isinstance(value, keras.layers.Layer) and bool(value.variables)


@click.command("ship")
@click.argument("source", metavar="RUN|NAME", type=click.Path())
@click.option("--omit", multiple=True, metavar="PART", help="A part of the model that is left out.")
@click.option("--repeat", "repeats", multiple=True, metavar="RUN", help="A run of the same settings with another seed.")
@click.option("--bits", type=click.IntRange(4, 11), help="Round matrices to so many bits, for a smaller file.")
@shell.common_options
def main(source: str, omit: tuple[str, ...], repeats: tuple[str, ...], bits: int | None, console: Console) -> None:
    """Make the best weights of a finished run the default weights of its model, as files of this package.

    With the NAME of a model, its default weights are evaluated again, after --bits those that are rounded, and the
    figures in their description replaced.
    """
    if source in registry.entries():
        if omit or repeats:
            raise click.UsageError("--omit and --repeat are for a RUN.")
        console.result(measure(source, bits=bits, console=console))
    else:
        console.result(run(source, omit, repeats, bits=bits, console=console))


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.ship")
