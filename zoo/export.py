"""python -m zoo.export RUN|MODEL: write every artifact of a run, or of a model's default weights, and verify them."""

from __future__ import annotations

import itertools
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.contract.quantization import CALIBRATION_ROWS, MAX_DROP
from export.formats import QUANTIZATIONS
from pipelines.dataset import OWN
from zoo.cli.options import settings_options
from zoo.core import registry
from zoo.core.capabilities import DescribesData, GivesGoldenInputs, Rows, reduction
from zoo.core.plan import bundle_metadata
from zoo.core.recipe import QAT
from zoo.core.run_folder import RunFolder, check_source
from zoo.core.settings import check_quantize
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from export.contract import Contract, Endpoint
    from export.contract.simulation import Simulation
    from export.proof.evaluation import Evaluation
    from pipelines.dataset import Dataset, Info
    from zoo.core.plan import Plan

CALIBRATION = 256  # training examples on which ranges are measured
QUICK = ("saved_model", "tflite")  # what servers and devices run
DEVICE, DEVICES = ("tflite",), ("mediapipe", "litert_c", "tflite_micro")  # formats and further runtimes of devices
SEARCHED, FILES = 2000, 8  # test examples among which classes are searched; golden files, as many as "real" rows
MISTAKEN = 100  # test examples on which mistakes of applications are tried
GOLDEN = 32  # real examples of the test split among the golden inputs
SENTENCE = 400  # bytes of a text among them
MOST_STATISTICS = 2**23  # numbers in the examples whose statistics are written
LARGEST = 2**23  # bytes of the golden outputs for them: fewer examples, if every pixel has an output


@dataclass(frozen=True)
class _Source:
    """What is exported: a trained model, and what its card says."""

    plan: Plan
    model: keras.Model
    info: Info
    out: Path  # the folder of the bundle by default
    metrics: Mapping[str, Any]  # on the test split
    command: str  # that trained it
    images: Sequence[Path] = ()  # figures for the card
    provenance: Mapping[str, Any] = field(default_factory=dict)  # how it was trained, in the form of SLSA
    # 95 % intervals [low, high] of those metrics that have one
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    uncertainty: str = ""  # sentences about dependent examples, and about prediction sets or intervals
    ranges: Mapping[str, tuple[float, float]] | None = None  # of the activations, of a training for int8


def run(
    source: str | Path,
    *,
    out: str | Path | None = None,
    quantize: Sequence[str] = (),
    quick: bool = False,
    max_drop: float = MAX_DROP,
    device: bool = False,
    dataset: Dataset | None = None,
    console: Console | None = None,
) -> list[dict[str, Any]]:
    """Export a run's best weights, or the default weights of a model, as verified bundles.

    Args:
        source: The run folder, or the name of a model.
        out: Folder of the bundle; by default RUN/bundle or bundles/MODEL. If the task serves several models, each gets
            OUT-SUFFIX.
        quantize: Quantised files to write as well, such as "int8". Ranges are measured on the training split, and each
            file is evaluated by the task's first metric on the test split.
        quick: Whether to write the SavedModel and TFLite only, and not the Keras files.
        max_drop: Largest allowed drop of that metric.
        device: Whether to write TFLite files only, of the one endpoint that the libraries of devices open, and to run
            them in the runtimes of devices that are installed.
        dataset: The dataset that the run was trained on; loaded again if None.
        console: Receives progress; None prints nothing.

    Returns:
        For each bundle: path, verdict, and a row per artifact and runtime.

    Raises:
        UsageError: The path is neither a run folder nor a model with default weights, the bundle exists, or another
            dataset than its own is given.
        MissingError: The data was in memory and is not given.
        pipelines.DataError: The data is not available, and a run or a quantised file needs it.
        export.ExportError: The verification of an artifact failed; the bundle is kept with a suffix such as ".failed".

    Example:
        >>> [bundle["verdict"] for bundle in run("runs/digits", out="bundle")]
        ['pass']
    """
    from zoo.core import environment

    console, quantize = console or Console(quiet=True), check_quantize(quantize)
    check_source(Path(source))
    shipped = not Path(source).exists()
    if shipped and dataset is not None:
        raise UsageError(f"the default weights of {source} were trained on their own data: omit dataset")
    environment.prepare()
    if shipped:
        exported = _of_default_weights(str(source))
        dataset = exported.plan.load_data() if quantize else _load_if_available(exported.plan, console)
    else:
        exported, dataset = _of_run(source, dataset)
        quantize = with_trained(quantize, exported.plan)
    if device:
        return _export(exported, dataset, out, quantize, DEVICE, max_drop, console, DEVICES)
    return _export(exported, dataset, out, quantize, QUICK if quick else None, max_drop, console)


