"""What an NPU would take of the int8 files of a bundle: a report beside the rows of microcontrollers, not a proof."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from export.proof.certificate import ProofRequest, Row
from export.runners.environments import VELA
from export.runtime import process

ACCELERATOR = "ethos-u55-128"
RUNTIME = "tflite_micro"  # which hands operators to the NPU


def with_npu_report(request: ProofRequest, rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows, those of int8 files in the runtime of microcontrollers with what the NPU would take."""
    if not VELA.installed:
        return rows
    int8 = {a.path for a in request.artifacts if a.quantize == "int8" and a.state is None}
    chosen = {row.artifact for row in rows if row.runtime == RUNTIME and row.artifact in int8}
    reports = {}
    for path in sorted(chosen):
        file = request.folder / path
        job = {"file": str(file.resolve()), "accelerator": ACCELERATOR}
        with tempfile.TemporaryDirectory(prefix="npu-") as scratch:
            options = {"reads": (file, VELA.folder), "python": str(VELA.python)}
            reports[path] = process.run_job("jobs/report_npu.py", job, Path(scratch), **options)[0] or {}
    return [
        replace(row, facts={**row.facts, **reports[row.artifact]})
        if row.runtime == RUNTIME and row.artifact in reports
        else row
        for row in rows
    ]
