"""The four cases of transfer learning on the photographs of `stamps`: python -m benchmarks.transfer [--measure].

227 photographs are divided into five parts, of each class equally many; each part is tested once by a model that was
trained on three of the others and validated on one. Figures are of all answers together, with the 95 % intervals of
`zoo.evaluate`, and are paired with a logistic regression on the same frozen features. With `--measure` the trainings
run (30 of them, of about a minute each); without it, the tables are written again.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.benchmark import HERE, with_block
from zoobase.files import write_atomic

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from zoo.core.task import SplitEvaluation

RESULTS = HERE / "transfer.json"
NOTES = HERE.parent / "docs" / "model_notes"
MARKS = "<!-- measured: python -m benchmarks.transfer -->", "<!-- /measured -->"
FOLDS = 5
POSITIVE = "vegetable"  # of skin_lesions: 18 of 227, and like fruits, as melanomas are rare, and like other moles
CASES = {  # (model, case) -> settings
    ("flowers", "head"): {},
    ("skin_lesions", "head"): {"task.positive": POSITIVE},
    ("landmarks", "head"): {},
    **{("flowers", case): {"task.policy": case} for case in ("earlier", "finetune", "full")},
}
METRICS = {
    "flowers": ("accuracy", "f1_macro"),
    "landmarks": ("accuracy", "top_3_accuracy", "top_5_accuracy"),
    "skin_lesions": ("accuracy", "auc", "average_precision", "sensitivity", "specificity"),
}


def folds(dataset: Dataset) -> list[Dataset]:
    """Divide all examples of a dataset: the test split of fold K is part K, its validation split part K + 1."""
    import tensorflow as tf

    splits = ("train", "validation", "test")
    rows = sorted((row for s in splits for row in dataset[s].as_numpy_iterator()), key=lambda row: row["file"])
    columns = {name: np.array([row[name] for row in rows], object if name != "label" else None) for name in rows[0]}
    labels, random, part = columns["label"], np.random.default_rng(0), np.empty(len(rows), int)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        part[members] = np.arange(len(members)) % FOLDS
    names, made = dataset.info.class_names, []
    for fold in range(FOLDS):
        where = {"test": part == fold, "validation": part == (fold + 1) % FOLDS}
        where["train"] = ~(where["test"] | where["validation"])
        counts = collections.Counter(names[label] for label in labels[where["train"]])
        info = dataclasses.replace(
            dataset.info,
            counts={s: int(where[s].sum()) for s in splits},
            statistics={**dataset.info.statistics, "class_counts": {name: counts[name] for name in names}},
            split=f"part {fold + 1} of {FOLDS}",
        )
        parts = {s: {name: tf.constant(values[where[s]].tolist()) for name, values in columns.items()} for s in splits}
        for columns_of in parts.values():
            columns_of["label"] = tf.cast(columns_of["label"], tf.int64)
        made.append(
            dataclasses.replace(dataset, **{s: tf.data.Dataset.from_tensor_slices(parts[s]) for s in splits}, info=info)
        )
    return made


def joined(parts: Sequence[SplitEvaluation]) -> SplitEvaluation:
    """Return one evaluation of all rows."""

    def rows(of: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([one[name] for one in of]) for name in of[0]}

    baselines = {name: rows([part.baselines[name] for part in parts]) for name in parts[0].baselines}
    truth = np.concatenate([part.truth for part in parts])
    outputs = rows([part.outputs for part in parts])
    groups = None if parts[0].groups is None else np.concatenate([part.groups for part in parts])
    return dataclasses.replace(parts[0], outputs=outputs, truth=truth, baselines=baselines, groups=groups)


def measure(model: str, settings: Mapping[str, Any], parts: Sequence[Dataset]) -> dict[str, Any]:
    """Train on each fold; return {"metrics", "intervals", "gains", "compared", "examples", "seconds"}."""
    from zoo import evaluate, train
    from zoo.core.run_folder import RunFolder
    from zoo.evaluation.intervals import with_intervals

    evaluations, seconds = [], []
    for number, dataset in enumerate(parts):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            options = {"export": False, "evaluate": False, "precision": "float32"}
            train.run(model, dataset=dataset, out=f"{scratch}/run", settings=dict(settings), **options)
            folder = RunFolder.open(f"{scratch}/run")
            plan = folder.plan()
            one = evaluate.evaluate_split(plan, folder.model(), dataset, "test", folder.baselines())
        evaluations.append(one)
        seconds.append(round(time.monotonic() - start, 1))
        print(f"{model} {dict(settings)} {number + 1}/{len(parts)}: {one.metrics['accuracy']:.4f}", flush=True)
    whole = joined(evaluations)
    whole = dataclasses.replace(whole, metrics=plan.task.metrics(whole.outputs, whole.truth, whole.info))
    metrics = with_intervals(plan.task, whole).metrics
    kept = {key: metrics[key] for key in ("intervals", "gains", "compared")}
    scalars = {name: metrics[name] for name in METRICS[model]}
    return {"metrics": scalars, **kept, "examples": len(whole.truth), "seconds": seconds}


def machine() -> str:
    """Return what the figures were measured on."""
    from zoo.training.autotune import processor

    return f"{os.cpu_count()} cores of {processor()} that other work shared"


def table(cases: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> str:
    """Return the table of a model: a row for each case, and one for the baseline of the first."""

    def row(name: str, values: Mapping[str, float], intervals: Mapping[str, Sequence[float]], gain: str) -> str:
        cells = [
            f"{values[m]:.3f}" + (f" ({intervals[m][0]:.3f} to {intervals[m][1]:.3f})" if m in intervals else "")
            for m in metrics
        ]
        return f"| {' | '.join([name, *cells, gain])} |"

    head = ["case", *(f"`{m}`" for m in metrics), "better than the baseline on its features by"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(metrics) + 1)}"]
    for name, case in cases.items():
        (gain,) = case["gains"].values()
        lines.append(
            row(
                f"`{name}`",
                case["metrics"],
                case["intervals"],
                f"{gain['gain']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})",
            )
        )
    (baseline,) = next(iter(cases.values()))["gains"]
    return "\n".join([*lines, row(baseline, next(iter(cases.values()))["compared"][baseline], {}, "")])


def write_notes(results: Mapping[str, Any]) -> None:
    """Write the tables between the marks of the models' notes."""
    for model in results.keys() & METRICS:
        path = NOTES / f"{model}.md"
        block = f"\n{table(results[model], METRICS[model])}\n\nMachine: {results['machine']}.\n"
        write_atomic(path, with_block(path.read_text(encoding="utf-8"), MARKS, block))


def main(arguments: Sequence[str]) -> None:
    """Measure what is not in transfer.json yet, and write the tables of the notes."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if "--measure" in arguments:
        from zoo.core import environment

        environment.prepare()
        import pipelines

        parts = folds(pipelines.load("stamps"))
        for (model, case), settings in CASES.items():
            if case not in results.setdefault(model, {}):
                results[model][case] = measure(model, settings, parts)
                results["machine"] = machine()
                write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")
    write_notes(results)


if __name__ == "__main__":
    main(sys.argv[1:])
