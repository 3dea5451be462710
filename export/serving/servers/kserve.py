"""KServe's ModelServer in its own environment: TF Serving's REST URLs, and TF Serving's loader behind them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from export.protocol import c_api
from export.runtime import process
from export.serving.servers import launching
from export.serving.servers.environments import KSERVE

TITLE = "KServe"
PROGRAM = Path(__file__).parent / "programs" / "kserve_server.py"


def obstacle() -> str | None:
    """Return why it cannot be started here, or None."""
    return None if KSERVE.installed else KSERVE.hint


def program() -> str:
    """Return what runs, for a report."""
    return KSERVE.requirements[0]


@contextlib.contextmanager
def serving(base: Path, version: int, name: str, port: int) -> Iterator[str]:
    """Serve one version for the duration of the block; yield its URL. Unlike TF Serving, KServe looks for no later."""
    url = f"http://127.0.0.1:{port}/v1/models/{name}"
    command = [KSERVE.python, "-P", PROGRAM, base.resolve() / str(version), name, str(port)]
    environment = {c_api.VARIABLE: str(c_api.folder())} | process.protocol_path()
    reads = [KSERVE.folder, PROGRAM, base]

    def is_ready() -> bool:
        return json.loads(launching.fetch(url))["ready"] in (True, "True")

    with launching.running(command, is_ready, environment, reads):
        yield url
