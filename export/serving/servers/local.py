"""Serve a bundle or a base path on this machine, by the first server that is there."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from export.artifacts import check_trusted, describe
from export.artifacts.calling import endpoints_of
from export.bundle.gate import find_saved_model, read_proven
from export.bundle.layout import MANIFEST
from export.bundle.tf_serving import CONFIG
from export.contract import Contract, Endpoint
from export.formats.saved_model import check_base_path, newest_version
from export.serving.publisher import ROLLOUT
from export.serving.servers import builtin, kserve, launching, tensorflow_serving, triton
from export.wire import rest
from zoobase.errors import ExportError, Unavailable

SERVERS = {"tensorflow_serving": tensorflow_serving, "builtin": builtin, "kserve": kserve, "triton": triton}


@dataclass(frozen=True)
class Model:
    """What is served.

    Attributes:
        name: The name in the URL.
        base: The folder of its versions.
        version: The version.
        endpoints: Its signatures.
        requests: The folder of request bodies of a bundle, or None.
        config: The file models.config that says which versions are served once it exists, or None.
    """

    name: str
    base: Path
    version: int
    endpoints: tuple[Endpoint, ...]
    requests: Path | None
    config: Path | None = None

    @property
    def folder(self) -> Path:
        """The SavedModel."""
        return self.base / str(self.version)


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Attributes:
        url: Its URL.
        example: A command line that asks it.
        page: The URL of its page, or None.
        grpc: Host and port of gRPC, or None.
    """

    url: str
    example: str
    page: str | None = None
    grpc: str | None = None


def model_of(source: Path, trust: Collection[str] = ()) -> Model:
    """Return what to serve: a proven bundle, a base path by its rollout or else its newest version, or a models.config.

    Raises:
        ExportError: If `source` is none of them, or the bundle holds no SavedModel.
        CheckFailed: If the bundle is damaged or its proof did not pass, or the graph is not trusted.
    """
    requests = config = None
    name = source.resolve().name
    if source.is_file():
        name, source, config = *_of_config(source), source.absolute()
    elif (source / ROLLOUT).is_dir():
        config = source.absolute() / ROLLOUT / CONFIG
        name = _of_config(config)[0]
    if (source / MANIFEST).is_file():
        manifest = read_proven(source, "is served")
        artifact = find_saved_model(manifest)
        if artifact is None:
            raise ExportError(f"{source} holds no SavedModel to serve; export it with the format saved_model")
        folder, requests = source / artifact["path"], source / "golden" / rest.FOLDER
        contract = Contract.from_json(manifest["contract"])
        endpoints = tuple(contract[name] for name in artifact["endpoints"])
        check_trusted(describe(folder), trust)
    else:
        check_base_path(source)
        latest = newest_version(source) if source.is_dir() else None
        if latest is None:
            raise ExportError(
                f"{source} is neither a bundle nor a folder of versions: no {MANIFEST}, no numbered folder"
            )
        folder = latest[1]
        description = describe(folder)
        check_trusted(description, trust)
        endpoints = tuple(endpoints_of(description))
        config = config or source.absolute() / ROLLOUT / CONFIG
    return Model(name, folder.parent, int(folder.name), endpoints, requests, config)


def _of_config(path: Path) -> tuple[str, Path]:
    """Return the name and the base path of the first model of a models.config.

    A base path that is not on this machine, as in a container, is the folder that holds `rollout/models.config`.
    """
    entry = builtin.read_entries(path)[0]
    base = Path(entry.base_path)
    if not base.is_dir() and path.absolute().parent.name == ROLLOUT:
        base = path.absolute().parent.parent
    return entry.name, base


def choose(name: str | None = None) -> ModuleType:
    """Return the server of a name, or the first one that is installed.

    Raises:
        Unavailable: If it is not installed, or none is.
    """
    if name is not None:
        if problem := SERVERS[name].obstacle():
            raise Unavailable(problem)
        return SERVERS[name]
    for server in SERVERS.values():
        if server.obstacle() is None:
            return server
    raise Unavailable("no server is installed; python -m export servers --install kserve")


@contextlib.contextmanager
def serving(
    model: Model,
    server: ModuleType,
    port: int,
    page: Path | None = None,
    admin: bool = False,
    options: builtin.Options | None = None,
) -> Iterator[Served]:
    """Serve a model on 127.0.0.1 for the duration of the block.

    Args:
        model: What is served.
        server: Of `SERVERS`.
        port: The port.
        page: A folder of pages that are served beside it, by KServe and the built-in server only.
        admin: Whether metrics, load and unload are offered, too, by KServe only.
        options: Of the built-in server, which alone has them.

    Raises:
        ExportError: If the server has no pages or no such administration, or cannot serve a tensor of the model.
        CheckFailed: If the server does not start.
    """
    if page is not None and server not in (kserve, builtin):
        raise ExportError(f"{server.TITLE} serves no pages; python -m export serve --server builtin")
    if options is not None and server is not builtin:
        raise ExportError(f"{server.TITLE} writes no request log; python -m export serve --server builtin")
    if admin and server is not kserve:
        raise ExportError(f"{server.TITLE} has no --admin; python -m export serve --server kserve --admin")
    if server is triton:
        (grpc,) = launching.free_ports(1)
        with triton.serving(model.folder, model.endpoints, model.name, port, grpc) as address:
            url = f"http://{address.http}/v2/models/{model.name}"
            yield Served(url, f"curl {url}")
        return
    at = f"http://127.0.0.1:{port}/pages/" if page else None
    if server is builtin:
        chosen = replace(options or builtin.Options(), config=model.config, pages=page)
        chosen = replace(chosen, grpc_port=chosen.grpc_port or launching.free_ports(1)[0])
        follows = model.config is not None and model.config.is_file()
        version = None if follows else model.version
        with builtin.serving(model.base, version, model.name, port, chosen) as url:
            yield Served(url, _example(model, url), at, f"127.0.0.1:{chosen.grpc_port}")
        return
    more = {"pages": page, "admin": admin} if server is kserve else {}
    with server.serving(model.base, model.version, model.name, port, **more) as url:
        yield Served(url, _example(model, url), at)


def _example(model: Model, url: str) -> str:
    """Return a command line that asks the model: with a text where it takes one, else with a request of the bundle."""
    for endpoint in model.endpoints:
        if [(t.meaning, len(t.shape)) for t in endpoint.inputs] == [("text", 1)]:
            body = json.dumps({"signature_name": endpoint.name, "instances": ["a fine film"]})
            return f"curl -d {shlex.quote(body)} {url}:predict"
    file = model.requests / "serving_default.row.json" if model.requests else None
    return f"curl -d {shlex.quote(f'@{file}')} {url}:predict" if file and file.is_file() else f"curl {url}"
