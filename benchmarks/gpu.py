"""Every shipped TFLite file on LiteRT's GPU kernels: python -m benchmarks.gpu [--measure] [MODEL...].

Each shipped model is exported to TFLite and proven in `litert_gpu` and `litert_gpu_half` on generated inputs. With
`--measure` the models that are named, or all, are run again; without it, the table in the page is written again.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.benchmark import HERE
from zoobase.console import Console
from zoobase.files import write_atomic

RESULTS = HERE / "gpu.json"
PAGE = HERE.parent / "docs" / "how-to" / "gpu.md"
START, END = "<!-- measured: python -m benchmarks.gpu -->", "<!-- /measured -->"
RUNTIMES = ("litert_gpu", "litert_gpu_half")


def measure(name: str, folder: Path) -> list[dict[str, Any]]:
    """Export what a model serves, and return a record of each file."""
    from export import Checks, export_model
    from zoo.weights import open_default
    from zoobase.errors import ExportError

    plan, model, info = open_default(name)
    records = []
    for suffix, served in plan.task.served(model).items():
        record: dict[str, Any] = {"model": name, "part": suffix, "rows": {}}
        options = {"formats": ("keras", "tflite"), "checks": Checks(extras=("gpu",))}
        started = time.monotonic()
        try:
            contract = plan.task.contract(served, info)
            bundle = export_model(served, folder / f"{name}{suffix}", contract=contract, **options)
        except ExportError as error:  # it has no such file
            records.append(record | {"reason": str(error).splitlines()[0]})
            continue
        record["seconds"] = round(time.monotonic() - started, 1)
        for row in (row for row in bundle.certificate.rows if row.runtime in RUNTIMES):
            file = bundle.path / row.artifact
            record["bytes"] = file.stat().st_size if file.exists() else None
            record["rows"][row.runtime] = _figures(row)
        records.append(record)
    return records


def _figures(row: Any) -> dict[str, Any]:
    from export.proof.certificate import worst_difference

    figures = {"state": row.state, "reason": row.reason, "note": row.note, "seconds": row.seconds}
    return figures | {"figure": worst_difference(row)}


def table(records: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    lines = [
        "| model | MB | float32: largest difference (tolerance) | half precision | seconds |",
        "|---|---:|---|---|---:|",
    ]
    for record in sorted(records, key=lambda record: (record["model"], record["part"])):
        name = f"`{record['model']}`{f', {part}' if (part := record['part'].strip('-_')) else ''}"
        if not record["rows"]:
            lines.append(f"| {name} | | {record.get('reason', 'no TFLite file')} | | |")
            continue
        cells = [_cell(record["rows"].get(runtime)) for runtime in RUNTIMES]
        seconds = sum(row["seconds"] or 0 for row in record["rows"].values())
        size = f"{record['bytes'] / 1e6:.2f}" if record.get("bytes") else ""
        lines.append(f"| {name} | {size} | {cells[0]} | {cells[1]} | {seconds:.0f} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    text = row["figure"] if row["state"] == "pass" else f"**{row['state']}**: {row['reason']}"
    return f"{text}; {row['note']}".removesuffix("; None").replace("|", "/").replace("\n", " ")


def write_page(records: list[dict[str, Any]]) -> None:
    """Write the table between the marks of the page."""
    before, _, rest = PAGE.read_text().partition(START)
    after = rest.partition(END)[2]
    write_atomic(PAGE, f"{before}{START}\n\n{table(records)}\n\n{END}{after}")


@click.command()
@click.argument("models", nargs=-1)
@click.option("--measure", "is_measured", is_flag=True, help="Run the models again.")
def main(models: tuple[str, ...], is_measured: bool) -> None:
    """Measure, or write the table of the page."""
    from zoo.weights import shipped_models

    console = Console()
    records = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for name in (models or shipped_models()) if is_measured else ():
        with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
            found = measure(name, Path(folder))
        records = [record for record in records if record["model"] != name] + found
        write_atomic(RESULTS, json.dumps(records, indent=1) + "\n")
        console.print(f"{name}: {[(r['part'], {k: v['state'] for k, v in r['rows'].items()}) for r in found]}")
    if PAGE.exists():
        write_page(records)


if __name__ == "__main__":
    main()
