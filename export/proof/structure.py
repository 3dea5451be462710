"""Structure: a SavedModel against the one that the Keras file beside it writes, a converted graph against another.

Each in a confined process of its own.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Sequence
from pathlib import Path

from export.artifacts import saved_again
from export.artifacts.whole_file import READERS
from export.contract import Artifact
from export.formats import QUANTIZATIONS, onnx, saved_model, tflite
from export.formats.format import NATIVE
from export.proof.certificate import FAIL, NOT_RUN, NOTE, Finding, ProofRequest, Row
from export.runtime import process

FORMAT = saved_model.FORMAT.name
SAVED_AGAIN = Path(saved_again.__file__)
CONVERT_AGAIN = Path(__file__).with_name("convert_again.py")
LARGEST_COUNT = 5  # differences that are named
NO_KERAS_FILE = "there is no Keras file to compare it with"
WHOLE = "whole file"  # in the column of runtimes, as the next
RUNTIME = "structure"  # in the column of runtimes: it traces, and runs nothing


def compare_structure(request: ProofRequest) -> Row | None:
    """Return the row of a SavedModel that was compared with another export of the Keras file; None if there is none."""
    usable = {a.format: a for a in request.artifacts if a.state is None}
    if FORMAT not in usable:
        return None
    row = Row(usable[FORMAT].path, FORMAT, RUNTIME, required=True)
    if NATIVE not in usable:
        return row.with_findings(Finding(NO_KERAS_FILE, NOT_RUN))
    endpoints = request.contract.carried_by(FORMAT)
    others = [endpoint.name for endpoint in endpoints if not endpoint.is_carried_by(NATIVE)]
    if len(others) == len(endpoints):
        return row.with_findings(Finding("the Keras file has none of its signatures", NOT_RUN))
    job = {
        "folder": str((request.folder / usable[FORMAT].path).resolve()),
        "keras": str((request.folder / usable[NATIVE].path).resolve()),
        "endpoints": [endpoint.to_json() for endpoint in endpoints],
        "modules": list(request.modules),
    }
    packages = {"export", "zoobase", *(name.partition(".")[0] for name in request.modules)}
    with tempfile.TemporaryDirectory(prefix="structure-") as scratch:
        report, problem = process.run_job(
            str(SAVED_AGAIN), job, Path(scratch), "keras", packages=sorted(packages), reads=[request.folder]
        )
    if report is None:
        # without it a file that ends the process would escape the comparison
        return row.with_findings(Finding(f"it was not compared: the process {problem}", NOT_RUN))
    if report["missing"]:
        return row.with_findings(Finding(f"needs the code of the model: {report['missing']}; install it", NOT_RUN))
    if report["incomparable"]:
        return row.with_findings(Finding(f"it was not compared: {report['incomparable']}", NOT_RUN))
    notes = [Finding(f"{', '.join(others)} not compared: the Keras file has no such function", NOTE)] if others else []
    return row.with_findings(*(Finding(text, FAIL) for text in report["differences"][:LARGEST_COUNT]), *notes)


def compare_files(request: ProofRequest) -> list[Row]:
    """Write every file again from the Keras file, itself included, and return a row for each: it is compared whole."""
    # The same versions of the converters must be installed. Ranges of activations are not compared, for they come from
    # data that a bundle does not hold.
    usable = [a for a in request.artifacts if a.state is None]
    native = next((a for a in usable if a.format == NATIVE), None)
    rows, files = {}, []
    for artifact in (a for a in usable if a.format != FORMAT):
        row = rows[artifact.path] = Row(artifact.path, artifact.format, WHOLE)
        names = [name for name in artifact.endpoints if native is not None and name in native.endpoints]
        if reason := _not_convertible(artifact, names) if native else NO_KERAS_FILE:
            rows[artifact.path] = row.with_findings(
                Finding(f"it was not compared whole: {reason}", NOT_RUN), required=True
            )
            continue
        others = [name for name in artifact.endpoints if name not in names]
        notes = [f"{', '.join(others)} not compared: the Keras file has no such function"] if others else []
        if artifact.quantize and QUANTIZATIONS[artifact.quantize].is_calibrated:
            notes.append("ranges of activations not compared: calibration data are not in the bundle")
        rows[artifact.path] = row.with_findings(*(Finding(text, NOTE) for text in notes))
        facts = {"path": artifact.path, "format": artifact.format, "quantize": artifact.quantize, "opset": onnx.OPSET}
        files.append(facts | {"endpoints": names, "whole": not others})
    if not files:
        return list(rows.values())
    job = {
        "folder": str(request.folder.resolve()),
        "keras": str((request.folder / native.path).resolve()),
        "endpoints": {e.name: e.to_json() for e in request.contract.endpoints},
        "modules": list(request.modules),
        "files": files,
    }
    packages = {"export", "zoobase", *(name.partition(".")[0] for name in request.modules)}
    with tempfile.TemporaryDirectory(prefix="structure-") as scratch:
        report, problem = process.run_job(
            str(CONVERT_AGAIN), job, Path(scratch), "keras", packages=sorted(packages), reads=[request.folder]
        )
    for file in files:
        path = file["path"]
        if report is None or report["missing"]:
            why = f"the process {problem}" if report is None else f"{report['missing']} is missing; install it"
            findings = [Finding(f"it was not compared whole: {why}", NOT_RUN)]
        elif path in report["errors"]:
            findings = [Finding(f"it was not compared whole: {report['errors'][path]}", NOT_RUN)]
        else:
            findings = [Finding(text) for text in [report["differences"][path]] if text]
        rows[path] = rows[path].with_findings(*findings, required=True)
    return list(rows.values())


def _not_convertible(artifact: Artifact, names: Sequence[str]) -> str | None:
    """Return why an artifact cannot be compared with another conversion, or None."""
    if not names:
        return "the Keras file has none of its signatures"
    if artifact.format not in READERS:
        return f"nothing here reads the whole of a {artifact.format} file"
    form = QUANTIZATIONS.get(artifact.quantize)
    if form and form.is_calibrated and artifact.format == onnx.FORMAT.name:
        return f"{artifact.quantize} ranges come from calibration data, which the bundle does not hold"
    if form and not form.modules and tflite.SELECTIVE[1] in " ".join(artifact.producer):
        return "which operators stay float was chosen by calibration data, which the bundle does not hold"
    if artifact.note == tflite.OF_TRAINING:
        return "its weights are those of quantization-aware training, which the bundle does not hold"
    versions = {name: version for name, version in artifact.producer.items() if name != "h5py"}  # which writes alike
    others = [f"{name} {version}" for name, version in versions.items() if _installed(name) != version]
    return f"it was written by {', '.join(others)}, which is not installed" if others else None


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
