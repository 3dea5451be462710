"""Write the files of a bundle again from its Keras file, and compare them field by field with what it holds.

A script: `python -P launch.py convert_again.py JOB`, in a confined process; the job names the Keras file, the contract
and the files. One release writes the same file again: see `export.artifacts.whole_file`.
"""

import dataclasses
import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import machine
import numpy as np
import runner

from export.artifacts import saved_again
from export.artifacts.whole_file import READERS, first_difference
from export.contract import Contract, Endpoint
from export.formats import FORMATS, QUANTIZATIONS, saved_model, tflite
from export.formats.format import NATIVE
from export.protocol import calls
from export.protocol.arrays import read_arrays
from export.runners import run_keras
from export.runners.jobs import convert_onnx, convert_tflite, quantize_tflite

TFLITE = tflite.FORMAT.name
CALIBRATING = "batch_7"  # a case that every endpoint has


def difference(ours: Any, theirs: Any, file: Mapping[str, Any]) -> str | None:
    """Return how a converted file differs from the one that is written again, or None."""
    # Endpoints that the Keras file lacks cannot be converted again: then the others are compared, one by one.
    if file["whole"]:
        return first_difference(ours.whole, theirs.whole)
    signatures = [f.whole["signatureDefs"] for f in (ours, theirs)]
    given = ({name: of_file.get(name) for name in file["endpoints"]} for of_file in signatures)
    held = [signature["subgraphIndex"] for signature in signatures[1].values()]
    if any(graph is not one for graph, one in zip(theirs.whole["subgraphs"], held, strict=False)):
        return "its first subgraphs are not those of its signatures"
    return first_difference(*given)


def _endpoint(model: Any, data: Mapping[str, Any]) -> Endpoint:
    """Return an endpoint whose call is the model's own."""

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        return calls.name_outputs(data, model(calls.arrange(data, values), training=False))

    return dataclasses.replace(Endpoint.from_json(data), call=call)


def _written(job: Mapping[str, Any], model: Any, file: Mapping[str, Any], scratch: Path) -> Path:
    """Return the file that the converter, or Keras, writes now."""
    again = scratch / "again"
    again.mkdir(exist_ok=True)
    if FORMATS[file["format"]].needs_code:
        contract = Contract(tuple(map(Endpoint.from_json, job["endpoints"].values())))
        return again / FORMATS[file["format"]].write(model, contract, again, 1).path
    endpoints = [_endpoint(model, job["endpoints"][name]) for name in file["endpoints"]]
    is_tflite, saved = file["format"] == TFLITE, scratch / f"saved-{file['format']}"
    if not saved.exists():
        saved_model.save(model, endpoints, saved, batch=1 if is_tflite else None)
    out = again / f"{file['quantize']}.{file['format']}"
    quantization = QUANTIZATIONS.get(file["quantize"])
    work = {saved_model.FORMAT.name: str(saved), "out": str(out), "opset": file.get("opset")}
    if is_tflite:
        work |= {"signatures": file["endpoints"], "calibration": {}, "keep_float": 0}
        if quantization and quantization.is_calibrated:
            for endpoint in file["endpoints"]:  # golden inputs, for ranges that are not compared
                stored = read_arrays(Path(job["folder"], "golden", f"{endpoint}.inputs.npz"))
                rows = {name: value for (case, name), value in stored.items() if case == CALIBRATING}
                work["calibration"][endpoint] = str(out.with_name(f"{endpoint}.npz"))
                np.savez(work["calibration"][endpoint], allow_pickle=False, **rows)
        types = quantization.types() if quantization else tflite.FLOAT
        if quantization and quantization.modules:
            exact = str(out.with_suffix(".exact"))
            report = convert_tflite.convert(work | tflite.FLOAT | {"out": exact})
            if not report["error"]:
                quantize_tflite.quantize(work | types | {"float": exact})
        else:
            report = convert_tflite.convert(work | types)
    else:
        report = convert_onnx.convert(work | {"signature": file["endpoints"][0]})
    if report["error"] or not out.exists():
        raise ValueError(f"the converter refuses the model: {report['error']}")
    return out


def differences(job: Mapping[str, Any], model: Any, file: Mapping[str, Any]) -> list[str]:
    """Return clauses about how a file differs from the one that is written again."""
    scratch, path = Path(job["result"]).parent, Path(job["folder"], file["path"])
    if file["format"] == saved_model.FORMAT.name:
        endpoints = [_endpoint(model, job["endpoints"][name]) for name in file["carried"]]
        return saved_again.differences(model, Path(job[NATIVE]), path, endpoints, scratch / "saved")
    again = _written(job, model, file, scratch)
    form = QUANTIZATIONS.get(file["quantize"])
    ours, theirs = (READERS[file["format"]](one, bool(form and form.is_calibrated)) for one in (again, path))
    return [text for text in [difference(ours, theirs, file)] if text]


def main() -> None:
    """Write {path: differences} as the result of the job, and the errors by path."""
    job = machine.read_job()
    result: dict[str, Any] = {"missing": runner.import_modules(job["modules"]), "differences": {}, "errors": {}}
    model = None if result["missing"] else run_keras.load_model({"format": NATIVE, "path": job[NATIVE]}, {})
    for file in job["files"] if model is not None else ():
        try:
            result["differences"][file["path"]] = differences(job, model, file)
        except saved_again.Incomparable as reason:
            result["errors"][file["path"]] = str(reason)
        except Exception as error:  # whatever a converter or a damaged file raises is a finding about that file
            result["errors"][file["path"]] = calls.one_line(error)
    Path(job["result"]).write_text(json.dumps(result))


def _run_deep() -> None:
    """Run `main` as deep as its graphs are; end with exit code 1 if it wrote no result."""
    job = json.loads(Path(sys.argv[1]).read_text())  # before a converter takes its own arguments from sys.argv
    sys.setrecursionlimit(10**6)
    threading.stack_size(2**29)
    worker = threading.Thread(target=main)
    worker.start()
    worker.join()
    if not Path(job["result"]).is_file():
        sys.exit(1)


if __name__ == "__main__":
    _run_deep()
