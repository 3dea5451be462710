"""Bundles in Debian's `docker-registry`, which has no referrers API; its storage and manifests are changed."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time

import pytest
import requests

from export import pull, push
from export.__main__ import verbs
from export.attestation import envelope, statement
from export.attestation.policy import admit, read_policy
from export.bundle.layout import read_manifest, seal
from export.serving.transfer import registry as registries
from export.serving.transfer.exchange import open_store
from tests.export.attestation.mutations import write_keys
from tests.export.serving.transfer.test_push import contents
from zoobase import run
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.ports import free_ports

pytestmark = pytest.mark.needs("registry", "attestation", "docker-registry")
SECRET = "me:$2b$05$AGQ1dCtky789VMPsebVOBuMpx3owfTSDlscIhVWvDm5ov6yof6FdK"  # bcrypt of "secret"
JSON = {"Content-Type": registries.MANIFEST}


class Registry:
    """A running registry, its storage and its log."""

    def __init__(self, folder, port, scheme):
        self.storage, self.log, self.seen = folder / "storage/docker/registry/v2", folder / "log", 0
        self.place, self.root = f"oci://127.0.0.1:{port}/team/net", f"{scheme}://127.0.0.1:{port}/v2/team/net"

    def blob(self, digest):
        name = digest.removeprefix("sha256:")
        return self.storage / "blobs/sha256" / name[:2] / name / "data"

    def call(self, method, path, **options):
        response = requests.request(method, f"{self.root}/{path}", timeout=10, **options)
        response.raise_for_status()
        return response

    def manifest(self, reference="v1"):
        accept = f"{registries.MANIFEST}, {registries.INDEX}"
        return self.call("GET", f"manifests/{reference}", headers={"Accept": accept})

    def send(self, content, kind=registries.FILE, title="x"):
        layer = registries._descriptor_of(kind, content) | {"annotations": {registries.TITLE: title}}
        open_store(f"{self.place}:v1", insecure=True)._send(content, layer)
        return layer

    def blobs(self, method):
        """Return the paths of blobs of the requests of a method since the last call."""
        lines = self.log.read_text().splitlines()
        lines, self.seen = lines[self.seen :], len(lines)
        return [path for line in lines for path in re.findall(rf'"{method} /v2/team/net/(blobs/\S+)', line)]


@contextlib.contextmanager
def running(folder, http=(), **configuration):
    (port,), scheme = free_ports(1), "https" if "tls" in dict(http) else "http"
    configuration |= {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": f"127.0.0.1:{port}", **dict(http)},
    }
    (folder / "config.yml").write_text(json.dumps(configuration))  # which is YAML
    registry = Registry(folder, port, scheme)
    with (
        registry.log.open("w") as log,
        subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log) as process,
    ):
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            yield registry
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def policy(keys, tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(f'signers = ["{keys[1]}"]\nconfined = false\n')
    return path


@pytest.fixture(scope="module")
def stored(registry, bundles, keys, tmp_path_factory):
    """Return the folder of a signed bundle, and what the registry stores of it as v1."""
    folder = shutil.copytree(bundles("two_by_two").path, tmp_path_factory.mktemp("signed") / "two_by_two")
    envelope.sign(folder, statement.statements_of(folder), keys[0])
    push(folder, f"{registry.place}:v1", insecure=True)
    return folder, shutil.copytree(registry.storage, tmp_path_factory.mktemp("stored") / "v2")


@pytest.fixture
def pushed(registry, stored, tmp_path):
    """Return a copy of the bundle, which alone is in the registry."""
    shutil.rmtree(registry.storage)
    shutil.copytree(stored[1], registry.storage)
    shutil.copyfile(envelope.envelopes_of(stored[0]), envelope.envelopes_of(tmp_path / "two_by_two"))
    return shutil.copytree(stored[0], tmp_path / "two_by_two")


def test_there_and_back(registry, pushed, policy, tmp_path, capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stop:
            run(verbs, list(map(str, words)))
        return stop.value.code, *capsys.readouterr()

    registry.blobs("PUT")
    code, out, _ = call("push", pushed, f"{registry.place}:v2", "--insecure", "--json")
    place = json.loads(out)["place"]
    assert (code, place) == (0, f"{registry.place}@{registry.manifest().headers['Docker-Content-Digest']}")
    assert registry.blobs("PUT") == []  # all of them were there
    for number, url in enumerate((place, f"{registry.place}:v1", f"{registry.place}:v2")):
        code, _, error = call("pull", url, tmp_path / f"out/{number}", "--insecure", "--policy", policy)
        assert (code, contents(tmp_path / f"out/{number}")) == (0, contents(pushed)), error
        assert admit(tmp_path / f"out/{number}", read_policy(policy))["verdict"] == "pass"
    assert sorted(os.listdir(tmp_path / "out")) == ["0", "0.intoto.jsonl", "1", "1.intoto.jsonl", "2", "2.intoto.jsonl"]
    index = registry.manifest(place.rpartition("@")[2].replace(":", "-")).json()["manifests"]
    assert [entry["artifactType"] for entry in index] == [registries.BOM, registries.ATTESTATION]  # not once a push
    bom = registry.manifest(index[0]["digest"]).json()["layers"][0]["digest"]
    assert json.loads(registry.blob(bom).read_bytes())["bomFormat"] == "CycloneDX"
    (tmp_path / "out/3.intoto.jsonl").write_text("mine")
    with pytest.raises(ExportError, match=r"3\.intoto\.jsonl exists already"):
        pull(place, tmp_path / "out/3", insecure=True)
    assert call("pull", f"{registry.place}:none", tmp_path / "b", "--insecure")[0] == 3
    code, _, error = call("pull", place, tmp_path / "b")
    assert (code, "needs --insecure" in error or "cannot be reached" in error) == (3, True)
    code, _, error = call("push", pushed, place, "--insecure")
    assert (code, "has no tag" in error) == (2, True)
    assert call("pull", pushed.as_uri(), tmp_path / "b", "--insecure")[0] == 2


def flip(registry, manifest):
    path = registry.blob(manifest["layers"][-1]["digest"])
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def cut(registry, manifest):
    path = registry.blob(manifest["layers"][-1]["digest"])
    path.write_bytes(path.read_bytes()[:-1])


def forge_field(registry, manifest):
    path = registry.blob(registry.manifest().headers["Docker-Content-Digest"])
    path.write_bytes(path.read_bytes().replace(b'"size":', b'"size": ', 1))


def named(title):
    def add(registry, manifest):
        manifest["layers"].append(registry.send(b"x", title=title))

    return add


def link(registry, manifest):
    """Add an archive that a client which unpacks archives would unpack: it holds a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(member)
    manifest["layers"].append(registry.send(buffer.getvalue(), "application/vnd.oci.image.layer.v1.tar", "archive"))


