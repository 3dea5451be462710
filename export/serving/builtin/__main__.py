"""python -m export.serving.builtin SETTINGS: serve until the process is ended. SETTINGS is JSON, see `Settings`."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from export.serving.builtin import grpc_api
from export.serving.builtin.errors import ServingError
from export.serving.builtin.metrics import Metrics
from export.serving.builtin.models import Models
from export.serving.builtin.request_log import RequestLog
from export.serving.builtin.rest_api import HttpServer
from export.serving.builtin.service import Service


@dataclass(frozen=True)
class Settings:
    """What is served, and how.

    Attributes:
        name: The name of the model of `base`.
        base: The folder of its versions.
        config: The file models.config; while it exists, it says what is served instead. It is read again.
        rest_port: A port of 127.0.0.1.
        grpc_port: Another one.
        poll_seconds: How often folders and the configuration are read again; 0 reads them once.
        trust: Operators that may run although they are not on the list of inference operators.
        log: A folder for the request log, or None.
        log_share: The share of requests that are logged.
        pages: A folder of pages at /pages/, or None.
    """

    name: str
    base: str
    config: str
    rest_port: int
    grpc_port: int
    poll_seconds: float
    trust: tuple[str, ...] = ()
    log: str | None = None
    log_share: float = 1.0
    pages: str | None = None


def read_config(settings: Settings) -> ModelServerConfig:
    """Return the configuration; a base path in it that is not on this machine, as in a container, is `base`.

    Raises:
        ServingError: If it cannot be read.
    """
    path, config = Path(settings.config), ModelServerConfig()
    if path.is_file():
        try:
            text_format.Parse(path.read_text(encoding="utf-8"), config)
        except (text_format.ParseError, ValueError) as error:
            raise ServingError("INVALID_ARGUMENT", f"{path} is not a configuration ({error})") from error
        for entry in config.model_config_list.config:
            if settings.base and not Path(entry.base_path).is_dir():
                entry.base_path = settings.base
        return config
    config.model_config_list.config.add(name=settings.name, base_path=settings.base, model_platform="tensorflow")
    return config


def poll(models: Models, settings: Settings) -> None:
    """Read the configuration and the folders of the versions again."""
    try:
        config = read_config(settings)
        if (Path(settings.config).is_file() and config != models.config) or not models.config.ByteSize():
            models.reload(config)
    except (ServingError, OSError) as error:  # what is served stays, and the next poll tries again
        print(f"the configuration is refused: {error}", file=sys.stderr, flush=True)
    models.refresh()


def main(settings: Settings) -> None:
    """Serve until the process is ended."""
    log = RequestLog(Path(settings.log), settings.log_share) if settings.log else None
    service = Service(Models(settings.trust), Metrics(), log)
    service.models.reload(read_config(settings))
    grpc_server = grpc_api.serve(settings.grpc_port, service)
    server = HttpServer(settings.rest_port, service, Path(settings.pages) if settings.pages else None)
    if settings.poll_seconds:
        waiting = threading.Event()

        def keep_polling() -> None:
            while not waiting.wait(settings.poll_seconds):
                poll(service.models, settings)

        threading.Thread(target=keep_polling, daemon=True).start()
    try:
        server.serve_forever()
    finally:
        grpc_server.stop(None)


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))
