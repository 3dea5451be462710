"""The level triton: NVIDIA Triton by its own client, over HTTP and gRPC."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from export.parity.comparison import compare_output
from export.parity.noise_floor import Policy
from export.proof.certificate import FAIL, NOT_RUN
from export.protocol.arrays import Key, read_arrays, save_arrays
from export.runtime import process
from export.serving.servecheck.version import Level, ServedVersion
from export.serving.servers import launching, triton
from export.serving.servers.environments import TRITON
from zoobase.errors import CheckFailed, ExportError

CLIENTS = 2  # of each protocol, at once
SECONDS = 600  # for all calls


def check(version: ServedVersion) -> Level:
    """Start Triton on the version and send it the golden calls and bad requests."""
    if problem := triton.obstacle():
        return Level("triton", NOT_RUN, problem)
    http, grpc = launching.free_ports(2)
    try:
        with (
            triton.serving(version.folder, version.endpoints, "model", http, grpc) as address,
            tempfile.TemporaryDirectory(prefix="triton-client-") as scratch,
        ):
            report, results = _ask(version, address, Path(scratch))
    except CheckFailed as error:
        return Level("triton", FAIL, str(error))
    except (ExportError, ImportError) as error:
        return Level("triton", NOT_RUN, str(error))
    messages = report["errors"] + [f"{text} is answered" for text in report["accepted"]]
    messages += _differences(version, results)
    details = f"{len(version.calls)} calls of {CLIENTS} clients at once by HTTP and by gRPC each, "
    details += f"{report['refused']} bad requests refused; {TRITON.requirements[0]}"
    return Level.concluded("triton", messages, details, len(version.calls))


def _ask(version: ServedVersion, address: triton.Address, scratch: Path) -> tuple[dict, Mapping[Key, np.ndarray]]:
    """Run the client program and return its report and its results; CheckFailed if it does not finish."""
    job = {"cases": str(scratch / "cases.npz"), "results": str(scratch / "results.npz")}
    job |= {"report": str(scratch / "report.json")}
    cases = {(e.name, case.name, k): value for e, case in version.calls for k, value in case.inputs.items()}
    save_arrays(Path(job["cases"]), cases)
    models = {
        e.name: {
            "model": address.models[e.name],
            "batch": e.batch,
            "inputs": {t.name: triton.DTYPES[t.dtype].replace("STRING", "BYTES") for t in e.inputs},
            "outputs": [t.name for t in e.outputs],
        }
        for e in version.endpoints
    }
    more = {"http": address.http, "grpc": address.grpc, "models": models, "clients": CLIENTS}
    (scratch / "job.json").write_text(json.dumps(job | more))
    command = [str(TRITON.python), str(triton.PROGRAMS / "triton_client.py"), str(scratch / "job.json")]
    try:
        options = {"capture_output": True, "text": True, "timeout": SECONDS, "stdin": subprocess.DEVNULL}
        result = subprocess.run(command, env=os.environ | process.protocol_path(), **options)
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"the client was not finished after {SECONDS} s") from None
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        raise CheckFailed(f"the client failed: {lines[-1] if lines else result.returncode}")
    return json.loads(Path(job["report"]).read_text()), read_arrays(Path(job["results"]))


def _differences(version: ServedVersion, results: Mapping[Key, np.ndarray]) -> Iterator[str]:
    """Yield the differences of all answers from the outputs of TensorFlow."""
    cases = {(e.name, case.name): case for e, case in version.calls}
    policy = Policy()
    for (kind, _, endpoint, case, output), value in results.items():
        expected = cases[endpoint, case]
        if expected.outputs[output].dtype == object:
            value = value.astype(object)
        yield from (f"{kind}: {endpoint}: {text}" for text in compare_output(expected, output, value, 0.0, policy))
