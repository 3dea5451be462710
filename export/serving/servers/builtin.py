"""The server of this project, `export.serving.builtin`: TF Serving's REST and gRPC, rollouts included."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import zoobase
from export.serving.servers import launching
from export.wire import c_api
from zoobase.errors import CheckFailed, ExportError

TITLE = "the built-in server"
STAND_INS = Path(__file__).parent.parent / "builtin" / "stand_ins"
CODE = [os.path.join(zoobase.ROOT, name) for name in ("export", "zoobase")]
POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Options:
    """What the server can do besides answering.

    Attributes:
        grpc_port: A port of 127.0.0.1; None takes a free one.
        config: The file models.config that says what is served once it exists, or None.
        poll_seconds: How often it, and the folder of the versions, are read again.
        trust: Operators that may run although they are not on the list of inference operators.
        log: The folder of the request log, which exists, or None.
        log_share: The share of requests that are logged.
        pages: A folder of pages, or None.
    """

    grpc_port: int | None = None
    config: Path | None = None
    poll_seconds: float = POLL_SECONDS
    trust: Collection[str] = ()
    log: Path | None = None
    log_share: float = 1.0
    pages: Path | None = None


def obstacle() -> str | None:
    """Return why it cannot be started here, or None."""
    try:
        c_api.folder()
    except ImportError as error:
        return str(error)
    return None


def program() -> str:
    """Return what runs, for a report."""
    return "export.serving.builtin"


@contextlib.contextmanager
def serving(base: Path, version: int | None, name: str, port: int, options: Options | None = None) -> Iterator[str]:
    """Serve a model for the duration of the block; yield its URL.

    Args:
        base: The folder of its versions.
        version: The version that has to be available before; None where the configuration chooses.
        name: Its name.
        port: The port of REST.
        options: More.

    Raises:
        CheckFailed: If the server does not start, or the version cannot be loaded.
        ImportError: If TensorFlow's C API is not available.
    """
    options = options or Options()
    url = f"http://127.0.0.1:{port}/v1/models/{name}"
    settings = {
        "name": name,
        "base": str(base.resolve()),
        "config": str(options.config.absolute()) if options.config else "",
        "rest_port": port,
        "grpc_port": options.grpc_port or launching.free_ports(1)[0],
        "poll_seconds": options.poll_seconds,
        "trust": list(options.trust),
        "log": str(options.log.resolve()) if options.log else None,
        "log_share": options.log_share,
        "pages": str(options.pages.resolve()) if options.pages else None,
    }
    folder = str(c_api.folder())
    path = os.pathsep.join([str(STAND_INS), zoobase.ROOT])
    environment = {"PYTHONPATH": path, c_api.VARIABLE: folder, "TF_CPP_MIN_LOG_LEVEL": "3"}
    reads = [*CODE, folder, base, *_read_for(options.config), *([options.pages] if options.pages else [])]

    def is_ready() -> bool:
        statuses = json.loads(launching.fetch(url))["model_version_status"]
        states = {int(status["version"]): status for status in statuses}
        for number, status in states.items():
            if status["state"] == "END" and version in (None, number):
                raise CheckFailed(f"the server refused version {number}: {status['status']['error_message'][:200]}")
        ready = [number for number, status in states.items() if status["state"] == "AVAILABLE"]
        return version in ready if version is not None else len(ready) == len(states) > 0

    command = [sys.executable, "-P", "-m", "export.serving.builtin", json.dumps(settings)]
    writes = [options.log] if options.log else []
    with launching.running(command, is_ready, environment, reads, writes):
        yield url


def _read_for(config: Path | None) -> list[Path]:
    """Return what may be read for a configuration: the base paths in it, and its folder's parent.

    The folder itself, `rollout`, is another one after each change.
    """
    if config is None:
        return []
    bases = [Path(entry.base_path) for entry in read_entries(config)] if config.is_file() else []
    return [config.absolute().parent.parent, *filter(Path.is_dir, bases)]


def read_entries(config: Path) -> list[Any]:
    """Return the models of a models.config.

    Raises:
        ExportError: If it cannot be read, or has none.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    message: Any = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(config.read_text(encoding="utf-8"), message)
    except (OSError, text_format.ParseError, ValueError) as error:
        raise ExportError(f"{config} is not a configuration of TF Serving ({error})") from error
    if not message.model_config_list.config:
        raise ExportError(f"{config} is a configuration of TF Serving without a model")
    return list(message.model_config_list.config)
