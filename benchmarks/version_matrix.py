"""Shipped models in many releases of their runtimes: python -m benchmarks.version_matrix [--measure].

Each model is exported with its default weights as SavedModel, TFLite and ONNX, and proven; then each file is run in
every release. What was measured stays in version_matrix.json: a run that was interrupted continues with the next model.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.benchmark import HERE
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import KnownError
from zoobase.files import write_atomic

RESULTS = HERE / "version_matrix.json"
PAGE = HERE.parent / "docs" / "version_matrix.md"
RELEASES = "onnxruntime>=1.17,litert>=1.1,openvino>=2024.4,tensorflow_c>=2.16"
FORMATS = ("saved_model", "tflite", "onnx")
SIGNS = {"equal": "=", "within tolerance": "~", "different": "**D**", "refused": "**R**", "not run": "?"}


def measure(console: Console) -> dict[str, Any]:
    """Run what has not been measured yet; return all results."""
    from benchmarks import report
    from export import export_model
    from export.versions import matrix
    from export.versions.releases import releases
    from zoo import weights

    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"models": {}, "machine": report.machine()}
    chosen = releases(RELEASES)
    for name in weights.shipped_models():
        if name in found["models"]:
            continue
        console.print(name)
        start, cells = time.monotonic(), []
        plan, model, info = weights.open_default(name)
        for suffix, served in plan.task.served(model).items():
            with tempfile.TemporaryDirectory() as folder:
                bundle, contract = Path(folder) / "bundle", plan.task.contract(served, info)
                try:
                    export_model(served, bundle, contract=contract, formats=FORMATS)
                    cells += [{**matrix.to_json(c), "served": suffix} for c in matrix.matrix(bundle, chosen)]
                except KnownError as error:
                    console.print(f"{name}: {error}")
        found["models"][name] = {"cells": cells, "seconds": round(time.monotonic() - start)}
        write_atomic(RESULTS, json.dumps(found, indent=1) + "\n")
    return found


def text(results: Mapping[str, Any]) -> str:
    """Return the page: a table of releases and models, and every cell that is not as the certificate says."""
    models = {name: entry for name, entry in results["models"].items() if entry["cells"]}
    cells = [(name, cell) for name, entry in models.items() for cell in entry["cells"]]
    rows = list(dict.fromkeys(cell["release"] for _, cell in cells))
    ran = sum(cell["state"] != "not run" for _, cell in cells)
    counts = {state: sum(cell["state"] == state for _, cell in cells) for state in SIGNS}
    machine = results["machine"]
    lines = [
        "# Releases of runtimes",
        "",
        "What the files of our models answer in other releases of their runtimes, compared with the certificate of "
        "each bundle, with its tolerance, by `python -m benchmarks.version_matrix --measure`, on "
        f"{machine['cores']} cores of {machine['processor']}, {machine['date']}. For files of your own: "
        "[`python -m export matrix` and `upgrade`](how-to/upgrade.md).",
        "",
        f"{len(models)} models, {len(rows)} releases, {len(cells):,} cells, of which {ran:,} ran, in "
        f"{sum(entry['seconds'] for entry in models.values()) / 60:.0f} minutes: "
        + ", ".join(f"{count:,} {state} ({SIGNS[state]})" for state, count in counts.items() if count)
        + ". A model with several files in a runtime shows the worst of them; an empty cell has no file for it.",
        "",
        "Columns: " + ", ".join(f"{i} `{name}`" for i, name in enumerate(models, 1)) + ".",
        "",
        f"| release | {' | '.join(str(i) for i in range(1, len(models) + 1))} |",
        f"|---|{'---|' * len(models)}",
    ]
    order = list(SIGNS)
    for release in rows:
        states = []
        for entry in models.values():
            of_model = [cell["state"] for cell in entry["cells"] if cell["release"] == release]
            states.append(SIGNS[max(of_model, key=_severity(order))] if of_model else "")
        lines.append(f"| {release} | {' | '.join(states)} |")
    red = [(name, cell) for name, cell in cells if cell["state"] in ("different", "refused", "not run")]
    lines += ["", "## What is not as the certificate says", ""]
    lines += ["Nothing."] if not red else ["| model | file | release | state | reason |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | `{cell['artifact']}` | {cell['release']} | {cell['state']} | {_plain(cell['reason'])} |"
        for name, cell in red
    ]
    return "\n".join([*lines, ""])


def _severity(order: Sequence[str]) -> Any:
    ranks = {state: i for i, state in enumerate(order)}
    return lambda state: ranks[state]


def _plain(reason: str) -> str:
    short = reason if len(reason) <= 200 else f"{reason[:200]} ..."
    return f"`{short.replace('|', '/').replace('`', '')}`" if short else ""


@click.command("version_matrix")
@click.option("--measure", "measures", is_flag=True, help="Measure first what is not there yet; hours.")
@shell.common_options
def main(measures: bool, console: Console) -> None:
    """Write docs/version_matrix.md."""
    results = measure(console) if measures else json.loads(RESULTS.read_text())
    write_atomic(PAGE, text(results))
    console.print(f"written: {PAGE}")


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.version_matrix")
