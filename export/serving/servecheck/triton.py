"""Level 8: NVIDIA Triton by its own client, over HTTP and gRPC."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from export.parity.comparison import compare_output
from export.parity.policy import Policy
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.runners.lib import protocol
from export.serving.servecheck.subject import Level, Subject
from export.serving.servers import launching, triton
from export.serving.servers.environments import TRITON
from zoobase.errors import CheckFailed, ExportError

CLIENTS = 2  # of each protocol, at once
SECONDS = 600  # for all calls


def check(subject: Subject) -> Level:
    """Start Triton on the version and send it the golden calls and bad requests."""
    if problem := triton.obstacle():
        return Level("triton", NOT_RUN, problem)
    http, grpc = launching.free_ports(2)
    try:
        with (
            triton.serving(subject.folder, subject.endpoints, "model", http, grpc) as address,
            tempfile.TemporaryDirectory(prefix="triton-client-") as scratch,
        ):
            report, results = _ask(subject, address, Path(scratch))
    except CheckFailed as error:
        return Level("triton", FAIL, str(error))
    except (ExportError, ImportError) as error:
        return Level("triton", NOT_RUN, str(error))
    messages = report["errors"] + [f"{text} is answered" for text in report["accepted"]]
    messages += _differences(subject, results)
    details = f"{len(subject.calls)} calls of {CLIENTS} clients at once by HTTP and by gRPC each, "
    details += f"{report['refused']} bad requests refused; {TRITON.requirements[0]}"
    return Level("triton", FAIL if messages else PASS, messages[0] if messages else None, details)


def _ask(subject: Subject, address: triton.Address, scratch: Path) -> tuple[dict, Mapping[str, np.ndarray]]:
    """Run the client program and return its report and its results.

    Raises:
        CheckFailed: If it does not finish.
    """
    job = {"cases": str(scratch / "cases.npz"), "results": str(scratch / "results.npz")}
    job |= {"report": str(scratch / "report.json")}
    cases = {f"{e.name}/{case.name}/{k}": value for e, case in subject.calls for k, value in case.inputs.items()}
    protocol.save_arrays(Path(job["cases"]), cases)
    models = {
        e.name: {
            "model": address.models[e.name],
            "batch": e.batch,
            "inputs": {t.name: triton.DTYPES[t.dtype].replace("STRING", "BYTES") for t in e.inputs},
            "outputs": [t.name for t in e.outputs],
        }
        for e in subject.endpoints
    }
    more = {"http": address.http, "grpc": address.grpc, "models": models, "clients": CLIENTS}
    (scratch / "job.json").write_text(json.dumps(job | more))
    command = [str(TRITON.python), str(triton.PROGRAMS / "triton_client.py"), str(scratch / "job.json")]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"the client was not finished after {SECONDS} s") from None
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        raise CheckFailed(f"the client failed: {lines[-1] if lines else result.returncode}")
    return json.loads(Path(job["report"]).read_text()), protocol.read_arrays(Path(job["results"]))


def _differences(subject: Subject, results: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Yield the differences of all answers from the outputs of TensorFlow."""
    cases = {(e.name, case.name): case for e, case in subject.calls}
    policy = Policy()
    for key, value in results.items():
        kind, _, endpoint, case, output = key.split("/", 4)
        expected = cases[endpoint, case]
        if expected.outputs[output].dtype == object:
            value = value.astype(object)
        yield from (f"{kind}: {endpoint}: {text}" for text in compare_output(expected, output, value, 0.0, policy))
