"""The structure of a SavedModel: its graph against the trace of the Keras file beside it, in a process of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from export.formats import saved_model
from export.formats.format import NATIVE
from export.proof.certificate import FAIL, NOT_RUN, NOTE, Finding, ProofRequest, Row
from export.runtime import process

FORMAT = saved_model.FORMAT.name
RUNTIME = "structure"  # in the column of runtimes: it traces, and runs nothing


def compare_structure(request: ProofRequest) -> Row | None:
    """Return the row of a SavedModel whose graph was compared; None if there is no SavedModel.

    The signatures that carry the model's own call are compared operator by operator, weights and tables by their
    values. Others, such as those that decode images, have no counterpart in the Keras file.
    """
    usable = {a.format: a for a in request.artifacts if a.state is None}
    if FORMAT not in usable:
        return None
    row = Row(usable[FORMAT].path, FORMAT, RUNTIME)
    if NATIVE not in usable:
        return row.with_findings(Finding("there is no Keras file to compare its graph with", NOT_RUN))
    names = [name for name in usable[FORMAT].endpoints if name in usable[NATIVE].endpoints]
    others = [name for name in usable[FORMAT].endpoints if name not in names]
    notes = [Finding(f"{', '.join(others)} not compared: the Keras file has no such function", NOTE)] if others else []
    if not names:
        return row.with_findings(Finding("the Keras file has none of its signatures", NOT_RUN))
    job = {
        "folder": str((request.folder / usable[FORMAT].path).resolve()),
        "keras": str((request.folder / usable[NATIVE].path).resolve()),
        "endpoints": [request.contract[name].to_json() for name in names],
        "modules": list(request.modules),
    }
    packages = sorted({name.partition(".")[0] for name in request.modules})
    with tempfile.TemporaryDirectory(prefix="structure-") as scratch:
        report, problem = process.run_job(
            "run_structure.py", job, Path(scratch), "keras", packages=packages, reads=[request.folder]
        )
    if report is None:
        # without it a file that ends the process would escape the comparison
        return row.with_findings(Finding(f"its graph was not compared: the process {problem}", NOT_RUN), required=True)
    if report["missing"]:
        return row.with_findings(Finding(f"needs the code of the model: {report['missing']}; install it", NOT_RUN))
    different = {name: text for name, text in report["differences"].items() if text}
    return row.with_findings(*(Finding(f"endpoint {name}: {text}", FAIL) for name, text in different.items()), *notes)
