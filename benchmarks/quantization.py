"""What int8 and int4 cost with and without training for them: python -m benchmarks.quantization [--measure] [MODEL...].

Each model is trained in float; then it is quantised after training, with ranges measured on 256 training examples, and
trained on with quantization, from the float weights, for a few epochs at a tenth of the learning rate (int4: for twice
as many). As a control the float model is trained on for as many epochs as int8. The files are those of the
export, run by LiteRT on the test split. Every drop is paired with the float model on the same rows, with its 95 %
interval. int4 weights need no file: rounded weights compute the same in float.

`--peer` trains one network with quantization here and by tensorflow_model_optimization 0.8.1 on tf_keras, on the same
data with the same epochs and seeds.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.benchmark import HERE, with_block
from export.runners.environments import Environment
from zoobase import console as shell
from zoobase.console import Console
from zoobase.files import write_atomic

RESULTS = HERE / "quantization.json"
PAGE = HERE.parent / "docs" / "how-to" / "quantization-aware-training.md"
MARKS = "<!-- measured -->", "<!-- /measured -->"
BUDGET = 0.005  # half a point of accuracy; of an error 1 % of its value
TFMOT = Environment(
    "tfmot",
    ("tensorflow-model-optimization==0.8.1", "mock"),
    "quantization-aware training by TensorFlow 2's library, on tf_keras",
    dependencies=False,
)
PEER_SEEDS, PEER_EPOCHS, PEER_ROWS = (0, 1, 2), 5, 10_000


@dataclass(frozen=True)
class Case:
    """A model of the zoo, how it is trained, and for how many epochs it is trained on with quantization."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 4
    recipe: str = "default"
    int8: bool = True
    int4: bool = True


CASES = {
    "mnist": Case("mnist", {"data": "fashion_mnist", "recipe.epochs": 4}, epochs=2),
    "mnist_cnn": Case("mnist_cnn", {"data": "fashion_mnist", "recipe.epochs": 3, "recipe.limit": 15_000}, epochs=1),
    "fashion_mnist": Case("fashion_mnist", {"recipe.epochs": 2, "recipe.limit": 20_000}, epochs=1, recipe="quick"),
    "fashion_mnist, small": Case(
        "fashion_mnist",
        {"recipe.epochs": 4, "model.filters": [8, 16], "model.depths": [1, 1]},
        epochs=2,
        recipe="quick",
    ),
    "bike_sharing": Case("bike_sharing", epochs=5),
    "unet": Case("unet", {"recipe.epochs": 2, "recipe.limit": 2000, "model.width": 8}, epochs=1, int4=False),
    "crepe": Case("crepe", {"recipe.epochs": 3, "model.capacity": 2}, epochs=1, int4=False),
    "efficientnet_lite0": Case(
        "efficientnet_lite0",
        {
            **{"data": "fashion_mnist", "task.height": 32, "task.width": 32, "model.width": 0.35, "model.depth": 0.5},
            **{"recipe.epochs": 4, "recipe.limit": 10_000, "recipe.augment": "flip", "recipe.learning_rate": 3e-3},
        },
        epochs=2,
        int4=False,
    ),
}


@dataclass(frozen=True)
class Subject:
    """A trained model with the inputs of one endpoint, which TFLite carries."""

    plan: Any
    model: Any
    endpoint: str
    inputs: Mapping[str, np.ndarray]
    calibration: Mapping[str, np.ndarray]
    evaluation: Any
    info: Any

    def contract(self, model: Any) -> Any:
        return self.plan.task.contract(model, self.info)


def subject_of(run: Path, dataset: Any) -> Subject:
    """Return the model of a run with its test examples; those of a table encoded, because TFLite takes no strings."""
    from zoo.core.run_folder import RunFolder
    from zoo.export import calibration_of, evaluation_of

    folder = RunFolder.open(run)
    plan, model = folder.plan(), folder.model()
    contract = plan.task.contract(model, dataset.info)
    endpoint = contract.endpoints[0]
    evaluation = evaluation_of(plan, dataset, endpoint, "test")
    inputs, calibration = evaluation.inputs, calibration_of(plan, dataset, endpoint)
    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    if "encoded" in {e.name for e in contract.endpoints}:
        endpoint = contract["encoded"]
        inputs, calibration = (_encoded(model, endpoint, rows) for rows in (inputs, calibration))
    else:
        inputs = {name: value.astype(dtypes[name]) for name, value in inputs.items()}
    return Subject(plan, model, endpoint.name, inputs, calibration, evaluation, dataset.info)


