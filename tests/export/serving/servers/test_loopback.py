"""A server of this machine answers no page of the Web, and offers nothing that was not asked for."""

import http.client
from urllib.parse import urlsplit

import pytest

from export.protocol import chromium
from export.serving.servers import launching, local

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
    for one in FOREIGN:
        expected = 400 if "Host" in one else 403
        assert status(served, path, headers=one) == expected
        assert status(served, f"{path}:predict", "POST", one, b"{}") == expected


@pytest.mark.parametrize("path", ["/metrics", "/v2/repository/index"])
def test_what_was_not_asked_for_is_not_offered(served, path):
    assert status(served, path) in (400, 404)
    name = urlsplit(served).path.rpartition("/")[2]
    assert status(served, f"/v2/repository/models/{name}/unload", "POST") in (400, 404)
    assert status(served, urlsplit(served).path) == 200
