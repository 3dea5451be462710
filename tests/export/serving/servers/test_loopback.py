"""A server of this machine answers no page of the Web, no endless body, and offers nothing that was not asked for."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from urllib.parse import urlsplit

import pytest

from export.serving.servers import kserve, launching, local, triton
from export.wire import chromium
from zoobase.errors import ExportError

FOREIGN = [
    {"Host": "rebound.example"},
    {"Host": "rebound.example:8501"},
    {"Host": "127.0.0.1.rebound.example"},
    {"Host": "169.254.0.1"},
    {"Origin": "https://example.org"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1.rebound.example"},
    {"Host": ""},
]
OURS = [{}, {"Host": "localhost:1"}, {"Host": "[::1]:8501"}, {"Origin": "http://127.0.0.1:3"}, {"Host": "LOCALHOST"}]


def status(url, path, method="GET", headers=(), body=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request(method, path, body, dict(headers))
    with connection.getresponse() as response:
        return response.status


def test_the_server_of_static_pages_answers_this_machine_only(tmp_path):
    (tmp_path / "page.html").write_text("page")
    with chromium.serving(tmp_path) as url:
        assert {status(url, "/page.html", headers=one) for one in OURS} == {200}
        assert {status(url, "/page.html", method, one) for one in FOREIGN for method in ("GET", "HEAD")} == {403}


@pytest.fixture(scope="module", params=["builtin", pytest.param("kserve", marks=pytest.mark.needs("kserve"))])
def served(request, bundles):
    server = local.SERVERS[request.param]
    (port,) = launching.free_ports(1)
    with local.serving(local.model_of(bundles("two_by_two").path), server, port) as served:
        yield served.url


def test_a_server_answers_this_machine_only(served):
    path = urlsplit(served).path
    assert {status(served, path, headers=one) for one in OURS} == {200}
    assert {status(served, path, headers=one) for one in FOREIGN} == {403}
    assert {status(served, f"{path}:predict", "POST", one, b"{}") for one in FOREIGN} == {403}


@pytest.mark.parametrize("path", ["/metrics", "/v2/repository/index"])
def test_what_was_not_asked_for_is_not_offered(served, path):
    assert status(served, path) in (400, 404)
    name = urlsplit(served).path.rpartition("/")[2]
    assert status(served, f"/v2/repository/models/{name}/unload", "POST") in (400, 404)
    assert status(served, urlsplit(served).path) == 200


def test_metrics_and_unload_are_offered_where_they_are_asked_for(bundles, served):
    (port,) = launching.free_ports(1)
    model = local.model_of(bundles("two_by_two").path)
    with local.serving(model, kserve, port, admin=True) as again:
        assert status(again.url, "/metrics") == 200
        assert status(again.url, f"/v2/repository/models/{model.name}/unload", "POST") == 200
    with (
        pytest.raises(ExportError, match="Triton has no --admin"),
        local.serving(model, triton, port, admin=True),
    ):
        pass


def send(url, head, body=b"", size=0):
    """Send a request, `size` bytes more in pieces, and return what was answered, and how much was sent."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(head + b"\r\n\r\n" + body)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < size:
                sent += connection.send(bytes(1 << 16))
        try:
            return connection.recv(1 << 16), sent
        except OSError:
            return b"", sent


def test_a_large_body_is_refused_and_not_read(served):
    head = f"POST {urlsplit(served).path}:predict HTTP/1.1\r\nHost: localhost\r\n".encode()
    size = 200_000_000
    answer, _ = send(served, head + b"Content-Length: %d" % size)
    assert answer.startswith(b"HTTP/1.1 413")
    _, sent = send(served, head + b"Content-Length: %d" % size, size=size)
    assert sent < size / 4  # what the buffers of the sockets hold
    chunked, one = head + b"Transfer-Encoding: chunked", b"%x\r\n" % (1 << 20) + bytes(1 << 20) + b"\r\n"
    answer, _ = send(served, chunked, one * 66)
    assert answer.startswith(b"HTTP/1.1 413")


def test_slow_and_many_connections_are_closed(served):
    parts = urlsplit(served)
    begun = time.monotonic()
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert slow.recv(1) == b""
    assert 5 < time.monotonic() - begun < 30
    many = [socket.create_connection((parts.hostname, parts.port), timeout=5) for _ in range(40)]
    try:
        time.sleep(1)
        closed = 0
        for one in many:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                closed += one.recv(1) == b""
        assert closed == 40 - 32
    finally:
        for one in many:
            one.close()
    time.sleep(0.5)
    assert status(served, parts.path) == 200