def with_trained(quantize: Sequence[str], plan: Plan) -> tuple[str, ...]:
    """Return the quantised files of a run: those that are asked for, and the one that it was trained for."""
    return tuple(dict.fromkeys([*quantize, *QAT[plan.recipe.qat]]))


def check_data(plan: Plan, info: Info, quantize: Sequence[str]) -> None:
    """Raise UsageError if quantised files of this data cannot pass, before a training of hours ends in that."""
    # Ranges are measured on training examples. A drop of a share of N examples has an interval of at least 3 / N.
    counts = info.counts
    for kind in QAT[plan.recipe.qat]:
        QUANTIZATIONS[kind].check_installed()
        if isinstance(plan.task, Rows) and QUANTIZATIONS[kind].is_calibrated:
            raise UsageError(
                f"the {kind} file of {plan.model} would take encoded columns, for which there are no test examples: "
                "set recipe.qat=int8_weights, or train with --no-export"
            )
    measured = [kind for kind in quantize if QUANTIZATIONS[kind].is_calibrated]
    measured = [kind for kind in measured if kind not in QAT[plan.recipe.qat]]
    if measured and counts["train"] < CALIBRATION_ROWS:
        raise UsageError(
            f"--quantize {','.join(measured)} measures ranges on at least {CALIBRATION_ROWS} training examples, and "
            f"{info.name} has {counts['train']}: omit {' and '.join(measured)}, or give more data"
        )
    if quantize and plan.task.counts_examples and (least := 3 / counts["test"]) > MAX_DROP:
        raise UsageError(
            f"--quantize {','.join(quantize)} allows a drop of {MAX_DROP}, and the {counts['test']} test examples of "
            f"{info.name} cannot show less than {least:.3f}, even if no answer changes: omit it, give at least "
            f"{round(3 / MAX_DROP)}, or run python -m zoo.export RUN with --max-drop"
        )


def _of_run(path: str | Path, dataset: Dataset | None) -> tuple[_Source, Dataset]:
    from zoo.compression.quantization import read_ranges
    from zoo.training.provenance import describe

    folder = RunFolder.open(path)
    plan, dataset = folder.plan(), folder.dataset(dataset)
    figures = sorted((folder.path / "figures").glob("*.png"))
    facts = (folder.path / "bundle", metrics := folder.metrics(), plan.command(), figures)
    evaluation = folder.read("evaluation.json") if metrics else {}
    model = folder.model()
    ranges = None if plan.recipe.qat == "none" else read_ranges(folder.weights)
    provenance = describe(plan, dataset.info, model, folder.read("config.json"), metrics)
    return _Source(plan, model, dataset.info, *facts, provenance, ranges=ranges, **_uncertainty(evaluation)), dataset