def swap(registry, manifest):
    one, other = (
        l
        for l in manifest["layers"]
        if l["annotations"][registries.TITLE] in ("README.md", "labels.txt", "model.keras")
    )
    one["annotations"], other["annotations"] = other["annotations"], one["annotations"]


def twice(registry, manifest):
    manifest["layers"].append(registry.send(b"x", title="model.keras"))


def size(registry, manifest):
    manifest["layers"][-1]["size"] += 1


def exchanged(registry, manifest):
    """Replace a file, its entry in manifest.json and the sums, as one who may write anything but has no key."""
    files = {l["annotations"][registries.TITLE]: l for l in manifest["layers"]}
    content = registry.blob(files["manifest.json"]["digest"]).read_bytes()
    sums = registry.blob(files["SHA256SUMS"]["digest"]).read_bytes()
    for name, new in (("README.md", b"Another.\n"), ("manifest.json", None), ("SHA256SUMS", None)):
        new = {"README.md": new, "manifest.json": content, "SHA256SUMS": sums}[name]
        layer = registry.send(new, title=name)
        old = json.loads(content)["files"].get(name)
        files[name].update(layer)
        if old:
            entry = json.loads(content)
            entry["files"][name] = {"sha256": layer["digest"][7:], "bytes": layer["size"]}
            content = (json.dumps(entry, indent=1, ensure_ascii=False) + "\n").encode()
            sums = sums.replace(old["sha256"].encode(), layer["digest"][7:].encode())
        elif name == "manifest.json":
            recorded = next(line for line in sums.splitlines() if line.endswith(b"  manifest.json"))
            sums = sums.replace(recorded, f"{layer['digest'][7:]}  manifest.json".encode())


