"""The application, as a process on loopback: what clients of TF Serving get, and what must not end it."""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from export import load
from export.protocol import loopback, rest
from export.serving.servers import builtin, launching, local
from zoobase.errors import CheckFailed

IMAGE = {"image": np.zeros((2, 12, 12, 1), "float32")}
BODY = rest.encode_request(IMAGE, "serving_default")


class Client:
    def __init__(self, url):
        self.url, self.address = url, urlsplit(url)

    @property
    def process(self):
        return next(p for p in psutil.Process().children(recursive=True) if self._is_server(p))

    def _is_server(self, process):
        with contextlib.suppress(psutil.Error):
            return "export.serving.application" in process.cmdline() and f'"port": {self.address.port},' in str(
                process.cmdline()
            )
        return False

    @property
    def model(self):
        return self.process.children()[0]

    def ask(self, method="GET", path="", body=None, headers=()):
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, self.address.path + path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read())

    def predict(self, body=BODY, path=":predict"):
        status, _, content = self.ask("POST", path, body)
        return status, content

    def raw(self, request):
        with socket.create_connection((self.address.hostname, self.address.port), timeout=60) as connection:
            connection.sendall(request)
            return connection.makefile("rb").readline().decode().strip()

    def available(self, seconds=60):
        end = time.monotonic() + seconds
        while self.ask()[2]["model_version_status"][0]["state"] != "AVAILABLE":
            assert time.monotonic() < end
            time.sleep(0.05)


@contextlib.contextmanager
def served(bundle, **options):
    model = local.model_of(bundle)
    with local.serving(model, builtin, *launching.free_ports(1), **options) as address:
        yield Client(address.url)


@pytest.fixture(scope="module")
def client(bundles):
    with served(bundles("functional_cnn").path) as client:
        yield client


def test_status_and_metadata_are_those_of_tf_serving(client, bundles):
    status = client.ask()[2]
    json_format.ParseDict(status, get_model_status_pb2.GetModelStatusResponse())
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    assert client.ask(path="/versions/1")[2] == status
    answer = client.ask(path="/metadata")[2]
    assert answer["model_spec"] == {"name": client.url.rpartition("/")[2], "signature_name": "", "version": "1"}
    parsed = json_format.ParseDict(answer["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap())
    file = bundles("functional_cnn").path / "saved_model" / "1" / "saved_model.pb"
    graph = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs[0]
    expected = {name: s for name, s in graph.signature_def.items() if not name.startswith("__")}
    for signature in expected.values():
        signature.ClearField("defaults")
    assert dict(parsed.signature_def) == expected
    assert json.loads(launching.fetch(f"{client.url.partition('/v1')[0]}/healthz")) == {"state": "AVAILABLE"}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "Expecting"),
        ("[]", "not a JSON object"),
        ('{"signature_name": "no", "instances": [0]}', 'Serving signature name: "no" not found in signature def'),
        ('{"instances": {"x": 1}}', "instances is not a list"),
        ('{"inputs": {"other": [0]}}', "other given where image was expected"),
        ('{"inputs": {"image": [[1, 2]]}}', "image has shape (1, 2), not (None, 12, 12, 1)"),
        ('{"instances": [' + ",".join(["0"] * 1_000_000) + "]}", "image has shape (1000000,), not"),
        (json.dumps({"instances": np.full((1, 12, 12, 1), "x").tolist()}), "is not of expected type: float32"),
        ("[" * 100_000, "nested too deeply"),
        ('{"instances": ' + "[" * 500 + "]" * 500 + "}", "image has shape"),
    ],
)
def test_names_dtypes_shapes_and_depth_are_checked(client, body, text):
    status, content = client.predict(body)
    assert (status, text in content["error"]) == (400, True), content


def test_other_paths(client):
    other = client.url.rpartition("/")[0]
    for path, method in (("/versions/9", "GET"), ("/versions/9:predict", "POST"), ("/labels/stable:predict", "POST")):
        assert client.ask(method, path, "{}" if method == "POST" else None)[0] == 404
    for url, body in ((f"{other}/another", None), (f"{other}/another:predict", "{}"), (f"{other}/a/b", None)):
        with pytest.raises(launching.Refused, match="the server returned 404"):
            launching.fetch(url, body)
    assert client.ask("GET", ":predict")[0] == 404


HEAD = "POST {path}:predict HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "head",
    [
        HEAD + "Host: example.org\r\nContent-Length: 2",
        HEAD + "Host: localhost\r\nHost: example.org\r\nContent-Length: 2",
        HEAD + "Host: example.org\r\nHost: localhost\r\nContent-Length: 2",
        HEAD + "Content-Length: 2",
        HEAD + "Host: localhost\r\nContent-Length: two",
        HEAD + "Host: localhost\r\nContent-Length: -2",
        HEAD + "Host: localhost\r\nContent-Length: 2\r\nContent-Length: 3",
        HEAD + "Host: localhost\r\nContent-Length: +2",
        HEAD + "Host: localhost\r\nContent-Length: " + "9" * 30,
        "GET {path}%00 HTTP/1.1\r\nHost: localhost",
        "GET /pages/%00 HTTP/1.1\r\nHost: localhost",
        "GET /\0 HTTP/1.1\r\nHost: localhost",
    ],
)
def test_malformed_requests_get_400(client, head):
    request = head.replace("{path}", client.address.path)
    line = client.raw(f"{request}\r\n\r\n{{}}".encode())
    assert line.startswith("HTTP/1.1 400") or ("9" * 30 in head and line.startswith("HTTP/1.1 413")), line
    assert client.predict()[0] == 200