def _uncertainty(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the card says of how sure the figures and the predictions are."""
    from zoo.evaluation import conformal

    coverage = f"{conformal.describe(evaluation['conformal'])}." if "conformal" in evaluation else ""
    notes = " ".join(filter(None, [evaluation.get("dependence", ""), coverage]))
    return {"intervals": evaluation.get("intervals", {}), "uncertainty": notes}


def _of_default_weights(name: str) -> _Source:
    from zoo import weights
    from zoo.training.provenance import describe

    if "default" not in registry.get_spec(name).weights:
        raise UsageError(
            f"{name} has no default weights: train it first, python -m zoo.train {name}, and export the run"
        )
    plan, model, info = weights.open_default(name)
    facts = weights.description(name)
    metrics = {key: value for key, value in facts["metrics"].items() if isinstance(value, int | float)}
    provenance = describe(plan, info, model, {**facts, "command": shlex.split(facts["command"])}, metrics)
    more = {"provenance": provenance, **_uncertainty(facts)}
    return _Source(plan, model, info, Path("bundles") / name, metrics, facts["command"], **more)


def _load_if_available(plan: Plan, console: Console) -> Dataset | None:
    """Return the dataset; None, said in one line, where it is not available here."""
    from zoobase.errors import DataError

    try:
        return plan.load_data()
    except DataError as error:
        console.print(f"{plan.model}: without real examples among the golden inputs ({error})")
        return None


def _export(
    source: _Source,
    dataset: Dataset | None,
    out: str | Path | None,
    quantize: Sequence[str],
    formats: Sequence[str] | None,
    max_drop: float,
    console: Console,
    extras: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Write a bundle for each model that the task serves; without a dataset the golden inputs are generated."""
    from export import Checks, Documents, Quantization
    from export.contract.endpoints import device_contract
    from export.exporter import export_model
    from zoo.evaluation import outputs as inference

    plan, info = source.plan, source.info
    every = plan.task.served(source.model)
    path = Path(out) if out is not None else _unused_path(source.out, every)
    bundles = []
    examples = _by_class(dataset, MISTAKEN) if dataset else []
    for suffix, served in every.items():
        contract = plan.task.contract(served, info)
        contract = device_contract(contract) if formats == DEVICE else contract
        endpoint = contract.endpoints[0]
        count = min(GOLDEN, inference.examples_within(LARGEST, endpoint))
        samples, files = _golden(plan, dataset, endpoint, examples[:count]) if examples else (None, {})
        mistakes = _mistakes(endpoint, info, examples) if examples and formats is None else {}
        samples = samples and _texts(contract, examples[:count]) | samples
        if samples and isinstance(plan.task, GivesGoldenInputs):
            samples = plan.task.golden_inputs(samples)
        with_statistics = dataset and formats != DEVICE
        bundle = export_model(
            served,
            _target(path, suffix),
            contract=contract,
            samples=samples,
            **({"formats": formats} if formats else {}),
            documents=Documents(
                _card(source, suffix) | ({"input_mistakes": mistakes} if mistakes else {}),
                files if formats == DEVICE else {**plan.task.bundle_assets(info), **files},
                bundle_metadata(plan, info, suffix) | {"provenance": source.provenance},
            ),
            quantization=Quantization(
                quantize,
                calibration_of(plan, dataset, endpoint) if quantize else None,
                evaluation_of(plan, dataset, endpoint, "test") if quantize else None,
                max_drop,
                simulation=simulation_of(plan, info, served, source.ranges) if "int8" in quantize else None,
            ),
            checks=Checks(extras=extras, **(_statistics(endpoint, plan, dataset) if with_statistics else {})),
            progress=console.print,
        )
        certificate = bundle.certificate.to_json()
        rows = [summary(row, bundle.path) for row in certificate["artifacts"] if row["format"] != "reference"]
        bundles.append({"path": str(bundle.path), "verdict": certificate["verdict"], "artifacts": rows})
    return bundles


def _by_class(dataset: Dataset, count: int) -> list[dict[str, Any]]:
    """Return test examples as they are stored, of every class in turn, or the first ones where there are no classes."""
    split = dataset["test"]
    is_labelled = "label" in split.element_spec and split.element_spec["label"].shape == ()
    labels = [int(row) for row in split.take(SEARCHED).map(lambda row: row["label"])] if is_labelled else []
    ranks: dict[int, Iterator[int]] = defaultdict(itertools.count)
    order = [i for _, _, i in sorted((next(ranks[label]), label, i) for i, label in enumerate(labels))][:count]
    if not order:
        return list(split.take(count).as_numpy_iterator())
    stored = dict(zip(sorted(order), _rows(split, order).as_numpy_iterator(), strict=True))
    return [stored[i] for i in order]


def _rows(split: tf.data.Dataset, positions: Sequence[int]) -> tf.data.Dataset:
    """Return the examples at these positions, in the order of the split."""
    import numpy as np
    import tensorflow as tf

    chosen = np.zeros(max(positions) + 1, bool)
    chosen[positions] = True
    mask = tf.constant(chosen)
    return split.take(len(chosen)).enumerate().filter(lambda i, _: mask[i]).map(lambda _, row: row)


def _golden(
    plan: Plan, dataset: Dataset, endpoint: Endpoint, examples: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, np.ndarray], dict[str, bytes]]:
    """Return the inputs of test examples, and the files of the first ones where they are files."""
    import tensorflow as tf

    from export.inputs import golden_files
    from zoo.evaluation import outputs as inference

    info, spec = dataset.info, dataset["test"].element_spec
    rows = tf.data.Dataset.from_generator(lambda: iter(examples), output_signature=spec)
    feed = plan.task.examples(rows, info, plan.recipe, plan.arguments(info), False)
    samples = inference.samples(endpoint, feed, len(examples))
    tensor = next((t for t in endpoint.inputs if t.preprocessing is not None), None)
    if tensor is None or not plan.task.feeds_files:
        return samples, {}
    first, names = examples[:FILES], info.class_names or ()
    contents = [golden_files.content_of(example, tensor.preprocessing, tensor.sample_rate) for example in first]
    return samples, golden_files.names(
        contents, [names[row["label"]] if names and "label" in row else "" for row in first]
    )


