"""Levels that run servers and older versions of TensorFlow: each passes, and fails where an answer differs."""

import dataclasses
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from export import publish
from export.protocol import c_api
from export.runtime import process
from export.serving.servecheck import CHECKS, rest_servers, runs, version
from export.serving.servers import builtin, launching


@pytest.fixture(scope="module", params=["text", "functional_cnn"])
def served(request, bundles, tmp_path_factory):
    """Return a version, with the outputs of TensorFlow: strings in, and files in."""
    base = tmp_path_factory.mktemp("served") / "net"
    published = publish(bundles(request.param).path, base)
    served = version.read_version(base, published.version, published.path)
    version.run(served)
    return served


@pytest.fixture
def changed(served):
    """Return a function that changes one expected value of a version, and restores it at the end."""
    case = served.cases["serving_default"][0]
    before = dict(case.outputs)

    def change():
        name, value = next((n, v) for n, v in case.outputs.items() if v.dtype.kind == "f")
        case.outputs[name] = value + np.float32(1e-3) * (np.arange(value.size).reshape(value.shape) == 0)
        return name

    yield change
    case.outputs.update(before)


@pytest.mark.needs("kserve")
def test_kserve(served, changed):
    level = CHECKS["kserve_v1"](served)
    assert (level.state, level.reason) == ("pass", None)
    assert "20 of 4 clients at once, 6 bad requests refused" in level.details
    name = changed()
    level = CHECKS["kserve_v1"](served)
    assert level.state == "fail"
    assert f"{name} in case" in level.reason


@pytest.mark.needs("triton")
def test_triton(served, changed):
    level = CHECKS["triton"](served)
    assert (level.state, level.reason) == ("pass", None)
    assert f"{2 * 3 * len(served.endpoints)} bad requests refused" in level.details
    name = changed()
    level = CHECKS["triton"](served)
    assert level.state == "fail"
    assert f"{name} in case" in level.reason


class Answering500(BaseHTTPRequestHandler):
    """A server that answers a predict request as the built-in one does, and a bad one with 500."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        try:
            status, text = 200, launching.fetch(self.server.url + ":predict", body)
        except launching.Refused as error:
            status, text = 500, error.body
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        """Print nothing."""


def test_servers_that_answer_otherwise_fail(served):
    """The built-in server passes; a server that answers a bad request with 500, and one that has ended, do not."""
    level = rest_servers.serve_and_check(served, "server", builtin)
    assert (level.state, level.reason) == ("pass", None)
    assert "20 of 4 clients at once, 6 bad requests refused" in level.details
    served = dataclasses.replace(served, endpoints=[e for e in served.endpoints if e.name == "serving_default"])
    with (
        builtin.serving(served.base, served.version, "net", *launching.free_ports(1)) as url,
        ThreadingHTTPServer(("127.0.0.1", 0), Answering500) as server,
    ):
        server.url = url
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bad = f"http://127.0.0.1:{server.server_port}/v1/models/net"
        level = rest_servers.check("server", served, bad, "a server of the tests")
        server.shutdown()
    assert level.state == "fail"
    assert level.reason == "a body that is not JSON: is answered with status 500 instead of 4xx"
    level = rest_servers.check("server", served, url, "it has ended")
    assert level.state == "fail"
    assert "Connection refused" in level.reason


@pytest.fixture
def older(monkeypatch, tmp_path):
    """Return a function that lets the level find a version in a folder: that of this TensorFlow, or a copy."""

    def place(folder):
        environment = SimpleNamespace(
            installed=True, folder=folder.parent, packages=folder.parent, requirements=("tensorflow-cpu==0",)
        )
        monkeypatch.setattr(runs, "OLDER", (environment,))

    return place


def test_older_versions_may_lie_anywhere(served, older, tmp_path, monkeypatch):
    monkeypatch.setenv(process.VARIABLE, "0")  # a server has its library before it is confined
    (tmp_path / "packages/tensorflow").mkdir(parents=True)
    for name in c_api.LIBRARIES:
        path = tmp_path / "packages/tensorflow" / name
        try:
            os.link(c_api.folder() / name, path)  # a gigabyte
        except OSError:
            shutil.copy(c_api.folder() / name, path)
    older(tmp_path / "packages/tensorflow")
    level = CHECKS["older_c_api"](served)
    assert (level.state, level.reason) == ("pass", None)


def test_older_versions(served, changed, older, tmp_path):
    older(c_api.folder())
    name = changed()
    level = CHECKS["older_c_api"](served)
    assert level.state == "fail"
    assert f"{name} in case" in level.reason
    (tmp_path / "tensorflow").mkdir()
    older(tmp_path / "tensorflow")
    level = CHECKS["older_c_api"](served)
    assert level.state == "fail"
    folder = tmp_path / "tensorflow"
    assert f"cannot run it: ended with exit code 1: ImportError: {folder} does not contain" in level.reason


def test_without_any_the_level_did_not_run(served, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    for level, name in (("kserve_v1", "kserve"), ("triton", "triton"), ("older_c_api", "tensorflow-2.20")):
        level = CHECKS[level](served)
        assert level.state == "not_run"
        assert level.reason.endswith(f"python -m export servers --install {name}")
    assert os.listdir(tmp_path) == []
