"""Bundles are pushed and pulled whole, or not at all."""

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from export import pull, push
from export.__main__ import verbs
from export.bundle import layout
from export.serving.transfer import exchange
from export.serving.transfer.exchange import open_store
from export.serving.transfer.stores import WebStore
from zoobase import run
from zoobase.errors import CheckFailed, ExportError, Unavailable


@pytest.fixture
def bundle(bundles):
    return bundles("two_by_two").path


def contents(folder):
    return {name: (folder / name).read_bytes() for name in layout.files_of(folder)}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; /short/... breaks off half way, /away/... leads to http elsewhere."""

    def do_GET(self):
        _, first, *rest = self.path.split("/")
        if first == "away":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.2:9/x")
            self.end_headers()
            return
        self.path = "/" + "/".join(rest) if first == "short" else self.path
        if first == "short" and self.path.endswith(".tflite"):
            path = self.translate_path(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(os.path.getsize(path)))
            self.end_headers()
            with open(path, "rb") as file:
                self.wfile.write(file.read(100))
            return
        super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(folder):
        handler = functools.partial(Handler, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_there_and_back_by_folders(bundle, tmp_path):
    url = (tmp_path / "a store" / "net").as_uri()
    assert push(bundle, url) == str(tmp_path / "a store" / "net")
    assert pull(url, tmp_path / "back") == tmp_path / "back"
    assert contents(tmp_path / "back") == contents(bundle)
    assert os.listdir(tmp_path / "a store") == ["net"]
    with pytest.raises(ExportError, match="exists already"):
        push(bundle, url)
    with pytest.raises(ExportError, match="exists already"):
        pull(url, tmp_path / "back")


def test_a_web_server(bundle, tmp_path, serve):
    url = serve(bundle)
    assert contents(pull(f"{url}/", tmp_path / "b")) == contents(bundle)
    with pytest.raises(Unavailable, match="404"):
        pull(f"{url}/nowhere", tmp_path / "c")
    with pytest.raises(Unavailable, match=r"float32\.tflite cannot be read"):
        pull(f"{url}/short", tmp_path / "c")
    with pytest.raises((CheckFailed, Unavailable)):
        pull(f"{url}/away", tmp_path / "c")
    with pytest.raises(ExportError, match="can be pulled only"):
        push(bundle, url)
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".c.pulling-")] == ["b"]
    assert contents(pull(url, tmp_path / "c")) == contents(bundle)
    assert sorted(os.listdir(tmp_path)) == ["b", "c"]


def test_a_redirect_to_http_is_refused(bundle, serve, monkeypatch):
    monkeypatch.setattr("export.serving.transfer.stores._is_secure", lambda url: "manifest" not in url)
    with pytest.raises(CheckFailed, match="not encrypted"):
        next(WebStore(serve(bundle)).read("manifest.json"))


def test_damaged_bundles_are_not_pushed(damaged, tmp_path):
    folder, url = damaged("two_by_two"), (tmp_path / "store").as_uri()
    (folder / "model.keras").write_bytes(b"x")
    with pytest.raises(CheckFailed, match=r"damaged \(model.keras was changed"):
        push(folder, url)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.update({"../escaped": files["parity.json"]}), "not a path inside it"),
        (lambda files: files.update({"/tmp/escaped": files["parity.json"]}), "not a path inside it"),
        (lambda files: files.update({"manifest.json": files["parity.json"]}), "lists manifest.json"),
        (lambda files: files["parity.json"].update(bytes=10**18), "are pulled"),
        (lambda files: files["parity.json"].update(bytes=40 * 2**30), "make room|fewer bytes"),
        (lambda files: files["parity.json"].update(bytes=3), "more bytes than the 3 in manifest.json"),
        (lambda files: files["parity.json"].update(sha256="0" * 64), "its SHA-256 differs"),
        (lambda files: files.pop("parity.json"), "does not list parity.json"),
        (lambda files: files.update(none=dict(files["parity.json"])), "there is no file"),
    ],
)
def test_manifests_that_lie(damaged, tmp_path, change, message):
    folder = damaged("two_by_two")
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest["files"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ExportError, match=message):
        pull(folder.as_uri(), tmp_path / "out" / "b")
    assert not (tmp_path / "out" / "b").exists()
    assert not (tmp_path / "escaped").exists()


def test_a_damaged_file_and_an_endless_manifest(damaged, tmp_path, monkeypatch):
    folder = damaged("two_by_two")
    content = bytearray((folder / "tflite/float32.tflite").read_bytes())
    content[-1] ^= 1
    (folder / "tflite/float32.tflite").write_bytes(content)
    with pytest.raises(CheckFailed, match=r"tflite/float32\.tflite is not the file"):
        pull(folder.as_uri(), tmp_path / "b")
    monkeypatch.setattr(exchange, "LARGEST_LIST", 100)
    with pytest.raises(ExportError, match="larger than 100 bytes"):
        pull(folder.as_uri(), tmp_path / "b")
    assert os.listdir(tmp_path) == ["two_by_two"]


SLOW = """
import sys, time
from export.serving.transfer import exchange, stores
save = stores.save
def slow(blocks, path, entry, source):
    save(blocks, path, entry, source)
    print(path, flush=True)
    time.sleep(60)