def _texts(contract: Contract, examples: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the short texts among examples, for an endpoint that takes them as they are."""
    import numpy as np

    names = {t.name for e in contract.endpoints for t in e.inputs if t.meaning == "text" and len(t.shape) == 1}
    texts = {name: [row.get(name) for row in examples] for name in names}
    short = {n: [v for v in values if isinstance(v, bytes) and len(v) <= SENTENCE] for n, values in texts.items()}
    return {name: np.array(values, object) for name, values in short.items() if values}


def _mistakes(endpoint: Endpoint, info: Info, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the accuracy of a classifier of images under mistakes of applications; {} for another model."""
    from export.contract import Contract
    from export.contract.preprocessing import ImagePreprocessing
    from export.inputs.mistakes import accuracies
    from zoo.evaluation import outputs as inference

    tensor = endpoint.inputs[0]
    scores = endpoint.outputs[0]
    is_classifier = scores.meaning in ("logits", "probabilities") and len(scores.shape) == 2
    if not (isinstance(tensor.preprocessing, ImagePreprocessing) and is_classifier and "label" in examples[0]):
        return {}
    call = inference.caller(Contract((endpoint,)))
    files, truth = [row["image"] for row in examples], [int(row["label"]) for row in examples]
    return accuracies(lambda images: call(endpoint.name, {tensor.name: images}), endpoint, tensor, files, truth)


def _statistics(endpoint: Endpoint, plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """Return examples, random ones of each split, with whose statistics requests to a server are compared."""
    if not (training := _random_rows(endpoint, plan, dataset, "train")):
        return {}
    unseen = _random_rows(endpoint, plan, dataset, "validation") or _random_rows(endpoint, plan, dataset, "test")
    return {"training": training, "validation": unseen}


def _random_rows(endpoint: Endpoint, plan: Plan, dataset: Dataset, split: str) -> dict[str, Any] | None:
    """Return the inputs of random examples, fewer of large inputs; None if there are too few."""
    import numpy as np

    from export.contract.statistics import LEAST_ROWS, ROWS
    from zoo.evaluation import outputs as inference

    total = dataset.info.counts.get(split, 0)
    if total < LEAST_ROWS:
        return None
    rows = _rows(dataset[split], np.random.default_rng(0).permutation(total)[:ROWS])
    feed = plan.task.examples(rows, dataset.info, plan.recipe, plan.arguments(dataset.info), False)
    numbers = sum(value.size for value in inference.samples(endpoint, feed, 1).values())
    count = min(ROWS, MOST_STATISTICS // max(1, numbers), inference.examples_within(LARGEST, endpoint))
    return inference.samples(endpoint, feed, count) if count >= LEAST_ROWS else None


def open_source(source: str | Path) -> tuple[Plan, keras.Model, Dataset, Mapping[str, tuple[float, float]] | None]:
    """Return plan, model, dataset and ranges (None: not trained for int8) of a run or a model."""
    check_source(Path(source))
    if Path(source).exists():
        exported, dataset = _of_run(source, None)
    else:
        exported = _of_default_weights(str(source))
        dataset = exported.plan.load_data()
    return exported.plan, exported.model, dataset, exported.ranges


def calibration_of(plan: Plan, dataset: Dataset, endpoint: Endpoint) -> dict[str, np.ndarray]:
    """Return the inputs of training examples, by which ranges are measured."""
    from zoo.evaluation import outputs as inference

    return inference.samples(endpoint, plan.feed(dataset, "train"), CALIBRATION, shuffled=True)


def evaluation_of(plan: Plan, dataset: Dataset, endpoint: Endpoint, split: str) -> Evaluation:
    """Return the examples of a split with their truth, and the metrics of the task."""
    import numpy as np

    from export.parity.intervals import parts_of
    from export.proof.evaluation import Evaluation
    from pipelines import splits
    from zoo.core.task import SplitEvaluation
    from zoo.evaluation import outputs as inference
    from zoo.evaluation.intervals import is_ordered

    info, task = dataset.info, plan.task

    def logits_of(outputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return what metrics take: logits, of which softmax makes the probabilities."""
        if "probabilities" not in outputs or endpoint.outputs[0].name != "probabilities":
            return outputs
        return {"logits": np.log(np.maximum(outputs["probabilities"], np.finfo(np.float32).tiny))}

    def reduce(outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        batch = reduction(task)(SplitEvaluation({}, logits_of(outputs), truth, info))
        return batch.outputs, batch.truth

    arrays, truth = inference.inputs_and_truth(endpoint, plan.feed(dataset, split))
    groups = splits.groups_of(dataset, split)
    if groups is None and is_ordered(task, info):
        groups = parts_of(len(truth), None, blocks=True)  # of neighbours
    return Evaluation(
        arrays,
        truth,
        metrics=lambda outputs, truth: task.metrics(logits_of(outputs), truth, info),
        reduce=reduce,
        endpoint=endpoint.name,
        groups=groups,
    )


def simulation_of(
    plan: Plan, info: Info, served: keras.Model, ranges: Mapping[str, tuple[float, float]] | None
) -> Simulation | None:
    """Return what the int8 file of a model that was trained for it computes; None without ranges."""
    from export.contract.simulation import Simulation
    from zoo.compression.quantization import simulate

    if ranges is None:
        return None
    model = simulate(served, ranges)
    return Simulation(model, plan.task.contract(model, info), ranges)


def _target(out: Path, suffix: str) -> Path:
    return out.with_name(f"{out.name}-{suffix}") if suffix else out


def _unused_path(path: Path, suffixes: Iterable[str]) -> Path:
    """Return `path`, or the first of path-2, path-3, ... that does not exist: no bundle is overwritten."""
    candidates = (path if i == 1 else path.with_name(f"{path.name}-{i}") for i in range(1, 10_000))
    return next(p for p in candidates if not any(_target(p, suffix).exists() for suffix in suffixes))


def _card(source: _Source, suffix: str) -> dict[str, Any]:
    from zoo.candidates.selection import title_of

    plan, info = source.plan, source.info
    spec, entry = registry.get_spec(plan.model), registry.get_entry(plan.model)
    task = plan.task
    case = task.describe_case(info, plan.arguments(info)) if isinstance(task, DescribesData) else ""
    is_default = info.name in (spec.data, spec.card.test_data)
    reference = f"Reference: {spec.card.paper}." if is_default or not spec.card.describes_data else ""
    summary = f"{plan.title}, a Keras model of one's own, for {task.title}." if plan.network else entry.summary
    facts = [OWN] if info.is_own else [info.source, f"licence {info.licence}", info.homepage]
    chosen = title_of(plan, info) if plan.selected else ""
    either = "either" if plan.members else "a network"
    limitations = spec.card.limitations if is_default else spec.card.notes
    return {
        "title": f"{plan.title}{' ' + suffix if suffix else ''}",
        "description": f"{chosen.capitalize()}, selected in place of {either}. {summary}" if chosen else summary,
        "licence": None if info.is_own else spec.card.licence,
        "data": f"{info.name}: " + "; ".join(filter(None, facts)),
        "metrics": source.metrics,
        "intervals": source.intervals,
        "command": source.command,
        "notes": " ".join(
            filter(None, [*([] if plan.network else [reference, limitations, case]), source.uncertainty])
        ),
        "code": dict(task.code_snippets(info)),
        "images": source.images,
    }


def summary(row: Mapping[str, Any], bundle: Path) -> dict[str, Any]:
    """Return the summary of a row of the certificate: state, largest difference, metric drop, size."""
    outputs = [o for e in row.get("endpoints", {}).values() for o in e.get("outputs", {}).values()]
    path = bundle / row["artifact"]
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {
        "artifact": row["artifact"],
        "runtime": row["runtime"],
        "state": row["state"],
        "reason": row["reason"],
        "max_error": max((o["max_error"] for o in outputs if o.get("max_error") is not None), default=None),
        "drop": next((e["evaluation"]["drop"] for e in row.get("endpoints", {}).values() if "evaluation" in e), None),
        "bytes": sum(p.stat().st_size for p in files),
    }


def show(console: Console, bundle: Mapping[str, Any]) -> None:
    """Print the table of one bundle."""
    console.table(
        f"{bundle['path']}: {bundle['verdict']}",
        ["artifact", "runtime", "state", "largest error", "MB"],
        [
            (
                row["artifact"],
                row["runtime"],
                row["state"],
                "" if row["max_error"] is None else f"{row['max_error']:.1e}",
                f"{row['bytes'] / 1e6:.2f}" if row["bytes"] else "",
            )
            for row in bundle["artifacts"]
        ],
    )
    for row in filter(lambda row: row["reason"], bundle["artifacts"]):
        console.print(f"{row['artifact']}, {row['runtime']}: {row['reason']}")


@click.command("export")
@click.argument("source", metavar="RUN|MODEL", type=click.Path())
@click.option("-o", "--out", type=click.Path(), help="Folder of the bundle.  [default: RUN/bundle or bundles/MODEL]")
@settings_options("quick", "quantize")
@click.option("--max-drop", type=float, help=f"Largest metric drop of a quantised file.  [default: {MAX_DROP}]")
@shell.common_options
def main(source: str, out: str | None, max_drop: float | None, given: dict[str, Any], console: Console) -> None:
    """Export the best weights of RUN, or the default weights of MODEL, in every format, and verify every artifact.

    `python -m zoo weights` lists the models with default weights.
    """
    if max_drop is not None:
        if "quantize" not in given:
            raise UsageError("--max-drop is about quantised files: give --quantize as well")
        given["max_drop"] = max_drop
    bundles = run(source, out=out, console=console, **given)
    for bundle in bundles:
        show(console, bundle)
        console.print(f"next: python -m export verify {bundle['path']}")
    console.result(bundles)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.export")
