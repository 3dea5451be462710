"""python -m benchmarks.drift: how many windows without a shift `export drift` reports, and which shifts it finds.

The models are shipped ones. The statistics are of rows that the export takes, the windows are random rows of the test
split, which neither the training nor the statistics have seen; with a shift, the same rows after it.
"""

import json

import click
import numpy as np

from zoobase import console as shell
from zoobase.console import Console

RATE = 0.01


def setup(name):
    """Return the endpoint, the statistics, and the rows of the test split with the answers of a shipped model."""
    from export.contract import statistics
    from export.contract.statistics import collect
    from zoo import export, weights
    from zoo.evaluation import outputs as inference

    plan, model, info = weights.open_default(name)
    dataset = plan.load_data()
    endpoint = plan.task.contract(model, info).endpoints[0]

    def answers(inputs):
        count = len(next(iter(inputs.values())))
        parts = [endpoint.call({n: v[i : i + 500] for n, v in inputs.items()}) for i in range(0, count, 500)]
        return {key: np.concatenate([np.asarray(part[key]) for part in parts]) for key in parts[0]}

    rows = export._statistics(endpoint, plan, dataset)
    trained = collect(endpoint, rows["training"], statistics.answers(endpoint, rows["validation"]))
    # the test split of bike_sharing is of later months, which is a shift
    tested, _ = inference.inputs_and_truth(endpoint, plan.feed(dataset, "train" if name == "bike_sharing" else "test"))
    later, _ = inference.inputs_and_truth(endpoint, plan.feed(dataset, "test"))
    return endpoint, trained, tested, answers, later if name == "bike_sharing" else None


def columns_of(endpoint, trained, inputs, outputs):
    """Return the features of rows, and which rows are out of range, by input."""
    from export.contract.statistics import of_inputs, of_outputs, out_of_range

    texts = {name.removesuffix(".length") for name in trained.numbers if name.endswith(".length")}
    columns = of_inputs(endpoint.inputs, inputs, texts) | of_outputs(endpoint.outputs, outputs)
    return columns, {t.name: out_of_range(t, inputs[t.name]) for t in endpoint.inputs}


def is_alarm(trained, columns, outside, rows):
    """Return whether a window is an alarm."""
    from export.serving.drift import differences

    window = {name: column[rows] for name, column in columns.items()}
    counts = {name: (int(beyond[rows].sum()), len(rows)) for name, beyond in outside.items()}
    return bool(differences(trained, window, counts, RATE))


def shifts_of(endpoint, inputs):
    """Yield (name, shifted inputs)."""
    tensor = endpoint.inputs[0]
    value = inputs[tensor.name]
    some = np.random.default_rng(1).random(len(value))
    if tensor.meaning == "image":
        high = value.dtype.type(255)
        yield "blank images, 5 %", {tensor.name: np.where(some[:, None, None, None] < 0.05, high, value)}
        yield "inverted", {tensor.name: high - value}
        yield "half as bright", {tensor.name: (value * 0.5).astype(value.dtype)}
        yield "upside down", {tensor.name: value[:, ::-1]}
        noise = np.random.default_rng(2).integers(0, 256, value.shape).astype(value.dtype)
        yield "noise, 10 %", {tensor.name: np.where(some[:, None, None, None] < 0.1, noise, value)}
        return
    numbers = [t.name for t in endpoint.inputs if inputs[t.name].dtype.kind == "f"]
    if numbers:
        first = inputs[numbers[0]]
        yield "one column in another unit", inputs | {numbers[0]: (first * 2.54).astype(first.dtype)}
        yield "one column moved by half a deviation", inputs | {numbers[0]: first + first.dtype.type(first.std() / 2)}
        yield "one column missing in 5 %", inputs | {numbers[0]: np.where(some < 0.05, first.dtype.type(np.nan), first)}
    if tensor.meaning == "token":
        yield "texts of half the length", {tensor.name: np.where(np.arange(value.shape[1]) < 24, value, 0)}


@click.command("drift")
@click.option("--windows", default=1000, show_default=True, help="Windows without a shift.")
@click.option("--rows", default=200, show_default=True, help="Rows of a window.")
@shell.common_options
def main(windows: int, rows: int, console: Console) -> None:
    """Print the share of alarms for each model, without and with a shift."""
    results = {}
    for name in ("fashion_mnist", "mnist_cnn", "bike_sharing", "sentiment"):
        endpoint, trained, inputs, answers, later = setup(name)
        count = len(next(iter(inputs.values())))
        rng = np.random.default_rng(0)
        clean = columns_of(endpoint, trained, inputs, answers(inputs))
        chosen = [rng.choice(count, min(rows, count), replace=False) for _ in range(windows)]
        results[name] = {"no shift": sum(is_alarm(trained, *clean, c) for c in chosen) / windows}
        for shift, shifted in [*shifts_of(endpoint, inputs), *([("later months", later)] if later else [])]:
            columns = columns_of(endpoint, trained, shifted, answers(shifted))
            size = len(next(iter(shifted.values())))
            some = [rng.choice(size, min(rows, size), replace=False) for _ in range(100)]
            results[name][shift] = sum(is_alarm(trained, *columns, c) for c in some) / len(some)
        for shift, share in results[name].items():
            console.print(f"{name}, {rows} rows, {shift}: {share:.3f} alarms")
    console.result(json.loads(json.dumps(results)))


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.drift")
