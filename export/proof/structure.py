"""Whole files: each file of a bundle against the one that the Keras file beside it writes, in a confined process."""

import importlib.metadata
import tempfile
from collections.abc import Sequence
from pathlib import Path

from export.artifacts.whole_file import READERS
from export.contract import Artifact
from export.formats import QUANTIZATIONS, onnx, saved_model, tflite
from export.formats.format import NATIVE
from export.proof.certificate import FAIL, NOT_RUN, NOTE, Finding, ProofRequest, Row
from export.runtime import process

SAVED_MODEL = saved_model.FORMAT.name
CONVERT_AGAIN = Path(__file__).with_name("convert_again.py")
LARGEST_COUNT = 5  # differences that are named
NO_KERAS_FILE = "there is no Keras file to compare it with"
WHOLE = "whole file"  # in the column of runtimes, as the next
RUNTIME = "structure"  # of a SavedModel, whose functions are traced again


def compare_files(request: ProofRequest) -> list[Row]:
    """Write every file again from the Keras file, itself included, and return a row for each: it is compared whole."""
    # The versions of the converters must be the same. Ranges of activations need data, which a bundle does not hold.
    usable = [a for a in request.artifacts if a.state is None]
    native = next((a for a in usable if a.format == NATIVE), None)
    rows, files = {}, []
    for artifact in usable:
        runtime = RUNTIME if artifact.format == SAVED_MODEL else WHOLE
        row = Row(artifact.path, artifact.format, runtime, required=True)
        names = [name for name in artifact.endpoints if native is not None and name in native.endpoints]
        if reason := _not_convertible(artifact, names) if native else NO_KERAS_FILE:
            rows[artifact.path] = row.with_findings(_not_compared(reason))
            continue
        others = [name for name in artifact.endpoints if name not in names]
        notes = [f"{', '.join(others)} not compared: the Keras file has no such function"] if others else []
        if artifact.quantize and QUANTIZATIONS[artifact.quantize].is_calibrated:
            notes.append("ranges of activations not compared: calibration data are not in the bundle")
        rows[artifact.path] = row.with_findings(*(Finding(text, NOTE) for text in notes))
        facts = {"path": artifact.path, "format": artifact.format, "quantize": artifact.quantize, "opset": onnx.OPSET}
        carried = [endpoint.name for endpoint in request.contract.carried_by(artifact.format)]
        files.append(facts | {"endpoints": names, "carried": carried, "whole": not others})
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
    for path in (file["path"] for file in files):
        if report is None or report["missing"]:
            # without it a file that ends the process would escape the comparison
            why = f"the process {problem}" if report is None else f"{report['missing']} is missing; install it"
            findings = [_not_compared(why)]
        elif path in report["errors"]:
            findings = [_not_compared(report["errors"][path])]
        else:
            findings = [Finding(text, FAIL) for text in report["differences"][path][:LARGEST_COUNT]]
        rows[path] = rows[path].with_findings(*findings)
    return list(rows.values())


def _not_compared(reason: str) -> Finding:
    return Finding(f"it was not compared whole: {reason}", NOT_RUN)


def _not_convertible(artifact: Artifact, names: Sequence[str]) -> str | None:
    """Return why an artifact cannot be compared with another conversion, or None."""
    if not names:
        return "the Keras file has none of its signatures"
    if artifact.format not in (*READERS, SAVED_MODEL):
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
