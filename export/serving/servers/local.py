"""Serve a bundle or a base path on this machine, by the first server that is there."""

import contextlib
import json
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from export.artifacts import check_trusted, describe
from export.artifacts.calling import endpoints_of
from export.bundle.gate import find_saved_model, read_proven
from export.bundle.layout import MANIFEST
from export.contract import Contract, Endpoint
from export.formats.saved_model import check_base_path, newest_version
from export.protocol import rest
from export.serving.servers import builtin, kserve, launching, tensorflow_model_server, triton
from zoobase.errors import ExportError, Unavailable

SERVERS = {"tensorflow_model_server": tensorflow_model_server, "builtin": builtin, "kserve": kserve, "triton": triton}


@dataclass(frozen=True)
class Model:
    """What is served."""

    name: str  # the name in the URL
    base: Path  # the folder of its versions
    version: int  # the version
    endpoints: tuple[Endpoint, ...]  # its signatures
    requests: Path | None  # the folder of request bodies of a bundle, or None

    @property
    def folder(self) -> Path:
        """The SavedModel."""
        return self.base / str(self.version)


@dataclass(frozen=True)
class Served:
    """A model that is served."""

    url: str  # its URL
    example: str  # a command line that sends a request
    page: str | None = None  # the URL of its page, or None


def model_of(source: Path, trust: Collection[str] = ()) -> Model:
    """Return what to serve: a proven bundle, or the newest version of a base path.

    Raises:
        ExportError: If `source` is neither, or the bundle holds no SavedModel.
        CheckFailed: If the bundle is damaged or its proof did not pass, or the graph is not trusted.
    """
    name = source.resolve().name
    if (source / MANIFEST).is_file():
        manifest = read_proven(source, "is served")
        artifact = find_saved_model(manifest)
        if artifact is None:
            raise ExportError(f"{source} holds no SavedModel to serve; export it with the format saved_model")
        folder = source / artifact["path"]
        contract = Contract.from_json(manifest["contract"])
        endpoints = tuple(contract[name] for name in artifact["endpoints"])
        check_trusted(describe(folder), trust)
        return Model(name, folder.parent, int(folder.name), endpoints, source / "golden" / rest.FOLDER)
    check_base_path(source)
    latest = newest_version(source) if source.is_dir() else None
    if latest is None:
        raise ExportError(f"{source} is neither a bundle nor a folder of versions: no {MANIFEST}, no numbered folder")
    folder = latest[1]
    description = describe(folder)
    check_trusted(description, trust)
    return Model(name, folder.parent, int(folder.name), tuple(endpoints_of(description)), None)


def choose(name: str | None = None) -> ModuleType:
    """Return the server of a name, or the first one that is installed; Unavailable if there is none."""
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
    model: Model, server: ModuleType, port: int, page: Path | None = None, memory: int | None = None
) -> Iterator[Served]:
    """Serve a model on 127.0.0.1 by a server of `SERVERS` for the duration of the block.

    Raises:
        ExportError: If the server does not have an option, or cannot serve a tensor of the model.
        CheckFailed: If the server does not start.
    """
    if page is not None and server is not builtin:
        raise ExportError(f"{server.TITLE} serves no pages; python -m export serve --server builtin")
    if memory is not None and server is not builtin:
        raise ExportError(f"{server.TITLE} has no --memory; python -m export serve --server builtin")
    if server is triton:
        (grpc,) = launching.free_ports(1)
        with triton.serving(model.folder, model.endpoints, model.name, port, grpc) as address:
            url = f"http://{address.http}/v2/models/{model.name}"
            yield Served(url, f"curl {url}")
        return
    options = {"pages": page, "memory": memory} if server is builtin else {}
    with server.serving(model.base, model.version, model.name, port, **options) as url:
        yield Served(url, _example(model, url), f"http://127.0.0.1:{port}/pages/" if page else None)


def _example(model: Model, url: str) -> str:
    """Return a command line that sends a request: with a text where it takes one, else with a request of the bundle."""
    for endpoint in model.endpoints:
        if [(t.meaning, len(t.shape)) for t in endpoint.inputs] == [("text", 1)]:
            body = json.dumps({"signature_name": endpoint.name, "instances": ["a fine film"]})
            return f"curl -d {shlex.quote(body)} {url}:predict"
    file = model.requests / "serving_default.row.json" if model.requests else None
    return f"curl -d {shlex.quote(f'@{file}')} {url}:predict" if file and file.is_file() else f"curl {url}"
