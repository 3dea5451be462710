"""Level 7: tensorflow_model_server itself, if its path is in the environment."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export.contract import Endpoint
from export.parity.comparison import compare_output
from export.parity.golden import Case
from export.parity.policy import Policy
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.runners.lib import rest
from export.servecheck.subject import Level, Subject

VARIABLE = "TENSORFLOW_MODEL_SERVER"
START_TIMEOUT = 120.0  # seconds until the version must be available


def check(subject: Subject) -> Level:
    """Start the server on the base path, wait until it serves the version, and send it every golden call."""
    program = os.environ.get(VARIABLE)
    if not program:
        return Level("server", NOT_RUN, f"set {VARIABLE} to the path of tensorflow_model_server to run it")
    binary = shutil.which(program)
    if binary is None:
        return Level("server", NOT_RUN, f"{VARIABLE} is {program}, which is not a program")
    with (
        tempfile.TemporaryDirectory(prefix="model-server-") as scratch,
        _serving(binary, subject, Path(scratch)) as url,
    ):
        if isinstance(url, Exception):
            return Level("server", FAIL, str(url))
        messages, calls = [], 0
        for endpoint in subject.endpoints:
            for case in (c for c in subject.cases[endpoint.name] if c.outputs):
                calls += 1
                messages += [f"{endpoint.name}: {text}" for text in _predict(url, endpoint, case)]
    return Level(
        "server", FAIL if messages else PASS, messages[0] if messages else None, f"{calls} calls by REST to {binary}"
    )


@contextlib.contextmanager
def _serving(binary: str, subject: Subject, scratch: Path) -> Iterator[str | Exception]:
    """Yield the URL of the model once it is available, or an exception."""
    name, (rest_port, grpc_port) = "model", _free_ports()
    command = [binary, f"--rest_api_port={rest_port}", f"--port={grpc_port}", f"--model_name={name}"]
    command.append(f"--model_base_path={subject.base.resolve()}")
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{rest_port}/v1/models/{name}"
        problem = _wait(process, url, subject.version)
        lines = (scratch / "log").read_text(errors="replace").strip().splitlines()
        yield RuntimeError(f"{problem}: {lines[-1][:300]}" if lines else problem) if problem else url
    finally:
        process.kill()
        process.wait()


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(process: subprocess.Popen[bytes], url: str, version: int) -> str | None:
    """Wait until the version is available; return why it is not."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        if process.poll() is not None:
            return f"the server ended with exit code {process.returncode}"
        with contextlib.suppress(OSError, ValueError, KeyError):
            status = json.loads(_http(url))["model_version_status"]
            states = {entry["version"]: entry["state"] for entry in status}
            if states.get(str(version)) == "AVAILABLE":
                return None
            if states.get(str(version)) == "END":
                return f"the server refused version {version}"
        time.sleep(0.2)
    return f"version {version} was not available after {START_TIMEOUT:g} s"


def _predict(url: str, endpoint: Endpoint, case: Case) -> list[str]:
    """Send one call and compare the response. A fixed batch size is sent in parts."""
    rows = len(next(iter(case.inputs.values())))
    size = endpoint.batch or max(rows, 1)
    dtypes = {name: value.dtype for name, value in case.outputs.items()}
    parts = []
    try:
        for start in range(0, rows, size):
            inputs = {name: value[start : start + size] for name, value in case.inputs.items()}
            response = _http(f"{url}:predict", rest.encode_request(inputs, endpoint.name))
            parts.append(rest.decode_response(response, dtypes))
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in dtypes}
    except (OSError, rest.NotJson, KeyError, ValueError) as error:
        return [f"case {case.name}: {error}"]
    policy = Policy()
    return [text for name in dtypes for text in compare_output(case, name, outputs[name], 0.0, policy)]


def _http(url: str, body: str | None = None) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the server is on this machine
    try:
        with opener.open(url, body.encode() if body is not None else None, timeout=60) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        raise rest.NotJson(
            f"the server returned {error.code}: {error.read().decode(errors='replace')[:200]}"
        ) from error
