"""Every shipped model on GPU kernels: python -m benchmarks.gpu [--measure tflite|onnx|browser] [--flips] [MODEL...].

Each shipped model is exported to TFLite and proven in `litert_gpu` and, on the test split, `litert_gpu_half`, and in
`browser_webgpu`, and to ONNX and proven in `onnxruntime_webgpu`. With `--measure` the models that are named, or all,
are run again; with `--flips` the decisions of `FLIPS` on examples of the test split are compared; without both, the
tables in the page are written again.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.benchmark import HERE, with_block
from zoobase.console import Console
from zoobase.files import write_atomic

RESULTS = HERE / "gpu.json"
PAGE = HERE.parent / "docs" / "how-to" / "gpu.md"
FILES = "<!-- measured: python -m benchmarks.gpu -->", "<!-- /measured -->"
DECISIONS = "<!-- measured: python -m benchmarks.gpu --flips -->", "<!-- /measured -->"
RUNTIMES = ("litert_gpu", "litert_gpu_half")
KINDS = {"tflite": RUNTIMES, "browser": ("browser_webgpu",), "onnx": ("onnxruntime_webgpu",)}
FLIPS = {"fashion_mnist": 500, "mnist": 2000, "keywords": 200}  # examples
ACROSS = ("cpu", "gpu")


def measure(name: str, kind: str, folder: Path) -> list[dict[str, Any]]:
    """Export what a model serves, and return a record of each file."""
    from export import Checks, Quantization, export_model
    from zoo.export import evaluation_of
    from zoo.weights import open_default
    from zoobase.errors import ExportError

    plan, model, info = open_default(name)
    data, records = plan.load_data() if kind == "tflite" else None, []
    for suffix, served in plan.task.served(model).items():
        record: dict[str, Any] = {"model": name, "part": suffix, "format": kind, "rows": {}}
        formats = ("keras", "onnx" if kind == "onnx" else "tflite")
        options = {"formats": formats, "checks": Checks(extras=KINDS[kind])}
        started = time.monotonic()
        try:
            contract = plan.task.contract(served, info)
            if data is not None:
                evaluation = evaluation_of(plan, data, contract.endpoints[0], "test")
                options["quantization"] = Quantization(evaluation=evaluation)
            bundle = export_model(served, folder / f"{name}{suffix}-{kind}", contract=contract, **options)
        except ExportError as error:  # it has no such file
            records.append(record | {"reason": str(error).splitlines()[0].partition("; kept as")[0]})
            continue
        record["seconds"] = round(time.monotonic() - started, 1)
        for row in (row for row in bundle.certificate.rows if row.runtime in KINDS[kind]):
            file = bundle.path / row.artifact
            record["bytes"] = file.stat().st_size if file.exists() else None
            record["rows"][row.runtime] = _figures(row)
        records.append(record)
    return records


def measure_flips(name: str, count: int, folder: Path) -> dict[str, Any]:
    """Return what `export.versions.flips` finds on the first examples of the test split."""
    from export import export_model
    from export.versions.flips import flips
    from zoo.export import evaluation_of
    from zoo.weights import open_default

    plan, model, info = open_default(name)
    contract = plan.task.contract(model, info)
    bundle = export_model(model, folder / name, contract=contract, formats=("keras", "tflite"))
    endpoint = contract.endpoints[0]
    data = evaluation_of(plan, plan.load_data(), endpoint, "test").inputs
    rows = {t.name: np.asarray(data[t.name][:count]).astype(t.dtype) for t in endpoint.inputs}
    return {"model": name, **flips(bundle.path, rows, ACROSS)}


def _figures(row: Any) -> dict[str, Any]:
    from export.proof.certificate import worst_difference

    figures = {"state": row.state, "reason": row.reason, "note": row.note, "seconds": row.seconds}
    return figures | {"figure": worst_difference(row)}


def table(records: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    lines = [
        "| model | MB | TFLite: largest difference (tolerance) | in half precision | in Chromium | ONNX | seconds |",
        "|---|---:|---|---|---|---|---:|",
    ]
    by_part: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        by_part.setdefault((record["model"], record["part"]), {})[record["format"]] = record
    for (model, part), found in sorted(by_part.items()):
        name = f"`{model}`{f', {part}' if (part := part.strip('-_')) else ''}"
        cells, rows = [], []
        for kind, runtimes in KINDS.items():
            record = found.get(kind, {"rows": {}})
            rows += record["rows"].values()
            reasons = [record.get("reason", "not measured"), *[""] * (len(runtimes) - 1)]
            cells += [_cell(record["rows"].get(r)) for r in runtimes] if record["rows"] else reasons
        size = f"{number / 1e6:.2f}" if (number := found.get("tflite", {}).get("bytes")) else ""
        lines.append(f"| {name} | {size} | {' | '.join(cells)} | {sum(row['seconds'] or 0 for row in rows):.0f} |")
    return "\n".join(lines)


def flips_table(records: list[dict[str, Any]]) -> str:
    """Return the table of decisions that depend on the runtime."""
    lines = [
        "| model | examples | float32 | half precision | threshold | above it, of the other half |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for record in records:
        counts = " | ".join(str(record["flips"][runtime]) for runtime in RUNTIMES)
        checked = f"{record['flips_above']} of {record['checked']} flip"
        lines.append(f"| `{record['model']}` | {record['of']:,} | {counts} | {record['threshold']:.3g} | {checked} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    text = row["figure"] if row["state"] == "pass" else f"**{row['state']}**: {row['reason']}"
    return f"{text}; {row['note']}".removesuffix("; None").replace("|", "/").replace("\n", " ")


def write_page(results: dict[str, list[dict[str, Any]]]) -> None:
    """Write the tables between the marks of the page."""
    page = with_block(PAGE.read_text(), FILES, f"\n{table(results['files'])}\n")
    write_atomic(PAGE, with_block(page, DECISIONS, f"\n{flips_table(results['flips'])}\n"))


@click.command()
@click.argument("models", nargs=-1)
@click.option("--measure", "kinds", multiple=True, type=click.Choice([*KINDS]), help="Run the models again.")
@click.option("--flips", "has_flips", is_flag=True, help="Compare decisions again.")
def main(models: tuple[str, ...], kinds: tuple[str, ...], has_flips: bool) -> None:
    """Measure, or write the tables of the page."""
    from zoo.weights import shipped_models

    console, results = Console(), json.loads(RESULTS.read_text())

    def keep(kind: str, name: str, found: list[dict[str, Any]], of_files: str | None = None) -> None:
        others = [r for r in results[kind] if (r["model"], r.get("format")) != (name, of_files)]
        results[kind] = others + found
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")
        console.print(f"{name}: {found}")

    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        for kind in kinds:
            for name in models or shipped_models():
                keep("files", name, measure(name, kind, Path(folder)), kind)
        for name in (models or FLIPS) if has_flips else ():
            keep("flips", name, [measure_flips(name, FLIPS[name], Path(folder) / "flips")])
    write_page(results)


if __name__ == "__main__":
    main()