@pytest.mark.extended
def test_64_clients_at_once_get_their_answers_or_503(client, bundles):
    images = np.random.default_rng(0).uniform(0, 255, (8, 12, 12, 1)).astype("float32")
    expected = load(bundles("functional_cnn").path)["serving_default"](image=images)["logits"]
    bodies = [rest.encode_request({"image": np.repeat(image[None], 64, 0)}, "serving_default") for image in images]
    counts, problems = {200: 0, 503: 0}, []

    def ask_often(i):
        for _ in range(12):
            try:
                status, headers, content = client.ask("POST", ":predict", bodies[i % 8])
                counts[status] += 1
                if status == 503:
                    assert headers["Retry-After"] == "1"
                else:
                    np.testing.assert_allclose(content["predictions"][63], expected[i % 8], atol=1e-4)
            except Exception as error:  # a reset, or another answer
                problems.append(repr(error))

    threads = [threading.Thread(target=ask_often, args=(i,)) for i in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert counts[200] > 100
    assert counts[503] > 0, counts
    print(counts)


@pytest.mark.extended
def test_a_full_disk_and_too_few_descriptors_do_not_end_it(bundles):
    with served(bundles("functional_cnn").path) as client:
        process = client.process
        # no byte can be written, and the process of the model has to be started again
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
        client.model.kill()
        time.sleep(0.2)
        client.available()
        assert client.predict()[0] == 200
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (process.num_fds() + 8,) * 2)
        idle = [socket.create_connection((client.address.hostname, client.address.port)) for _ in range(40)]
        time.sleep(0.5)
        client.model.kill()  # it cannot be started now
        time.sleep(2)
        for one in idle:
            one.close()
        client.available()
        assert client.predict()[0] == 200
        assert client.process.pid == process.pid


def test_the_model_has_a_limit_of_memory_and_is_confined(bundles):
    with served(bundles("functional_cnn").path, memory=1 << 30) as client:
        model = client.model
        assert resource.prlimit(model.pid, resource.RLIMIT_DATA)[0] == 1 << 30
        if sys.platform == "linux" and os.path.exists("/proc/self/ns/net"):
            with contextlib.suppress(PermissionError):
                assert os.readlink(f"/proc/{model.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        rows = ",".join(["[]"] * 20_000_000)  # 60 MB of JSON that need more than a gigabyte
        status, content = client.predict(f'{{"instances": [{rows}]}}')
        assert (status, "not enough memory" in content["error"]) == (413, True) or status == 500, content
        client.available()
        assert client.predict()[0] == 200


def test_a_model_that_cannot_be_loaded_is_refused(bundles, tmp_path):
    shutil.copytree(bundles("two_by_two").path / "saved_model" / "1", tmp_path / "net" / "1")
    (tmp_path / "net" / "1" / "variables" / "variables.index").unlink()
    model = local.Model("net", tmp_path / "net", 1, (), None)
    with (
        pytest.raises(CheckFailed, match=r"refused version 1: variables/variables\.index is missing"),
        local.serving(model, builtin, *launching.free_ports(1)),
    ):
        pass


def test_sigterm_drains(bundles):
    with served(bundles("functional_cnn").path) as client:
        process, model, answers = client.process, client.model, []
        connection = http.client.HTTPConnection(client.address.hostname, client.address.port, timeout=60)
        connection.putrequest("POST", f"{client.address.path}:predict")
        connection.putheader("Content-Length", str(len(BODY)))
        connection.endheaders()
        connection.send(BODY[:100].encode())
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.send(BODY[100:].encode())
        answers.append(connection.getresponse().status)
        assert answers == [200]
        process.wait(10)
        model.wait(10)
        with pytest.raises(OSError, match="refused"):
            client.ask()


def test_slow_and_large_requests_are_answered(client):
    head = f"POST {client.address.path}:predict HTTP/1.1\r\nHost: localhost\r\n".encode()
    assert client.raw(head + b"Content-Length: 200000000\r\n\r\n").startswith("HTTP/1.1 413")
    begun = time.monotonic()
    with socket.create_connection((client.address.hostname, client.address.port), timeout=60) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert slow.recv(1) == b""
    assert 5 < time.monotonic() - begun < 30


def test_refused_bodies_are_counted_and_given_back():
    import asyncio

    sent = []

    async def app(scope, receive, send):
        await receive()

    async def send(message):
        sent.append(message.get("status"))

    async def receive():
        return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}

    guard = loopback.Guard(app)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(guard(scope, receive, send))
    guard.bytes = loopback.MOST_BYTES
    asyncio.run(guard(scope, receive, send))
    guard.requests = loopback.MOST_REQUESTS
    asyncio.run(guard(scope, receive, send))
    assert [status for status in sent if status] == [413, 503, 503]
    assert (guard.requests, guard.bytes) == (loopback.MOST_REQUESTS, loopback.MOST_BYTES)