stores.save = exchange.save = slow
(exchange.push if sys.argv[1] == "push" else exchange.pull)(sys.argv[2], sys.argv[3])
"""


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_killed_it_leaves_nothing_half(bundle, tmp_path, verb):
    target = tmp_path / "store" / "net"
    words = (bundle, target.as_uri()) if verb == "push" else (bundle.as_uri(), target)
    with subprocess.Popen([sys.executable, "-c", SLOW, verb, *map(str, words)], stdout=-1, text=True) as process:
        process.stdout.readline()  # one file is staged
        os.kill(process.pid, signal.SIGKILL)
    assert not target.exists()
    assert len(os.listdir(target.parent)) == 1
    {"push": push, "pull": pull}[verb](*words)
    assert os.listdir(target.parent) == ["net"]  # the staged folder of the killed process is gone
    assert contents(target) == contents(bundle)


@pytest.mark.parametrize(
    "url",
    [
        *("net", "ftp://host/net", "file://net", "file:///net?x", "https://", "https://me:secret@host/x"),
        *("http://host/x", "https://host/x?token=1", "hf://net", "hf://a/b/c", "hf://../b", "hf://a/b@"),
    ],
)
def test_urls_that_are_none(url, tmp_path):
    with pytest.raises(ExportError, match="write "):
        open_store(url)


@pytest.mark.both
def test_without_the_extra(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for transfer in (lambda: push(bundle, "hf://me/net"), lambda: pull("hf://me/net@v1", tmp_path / "b")):
        with pytest.raises(Unavailable, match=r"pip install 'huggingface_hub"):
            transfer()


def test_the_commands(bundle, tmp_path, capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stop:
            run(verbs, list(map(str, words)))
        return stop.value.code, *capsys.readouterr()

    url = (tmp_path / "net").as_uri()
    code, out, _ = call("push", bundle, url)
    assert (code, out) == (0, f"{tmp_path / 'net'}: pushed. Next: python -m export pull {url} DIR\n")
    code, out, _ = call("pull", url, tmp_path / "b")
    assert (code, out) == (0, f"{tmp_path / 'b'}: pulled. Next: python -m export verify {tmp_path / 'b'}\n")
    code, out, _ = call("pull", url, tmp_path / "c", "--json")
    assert (code, json.loads(out)) == (0, {"path": str(tmp_path / "c")})
    assert call("pull", url, tmp_path / "b")[0] == 2
    assert call("push", bundle, "https://example.com/net")[0] == 2
    shutil.rmtree(tmp_path / "net")
    assert call("pull", url, tmp_path / "d")[0] == 3
