"""The application of this project, `export.serving.application`: one version, for a look at it and for its page."""

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zoobase
from export.protocol import c_api
from export.serving.servers import launching
from zoobase.errors import CheckFailed

TITLE = "the built-in server"
LEAST_MEMORY = 2 << 30  # bytes of the process with the model, besides ten times its files


def obstacle() -> str | None:
    """Return why it cannot be started here, or None."""
    try:
        c_api.folder()
    except ImportError as error:
        return str(error)
    return None


def program() -> str:
    """Return what runs, for a report."""
    return "export.serving.application"


@contextlib.contextmanager
def serving(
    base: Path, version: int, name: str, port: int, pages: Path | None = None, memory: int | None = None
) -> Iterator[str]:
    """Serve one version for the duration of the block; yield its URL."""
    # `memory`: bytes that the process with the model may allocate; by default 2 GiB and ten times its files.
    url, folder = f"http://127.0.0.1:{port}/v1/models/{name}", (base / str(version)).resolve()
    limit = memory or LEAST_MEMORY + 10 * sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def is_ready() -> bool:
        (status,) = json.loads(launching.fetch(url))["model_version_status"]
        if status["state"] == "END":
            raise CheckFailed(f"the server refused version {version}: {status['status']['error_message'][:200]}")
        return status["state"] == "AVAILABLE"

    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        confinement = {"reads": [str(folder), scratch, str(c_api.folder())], "writes": [], "network": False}
        job = {"path": str(folder), "memory": limit, "confine": confinement}
        (Path(scratch) / "job.json").write_text(json.dumps(job))
        settings = {"name": name, "version": version, "job": f"{scratch}/job.json", "port": port}
        settings["pages"] = str(pages.resolve()) if pages else None
        command = [sys.executable, "-P", "-m", "export.serving.application", json.dumps(settings)]
        with launching.running(command, is_ready, {"PYTHONPATH": zoobase.ROOT}):
            yield url