TAMPERED = {
    "a byte of a file": (flip, None, "does not have the digest"),
    "a file that is cut": (cut, None, "has another size"),
    "a field of the manifest": (forge_field, None, "does not have the digest"),
    "two files swapped": (swap, "v1", "is not the bundle of its manifest.json"),
    "a missing file": (lambda _, m: m["layers"].pop(), "v1", "is not the bundle of its|it has no "),
    "a path with ..": (named("../escaped"), "v1", r"\.\./escaped differs"),
    "an absolute path": (named("/tmp/escaped"), "v1", "/tmp/escaped differs"),
    "an archive with a link": (link, "v1", r"malformed at layers.\d+.mediaType"),
    "two files of one name": (twice, "v1", "model.keras differs"),
    "another size": (size, "v1", "has another size"),
    "another type of a file": (
        lambda _, m: m["layers"][0].update(mediaType="text/plain"),
        "v1",
        "malformed at layers.0.mediaType",
    ),
    "another type of the artifact": (
        lambda _, m: m.update(artifactType="text/plain"),
        "v1",
        "the artifactType text/plain",
    ),
    "a file elsewhere": (
        lambda _, m: m["layers"][0].update(urls=["http://127.0.0.1/x"]),
        "v1",
        "malformed at layers.0",
    ),
    "all but the attestation": (exchanged, "v1", "has no attestation"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_what_was_changed_is_refused(registry, pushed, policy, tmp_path, kind):
    change, tag, message = TAMPERED[kind]
    manifest = registry.manifest().json()
    change(registry, manifest)
    if tag:
        registry.call("PUT", f"manifests/{tag}", data=json.dumps(manifest), headers=JSON)
    with pytest.raises(ExportError, match=message):
        pull(f"{registry.place}:v1", tmp_path / "out/b", policy=policy, insecure=True)
    assert not os.path.lexists(tmp_path / "out") or os.listdir(tmp_path / "out") == []
    assert not (tmp_path / "escaped").exists()


def attach(registry, **changes):
    """Let the index name one more attestation of the bundle, which is changed."""
    digest = registry.manifest().headers["Docker-Content-Digest"]
    tag = digest.replace(":", "-")
    index = registry.manifest(tag).json()
    attestation = registry.manifest(index["manifests"][-1]["digest"]).json() | changes
    content = json.dumps(attestation).encode()
    entry = registries._descriptor_of(registries.MANIFEST, content) | {"artifactType": registries.ATTESTATION}
    registry.call("PUT", f"manifests/{entry['digest']}", data=content, headers=JSON)
    index["manifests"].append(entry)
    registry.call("PUT", f"manifests/{tag}", data=json.dumps(index), headers={"Content-Type": registries.INDEX})


def test_attestations_of_others(registry, pushed, policy, keys, tmp_path):
    """An attestation of another bundle, by another key or of another state is none; the one that holds still does."""
    url, out = f"{registry.place}:v1", tmp_path / "out/b"
    other = shutil.copytree(pushed, tmp_path / "other/two_by_two")
    (other / "README.md").write_text("Another card.\n")
    seal(other, read_manifest(other))
    shutil.copyfile(envelope.envelopes_of(pushed), envelope.envelopes_of(other))
    with pytest.raises(CheckFailed, match=r"README.md was changed"):
        push(other, f"{registry.place}:other", insecure=True)
    path = envelope.sign(pushed, statement.statements_of(pushed), keys[2])
    push(pushed, url, insecure=True)  # the newest attestation is of another key
    pull(url, out, policy=policy, insecure=True)
    assert envelope.envelopes_of(out).read_bytes() != path.read_bytes()
    envelope.sign(other, statement.statements_of(other), keys[0])
    forged = registry.send(envelope.envelopes_of(other).read_bytes(), registries.ATTESTATION)
    attach(registry, layers=[forged])
    pull(url, tmp_path / "out/c", policy=policy, insecure=True)
    subject = {"mediaType": registries.MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}
    attach(registry, subject=subject)
    with pytest.raises(CheckFailed, match="refers to another bundle"):
        pull(url, tmp_path / "out/d", policy=policy, insecure=True)
    assert not (tmp_path / "out/d").exists()


def test_a_policy_is_checked_before_a_file_is_read(registry, pushed, keys, tmp_path):
    strict = tmp_path / "strict.toml"
    strict.write_text(f'signers = ["{keys[3]}"]\nconfined = false\n')
    registry.blobs("GET")
    with pytest.raises(CheckFailed, match="does not hold for"):
        pull(f"{registry.place}:v1", tmp_path / "out/b", policy=strict, insecure=True)
    own = {"manifest.json", "SHA256SUMS", "parity.json"}
    layers = registry.manifest().json()["layers"]
    read = [path.rpartition("/")[2] for path in registry.blobs("GET")]
    files = {layer["annotations"][registries.TITLE] for layer in layers if layer["digest"] in read}
    assert files == own
    strict.write_text("confined = false\nmin_coverage = 2\n")  # without signers: by the certificate of the bundle
    with pytest.raises(CheckFailed, match=r"oci://.* is not admitted: its coverage"):
        pull(f"{registry.place}:v1", tmp_path / "out/b", policy=strict, insecure=True)
    assert os.listdir(tmp_path / "out") == []


SLOW = """
import sys, time
from export.serving.transfer import exchange, registry
name, number = sys.argv[1], int(sys.argv[4])
step = registry.RegistryStore._send if name == "push" else exchange.save
def slow(*arguments):
    global number
    step(*arguments)
    number -= 1
    if not number:
        print("now", flush=True)
        time.sleep(60)
if name == "push":
    registry.RegistryStore._send = slow
else:
    exchange.save = slow
getattr(exchange, name)(sys.argv[2], sys.argv[3], insecure=True)
"""


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_killed_it_goes_on(registry, pushed, bundles, tmp_path, verb):
    if verb == "push":
        shutil.rmtree(registry.storage)
    target, url = tmp_path / "out/b", f"{registry.place}:v1"
    words, method = ((pushed, url), "PUT") if verb == "push" else ((url, target), "GET")
    registry.blobs(method)
    with subprocess.Popen([sys.executable, "-c", SLOW, verb, *map(str, words), "4"], stdout=-1, text=True) as process:
        assert process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    time.sleep(0.2)
    first = registry.blobs(method)
    if verb == "push":
        with pytest.raises(Unavailable, match="there is no"):
            pull(url, target, insecure=True)
        registry.blobs(method)
    else:
        assert not target.exists()
    {"push": push, "pull": pull}[verb](*words, insecure=True)
    second = registry.blobs(method)
    files = {layer["digest"] for layer in registry.manifest().json()["layers"]}
    own = 3 if verb == "pull" else 0  # manifest.json, SHA256SUMS and the attestation are read again
    fetched = len(
        [p for p in (*first, *second) if any(digest.replace(":", "%3A") in p or digest in p for digest in files)]
    )
    assert fetched == len(files) + (2 if own else 0)
    assert len(first) == 4 + own
    if verb == "push":
        pull(url, target, insecure=True)
    assert contents(target) == contents(pushed)
    assert sorted(os.listdir(target.parent)) == ["b", "b.intoto.jsonl"]


def test_what_a_folder_of_an_interrupted_pull_holds_is_checked(registry, pushed, tmp_path):
    manifest = hashlib.sha256((pushed / "manifest.json").read_bytes()).hexdigest()
    unfinished = tmp_path / f"out/.b.pulling-{manifest[:16]}"
    (unfinished / "bundle").mkdir(parents=True)
    (unfinished / "bundle/model.keras").write_bytes(b"cut")
    pull(f"{registry.place}:v1", tmp_path / "out/b", insecure=True)
    assert contents(tmp_path / "out/b") == contents(pushed)
    (linked := tmp_path / f"out/.c.pulling-{manifest[:16]}/bundle").mkdir(parents=True)
    (linked / "README.md").symlink_to(pushed / "README.md")
    with pytest.raises(ExportError, match="neither a plain file nor a folder"):
        pull(f"{registry.place}:v1", tmp_path / "out/c", insecure=True)
    (tmp_path / f"out/.d.pulling-{manifest[:16]}").symlink_to(tmp_path)
    with pytest.raises(ExportError, match="not a folder of this user"):
        pull(f"{registry.place}:v1", tmp_path / "out/d", insecure=True)


def test_a_login(bundles, tmp_path, monkeypatch):
    (tmp_path / "htpasswd").write_text(SECRET)
    auth = {"htpasswd": {"realm": "team", "path": str(tmp_path / "htpasswd")}}
    monkeypatch.setenv("HOME", str(tmp_path))
    with running(tmp_path, auth=auth) as registry:
        with pytest.raises(Unavailable, match="docker login"):
            push(bundles("two_by_two").path, f"{registry.place}:v1", insecure=True)
        (tmp_path / ".docker").mkdir()
        auths = {registry.place.split("/")[2]: {"auth": "bWU6c2VjcmV0"}}  # me:secret
        (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": auths}))
        place = push(bundles("two_by_two").path, f"{registry.place}:v1", insecure=True)
        pull(place, tmp_path / "b", insecure=True)


def test_encryption(bundles, tmp_path, monkeypatch):
    """A certificate of nobody is refused, and so is a registry that asks for the files without encryption."""
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = {"certificate": str(tmp_path / "certificate.pem"), "key": str(tmp_path / "key.pem")}
    subprocess.run(
        [*words.split(), "-out", files["certificate"], "-keyout", files["key"]], check=True, capture_output=True
    )
    bundle = bundles("two_by_two").path
    with running(tmp_path, http={"tls": files}) as registry:
        with pytest.raises(Unavailable, match=r"CERTIFICATE_VERIFY_FAILED"):
            push(bundle, f"{registry.place}:v1")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", files["certificate"])
        pull(push(bundle, f"{registry.place}:v1"), tmp_path / "b")
    shutil.rmtree(tmp_path / "storage")
    started = running(tmp_path, http={"tls": files, "host": "http://127.0.0.1:9"})
    with started as registry, pytest.raises(Unavailable, match="No connection adapters were found for 'http:"):
        push(bundle, f"{registry.place}:v1")


@pytest.mark.parametrize(
    "url", ["oci://host", "oci://host/Net:v1", "oci://host/net", "oci://host/net@sha256:0", "oci://u:p@host/net:1"]
)
def test_references_that_are_none(url):
    with pytest.raises(ExportError, match="write oci://"):
        open_store(url)