def _encoded(model: Any, endpoint: Any, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    import keras
    import tensorflow as tf

    core = model.get_layer("core")._inbound_nodes[0].arguments.args[0]
    encode = keras.Model(model.inputs, core)
    values = encode({x.name: tf.constant(rows[x.name]) for x in model.inputs})
    return {t.name: np.asarray(values[t.name.removesuffix("_id")]).astype(t.dtype) for t in endpoint.inputs}


def outputs_of_file(file: Path, endpoint: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what LiteRT computes for each row."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(file), num_threads=1).get_signature_runner(endpoint)
    rows = [run(**{k: v[i : i + 1] for k, v in inputs.items()}) for i in range(len(next(iter(inputs.values()))))]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def convert(subject: Subject, folder: Path, simulation: Any = None) -> Path:
    """Write the int8 file as an export does."""
    from export.formats import QUANTIZATIONS, tflite, with_formats

    contract = with_formats(subject.contract(subject.model))
    artifact = tflite.write_quantized(
        *(subject.model, contract, folder, QUANTIZATIONS["int8"], subject.calibration), simulation=simulation
    )
    artifact.finish()
    if artifact.state:
        raise RuntimeError(artifact.reason)
    return folder / artifact.path


def drop(subject: Subject, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the paired drop of the first metric."""
    from export.proof.evaluation import paired_drop

    evaluation = subject.evaluation
    (a, truth), (b, _) = (evaluation.reduce(outputs, evaluation.truth) for outputs in (before, after))
    return paired_drop(evaluation.metrics, a, b, truth)


def measure(case: Case, console: Console) -> dict[str, Any]:
    """Train a model in float, and quantise it in every way."""
    from export.contract.simulation import Simulation
    from export.formats import with_formats
    from export.parity.simulation import differences
    from export.proof.evaluation import run_live
    from zoo import train
    from zoo.compression import quantization

    start, result = time.monotonic(), {}
    with tempfile.TemporaryDirectory(prefix="quantization-") as scratch:
        out = Path(scratch)
        options = {"recipe": case.recipe, "evaluate": False, "export": False, "precision": "float32"}
        train.run(case.model, settings=dict(case.settings), out=out / "float", console=console, **options)
        from zoo.core.run_folder import RunFolder

        dataset = RunFolder.open(out / "float").dataset(None)
        subject = subject_of(out / "float", dataset)
        endpoint = subject.contract(subject.model)[subject.endpoint]
        reference = run_live(endpoint, subject.inputs)
        rate = subject.plan.recipe.learning_rate

        def trained(precision: str, epochs: int, rate: float) -> Subject:
            more = {"recipe.qat": precision, "recipe.epochs": epochs, "recipe.learning_rate": rate}
            more |= {"recipe.schedule": "cosine", "recipe.warmup": 0.0, "recipe.whiten": False}
            settings = {**case.settings, **more}
            folder = out / precision
            train.run(case.model, settings=settings, init=str(out / "float"), out=folder, console=console, **options)
            return subject_of(folder, dataset)

        control = trained("none", case.epochs, rate / 10)
        values = run_live(control.contract(control.model)[endpoint.name], subject.inputs)
        result["float trained on"] = drop(subject, reference, values)
        if case.int8:
            (out / "ptq").mkdir()
            file = convert(subject, out / "ptq")
            result["int8 after training"] = drop(
                subject, reference, outputs_of_file(file, endpoint.name, subject.inputs)
            )
            after = trained("int8", case.epochs, rate / 10)
            ranges = quantization.read_ranges(out / "int8" / "checkpoints" / "best.weights.h5")
            model = quantization.simulate(after.model, ranges)
            simulation = Simulation(model, with_formats(after.contract(model)), ranges)
            (out / "qat").mkdir()
            file = convert(after, out / "qat", simulation)
            values = outputs_of_file(file, endpoint.name, subject.inputs)
            result["int8 trained"] = drop(subject, reference, values)
            expected, name = run_live(simulation.contract[endpoint.name], subject.inputs), endpoint.outputs[0].name
            from export.formats.tflite import integer_tensors

            steps = integer_tensors(file.read_bytes(), endpoint.name)[1]
            if name in steps:
                result["equality"] = differences(expected[name], values[name], steps[name].scale)
            result["bytes"] = {"int8": file.stat().st_size}
        if case.int4:
            four = quantization.quantize(subject.model, "int4_weights")
            with quantization.rounded(four):
                result["int4 after training"] = drop(subject, reference, run_live(endpoint, subject.inputs))
            after = trained("int4_weights", 2 * case.epochs, rate / 10)
            values = run_live(after.contract(after.model)[endpoint.name], subject.inputs)
            result["int4 trained"] = drop(subject, reference, values)
    result |= {"seconds": round(time.monotonic() - start), "date": time.strftime("%Y-%m-%d"), "machine": machine()}
    return result


def machine() -> str:
    from zoo.training.autotune import processor

    return f"{os.cpu_count()} cores of {processor()}, Python {platform.python_version()}"


# === The same network by tensorflow_model_optimization ===


def peer(console: Console) -> dict[str, Any]:
    """Train one network with quantization by both libraries, each in a process of its own."""
    from export.runtime.installation import install
    from zoo.core.plan import make_plan

    install(TFMOT, console.print)
    found: dict[str, list[Any]] = {"ours": [], "tfmot": []}
    plan = make_plan("fashion_mnist")
    dataset = plan.load_data()
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        arrays = {}
        for split, count in (("train", PEER_ROWS), ("test", 10_000)):
            x, y = next(iter(plan.feed(dataset, split).batches(count)))
            arrays |= {f"{split}_x": np.asarray(x), f"{split}_y": np.asarray(y)}
        np.savez(data := Path(folder) / "data.npz", allow_pickle=False, **arrays)
        for seed in PEER_SEEDS:  # in turn, so that other load passes over both
            for name, rows in found.items():
                path = [str(HERE.parent), *([str(TFMOT.packages)] if name == "tfmot" else [])]
                environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
                environment |= {"TF_USE_LEGACY_KERAS": "1"} if name == "tfmot" else {}
                command = [
                    sys.executable,
                    str(HERE / "quantization_peer.py"),
                    name,
                    str(data),
                    str(seed),
                    str(PEER_EPOCHS),
                ]
                done = subprocess.run(command, env=environment, capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(done.stderr[-2000:])
                rows.append(json.loads(done.stdout.splitlines()[-1]))
                console.print(f"{name}, seed {seed}: {rows[-1]}")
    return {**found, "date": time.strftime("%Y-%m-%d"), "machine": machine()}


# === The page ===


def page(results: Mapping[str, Any]) -> str:
    """Return the page with the tables of the results between its marks."""
    return with_block(PAGE.read_text(encoding="utf-8"), MARKS, f"\n{tables(results)}\n")


def tables(results: Mapping[str, Any]) -> str:
    """Return the tables in Markdown."""
    models = {name: result for name, result in results.items() if name != "peer"}
    lines = []
    for kind, form in (("int8", "the int8 file"), ("int4", "int4 weights")):
        rows = {name: r for name, r in models.items() if f"{kind} trained" in r}
        lines += [
            f"| model | metric | float | float, trained on | {form} after training | quantization-aware training |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for name, r in rows.items():
            a, b = r[f"{kind} after training"], r[f"{kind} trained"]
            control = f"{r['float trained on']['drop']:+.4f}"
            lines.append(f"| {name} | {a['metric']} | {a['reference']:.4f} | {control} | {_drop(a)} | {_drop(b)} |")
        inside = [sum(_is_inside(r[f"{kind} {how}"]) for r in rows.values()) for how in ("after training", "trained")]
        lines += [
            "",
            f"Whole interval within the budget: {inside[0]} of {len(rows)} after training, {inside[1]} trained.",
            "",
        ]
    equal = {name: r["equality"] for name, r in models.items() if "equality" in r}
    lines += [
        "| int8 file | numbers | equal to the simulation | within one step | most steps |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, e in equal.items():
        numbers = f"{e['numbers']:,} | {e['equal']:.3%} | {e['within_one_step']:.3%} | {e['most_steps']:g}"
        lines.append(f"| {name} | {numbers} |")
    where = next(iter(models.values()))["machine"]
    lines += ["", f"Seed 0, {where}, beside other work; epochs and data as in `benchmarks/quantization.py`."]
    if peers := results.get("peer"):
        lines += [
            "",
            "| library | accuracy of the int8 file, seeds 0, 1, 2 | mean | seconds an epoch, median | in float |",
        ]
        lines += ["|---|---|---:|---:|---:|"]
        for name, title in (("ours", "`zoo.quantize`, Keras 3"), ("tfmot", "tfmot 0.8.1, tf_keras 2.21")):
            rows = peers[name]
            values, times = [r["accuracy"] for r in rows], [r["seconds"] for r in rows]
            floats = [r["float_seconds"] for r in rows]
            lines.append(
                f"| {title} | {', '.join(f'{v:.4f}' for v in values)} | {statistics.mean(values):.4f} | "
                f"{statistics.median(times):.1f} | {statistics.median(floats):.1f} |"
            )
    return "\n".join(lines)


def _is_inside(found: Mapping[str, Any]) -> bool:
    from export.parity.intervals import lower_is_better

    return found["high"] <= (2 * BUDGET if lower_is_better(found["metric"]) else BUDGET)


def _drop(found: Mapping[str, Any]) -> str:
    text = f"{found['drop']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
    return text if _is_inside(found) else f"**{text}**"


@click.command("quantization")
@click.argument("models", nargs=-1)
@click.option(
    "--measure", "is_measured", is_flag=True, help="Measure MODELS, or all of them; else only write the page."
)
@click.option("--peer", "with_peer", is_flag=True, help="Measure the comparison with tensorflow_model_optimization.")
@shell.common_options
def main(models: Sequence[str], is_measured: bool, with_peer: bool, console: Console) -> None:
    """Measure what quantization costs, and write the tables of docs/how-to/quantization-aware-training.md."""
    from zoo.core import environment

    environment.prepare()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in (models or CASES) if is_measured else ():
        results[name] = measure(CASES[name], console)
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")
        console.print(json.dumps({name: results[name]}))
    if with_peer:
        results["peer"] = peer(console)
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")
    write_atomic(PAGE, page(results))
    console.print(f"written: {PAGE}")
    console.result(results)


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.quantization")
