"""TF Serving itself, tensorflow_model_server, if its path is in the environment; no package index has it."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from export.serving.servers import launching
from zoobase.errors import CheckFailed

TITLE = "TF Serving"
VARIABLE = "TENSORFLOW_MODEL_SERVER"


def obstacle() -> str | None:
    """Return why it cannot be started here, or None."""
    program = os.environ.get(VARIABLE)
    if not program:
        return f"set {VARIABLE} to the path of tensorflow_model_server to run it"
    return None if shutil.which(program) else f"{VARIABLE} is {program}, which is not a program"


def program() -> str:
    """Return what runs, for a report."""
    return os.environ[VARIABLE]


@contextlib.contextmanager
def serving(base: Path, version: int, name: str, port: int) -> Iterator[str]:
    """Serve a base path once `version` is available, for the duration of the block; yield the URL of the model."""
    url = f"http://127.0.0.1:{port}/v1/models/{name}"

    def is_ready() -> bool:
        states = {e["version"]: e["state"] for e in json.loads(launching.fetch(url))["model_version_status"]}
        if states.get(str(version)) == "END":
            raise CheckFailed(f"the server refused version {version}")
        return states.get(str(version)) == "AVAILABLE"

    (grpc,) = launching.free_ports(1)
    command = [shutil.which(os.environ[VARIABLE]), f"--rest_api_port={port}", f"--port={grpc}", f"--model_name={name}"]
    with launching.running([*command, f"--model_base_path={base.resolve()}"], is_ready, reads=[base]):
        yield url
