"""python -m zoo.export RUN: write every artifact of a run again and verify them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline import console as shell
from commandline.console import Console
from zoo.cli.options import check_quantize, quantize_option

if TYPE_CHECKING:
    import numpy as np

    from export.contract import Contract
    from pipelines.dataset import Dataset
    from zoo.core.plan import Plan
    from zoo.core.run_folder import Run

CALIBRATION = 256  # training examples on which the int8 ranges are calibrated
GOLDEN = 32  # real examples of the test split among the golden inputs
LARGEST = 2**23  # bytes of the golden outputs for them: fewer examples, if every pixel has an output


def run(
    path: str | Path,
    *,
    out: str | Path | None = None,
    quantize: Sequence[str] = (),
    max_drop: float = 0.01,
    dataset: Dataset | None = None,
    console: Console | None = None,
) -> list[dict[str, Any]]:
    """Export a run's best weights as verified bundles.

    Args:
        path: The run folder.
        out: Folder of the bundle; by default RUN/bundle. If the task serves several models, each gets OUT-SUFFIX.
        quantize: Quantised TFLite files to write as well: "float16", "dynamic", "int8". int8 is calibrated on the
            training split, and each file is evaluated by the task's first metric on the test split.
        max_drop: Largest allowed drop of that metric.
        dataset: The dataset that the run was trained on; loaded again if None.
        console: Receives progress; None prints nothing.

    Returns:
        For each bundle: path, verdict, and a row per artifact and runtime.

    Raises:
        UsageError: The path is not a run folder, the bundle exists, or another dataset than its own is given.
        MissingError: The data was in memory and is not given.
        export.ExportError: The verification of an artifact failed; the bundle is kept with a suffix such as ".failed".

    Example:
        >>> [bundle["verdict"] for bundle in run("runs/digits", out="bundle")]
        ['pass']
    """
    from zoo.core import environment

    console, quantize = console or Console(quiet=True), check_quantize(quantize)
    from zoo.core.run_folder import Run

    folder = Run.open(path)
    environment.prepare()
    from export import export_model
    from zoo.evaluation import outputs as inference

    plan, model = folder.plan(), folder.model()
    dataset = folder.dataset(dataset)
    info = dataset.info
    every = plan.task.served(model)
    out = Path(out) if out is not None else _unused_path(folder.path / "bundle", every)
    test = plan.feed(dataset, "test")
    bundles = []
    for suffix, served in every.items():
        contract = plan.task.contract(served, info)
        endpoint = contract["serving_default"]
        target = _target(out, suffix)
        bundle = export_model(
            served,
            target,
            contract=contract,
            samples=inference.samples(endpoint, test, min(GOLDEN, inference.examples_within(LARGEST, endpoint))),
            card=_card(folder, plan, suffix),
            assets=plan.task.bundle_assets(info),
            max_drop=max_drop,
            **(_quantization(plan, dataset, contract, quantize) if quantize else {}),
            metadata={"zoo": {"plan": plan.to_json(), "info": info.to_json(), "served": suffix}},
            progress=console.print,
        )
        certificate = bundle.certificate.to_json()
        rows = [summary(row, bundle.path) for row in certificate["artifacts"] if row["format"] != "reference"]
        bundles.append({"path": str(bundle.path), "verdict": certificate["verdict"], "artifacts": rows})
    return bundles


def _quantization(plan: Plan, dataset: Dataset, contract: Contract, quantize: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of quantised files: training examples for calibration, test examples for evaluation."""
    from export.proof.evaluation import Evaluation
    from zoo.core.task import Evaluation as Batch
    from zoo.evaluation import outputs as inference

    endpoint, info, task = contract["serving_default"], dataset.info, plan.task

    def reduce(outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        batch = task.reduce(Batch({}, outputs, truth, info))
        return batch.outputs, batch.truth

    return {
        "quantize": tuple(quantize),
        "calibration": inference.samples(endpoint, plan.feed(dataset, "train"), CALIBRATION, shuffled=True),
        "evaluation": Evaluation(
            *inference.inputs_and_truth(endpoint, plan.feed(dataset, "test")),
            metrics=lambda outputs, truth: task.metrics(outputs, truth, info),
            reduce=reduce,
        ),
    }


def _target(out: Path, suffix: str) -> Path:
    return out.with_name(f"{out.name}-{suffix}") if suffix else out


def _unused_path(path: Path, suffixes: Iterable[str]) -> Path:
    """Return `path`, or the first of path-2, path-3, ... that does not exist: no bundle is overwritten."""
    candidates = (path if i == 1 else path.with_name(f"{path.name}-{i}") for i in range(1, 10_000))
    return next(p for p in candidates if not any(_target(p, suffix).exists() for suffix in suffixes))


def _card(folder: Run, plan: Plan, suffix: str) -> dict[str, Any]:
    from zoo.core import registry

    spec, entry = registry.get_spec(plan.model), registry.get_entry(plan.model)
    info = folder.info()
    case = plan.task.describe_case(info, plan.arguments(info))
    return {
        "title": f"{plan.model}{' ' + suffix if suffix else ''}",
        "description": entry.summary,
        "licence": spec.card.licence,
        "data": f"{info.name}: " + "; ".join(filter(None, [info.source, f"licence {info.licence}", info.homepage])),
        "metrics": folder.metrics(),
        "command": plan.command(),
        "notes": " ".join(filter(None, [f"Reference: {spec.card.paper}.", spec.card.notes, case])),
        "code": dict(plan.task.code_snippets(info)),
        "images": sorted((folder.path / "figures").glob("*.png")),
    }


def summary(row: Mapping[str, Any], bundle: Path) -> dict[str, Any]:
    """Return the summary of a row of the certificate: state, largest difference, size."""
    outputs = [o for e in row.get("endpoints", {}).values() for o in e.get("outputs", {}).values()]
    path = bundle / row["artifact"]
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {
        "artifact": row["artifact"],
        "runtime": row["runtime"],
        "state": row["state"],
        "reason": row["reason"],
        "max_error": max((o["max_error"] for o in outputs if o.get("max_error") is not None), default=None),
        "bytes": sum(p.stat().st_size for p in files),
    }


def show(console: Console, bundle: Mapping[str, Any]) -> None:
    """Print the table of one bundle."""
    console.table(
        f"{bundle['path']}: {bundle['verdict']}",
        ["artifact", "runtime", "state", "largest error", "MB", ""],
        [
            (
                row["artifact"],
                row["runtime"],
                row["state"],
                "" if row["max_error"] is None else f"{row['max_error']:.1e}",
                f"{row['bytes'] / 1e6:.2f}" if row["bytes"] else "",
                row["reason"] or "",
            )
            for row in bundle["artifacts"]
        ],
    )


@click.command("export")
@click.argument("run_folder", metavar="RUN", type=click.Path())
@click.option("-o", "--out", type=click.Path(), help="Folder of the bundle.  [default: RUN/bundle, RUN/bundle-2, ...]")
@quantize_option
@click.option("--max-drop", default=0.01, show_default=True, help="Largest metric drop of a quantised file.")
@shell.common_options
def main(run_folder: str, out: str | None, quantize: tuple[str, ...], max_drop: float, console: Console) -> None:
    """Export the best weights of RUN again, in every format, and verify every artifact."""
    bundles = run(run_folder, out=out, quantize=quantize, max_drop=max_drop, console=console)
    for bundle in bundles:
        show(console, bundle)
        console.print(f"next: python -m export verify {bundle['path']}")
    console.result(bundles)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.export")
