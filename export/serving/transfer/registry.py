"""A registry of the Open Container Initiative (OCI), by the package `oras`, which knows the user's login.

A bundle is an artifact whose layers are its files, so that versions share those that are equal; the tag is written
last. Its attestation and bill of materials refer to it. Source: distribution-spec and image-spec 1.1.
"""

import contextlib
import functools
import hashlib
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.attestation import bom, envelope
from export.attestation.statement import canonical
from export.bundle import layout
from export.serving.transfer.stores import BLOCK, Store, one_line
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.requirements import install_command

SCHEMA = Path(__file__).with_name("artifact.schema.json")
MANIFEST, INDEX = (f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index"))
BUNDLE, FILE, ATTESTATION = (f"application/vnd.keras-proof-zoo.{kind}.v1" for kind in ("bundle", "file", "attestation"))
BOM = "application/vnd.cyclonedx+json"
TITLE, CREATED = "org.opencontainers.image.title", "org.opencontainers.image.created"
LARGEST_MANIFEST = 4 * 2**20  # bytes, what registries must take
SECONDS = (10, 300)  # to connect, and until a registry has hashed a large file
MOST = 16  # attestations of one bundle that are read
REFERENCE = re.compile(
    r"oci://(?P<host>[A-Za-z0-9.-]+(?::\d+)?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))",
    re.ASCII,
)


class RegistryStore(Store):
    """An artifact of a registry, by its tag or its digest."""

    def __init__(self, url: str, insecure: bool = False) -> None:
        """Take `oci://HOST/NAME:TAG` or `oci://HOST/NAME@sha256:DIGEST`; `insecure` is http."""
        match = REFERENCE.fullmatch(url)
        if match is None:
            raise ExportError(f"{url} is no artifact; write oci://HOST/NAME:TAG or oci://HOST/NAME@sha256:DIGEST")
        try:
            from oras.provider import Registry
        except ImportError as error:
            raise Unavailable(f"oci:// needs oras ({error}); {install_command('registry')}") from error
        self.url, self.host, self.name, self.tag, self.reference = url, *match.groups()
        self._scheme = "http" if insecure else "https"
        self._connect = functools.partial(Registry, hostname=self.host, insecure=insecure)

    @functools.cached_property
    def _registry(self) -> Any:
        """The client with the login of the user, with time limits, which nothing leads from https to http."""
        from oras.container import Container
        from oras.logger import setup_logger
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        setup_logger(quiet=True)
        registry = self._connect()
        again = Retry(3, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), raise_on_status=False)
        registry.session.adapters.clear()
        registry.session.mount(f"{self._scheme}://", HTTPAdapter(max_retries=again))
        registry.session.request = functools.partial(registry.session.request, timeout=SECONDS)  # `oras` sets none
        container = Container(f"{self.host}/{self.name}")
        container.registry = self.host  # also without a dot in it
        asked = registry.session.get(f"{self._scheme}://{self.host}/v2/").headers.get("WWW-Authenticate", "")
        is_basic = asked.lower().startswith("basic")
        registry.auth = self._connect(auth_backend="basic").auth if is_basic else registry.auth
        registry.auth.load_configs(container)
        if is_basic:  # given at once, so that no body is sent twice; without a login it raises
            registry.session.headers.update(registry.auth.get_auth_header())
        return registry

    def _call(self, method: str, path: str, absent: bool = False, data: Any = None, **headers: str) -> Any:
        """Return the response of the registry; None for 404 if that is no error."""
        url = path if "://" in path else f"{self._scheme}://{self.host}/v2/{self.name}/{path}"
        headers = {"Accept-Encoding": "identity"} | {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            registry = self._registry
            request = type(registry).do_request.__wrapped__  # without its retries, which take two minutes
            for _ in range(2):
                response = request(registry, url, method, data=data, headers=headers, stream=method == "GET")
                if response.status_code != 401:
                    break
                registry.auth.token = None  # it was one for reading, and is none for writing
        except Exception as error:  # the library passes on what its own libraries raise
            hint = f"http needs --insecure, a login docker login {self.host}"
            raise Unavailable(f"{self.url} cannot be reached: {one_line(error)}; {hint}") from error
        status = response.status_code
        if status >= 400 and not (status == 404 and absent):
            kind = Unavailable if status >= 500 or status in (401, 403, 404, 429) else CheckFailed
            hint = f"; docker login {self.host}" if status in (401, 403) else ""
            answer = f"{method} {path.partition('?')[0]}: {status} {response.reason}{hint}"
            raise kind(f"{self.url}: the registry answers {answer}")
        return response if status < 400 else None

    def _read(self, response: Any, largest: int, digest: str | None = None) -> Iterator[bytes]:
        """Yield what a response holds: at most so many bytes, with the digest that it must have."""
        checksum, size = hashlib.sha256(), 0
        try:
            with contextlib.closing(response):
                for block in response.raw.stream(BLOCK, decode_content=False):
                    if (size := size + len(block)) > largest:
                        raise CheckFailed(f"{self.url} is refused: {response.url} has more than {largest:,} bytes")
                    checksum.update(block)
                    yield block
        except CheckFailed:
            raise
        except Exception as error:
            raise Unavailable(f"{self.url} cannot be read: {one_line(error)}") from error
        if digest not in (None, f"sha256:{checksum.hexdigest()}"):
            raise CheckFailed(f"{self.url} is damaged or was changed: {response.url} does not have the digest {digest}")

    def _document(self, path: str, kind: str, digest: str | None = None) -> tuple[dict[str, Any], str] | None:
        """Return an index, or the manifest of a type, and its digest, which must be the one asked for; None for 404."""
        response = self._call("GET", path, absent=True, Accept=INDEX if kind == INDEX else MANIFEST)
        if response is None:
            return None
        expected = digest or response.headers.get("Docker-Content-Digest")
        content = b"".join(self._read(response, LARGEST_MANIFEST, expected))
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise CheckFailed(f"{self.url} is not a bundle: {path} is no JSON ({error})") from error
        layout.check_schema(self.url, path, document, SCHEMA)
        wanted = {"mediaType": INDEX} if kind == INDEX else {"mediaType": MANIFEST, "artifactType": kind}
        if wrong := [key for key, value in wanted.items() if document.get(key) != value]:
            raise ExportError(f"{self.url} is not a bundle: {path} has the {wrong[0]} {document.get(wrong[0])}")
        return document, f"sha256:{hashlib.sha256(content).hexdigest()}"

    @functools.cached_property
    def _artifact(self) -> tuple[dict[str, dict[str, Any]], str]:
        """The layers by their names, and the digest; a tag that is moved meanwhile changes neither."""
        found = self._document(f"manifests/{self.reference or self.tag}", BUNDLE, self.reference)
        if found is None:
            raise Unavailable(f"there is no {self.url}")
        return {layer["annotations"][TITLE]: layer for layer in found[0]["layers"]}, found[1]

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file, which has the digest and the size that the manifest gives."""
        layers, _ = self._artifact
        if name not in layers:
            raise CheckFailed(f"{self.url} is not a bundle: it has no {name}")
        yield from self._blob(layers[name])

    def _blob(self, layer: Mapping[str, Any]) -> Iterator[bytes]:
        response = self._call("GET", f"blobs/{layer['digest']}")
        if response.headers.get("Content-Length") not in (None, str(layer["size"])):
            raise CheckFailed(f"{self.url} is damaged or was changed: {layer['annotations'][TITLE]} has another size")
        return self._read(response, layer["size"], layer["digest"])

    def attestations(self, digests: Mapping[str, str]) -> Sequence[bytes]:
        """Return the attestations that refer to a bundle, which must be the files {name: sha256}, the newest first."""
        layers, subject = self._artifact
        listed = {name: layer["digest"].removeprefix("sha256:") for name, layer in layers.items()}
        if different := sorted(n for n in {*listed, *digests} if listed.get(n) != digests.get(n)):
            raise CheckFailed(f"{self.url} is not the bundle of its manifest.json: {different[0]} differs")
        entries: list[str] = []
        for place in (f"referrers/{subject}", _index_of(subject)):  # some list referrers by the type of their config
            index = None if entries else self._document(place, INDEX)
            entries += (
                [e["digest"] for e in index[0]["manifests"] if e.get("artifactType") == ATTESTATION] if index else []
            )
        contents = []
        for digest in entries[: -MOST - 1 : -1]:
            document, _ = self._document(f"manifests/{digest}", ATTESTATION, digest) or ({}, digest)
            if not document or document["subject"]["digest"] != subject:
                raise CheckFailed(f"{self.url}: the attestation {digest} is missing or refers to another bundle")
            contents.append(b"".join(self._blob(document["layers"][0])))
        return contents

    def check_writable(self) -> None:
        """Raise ExportError if the URL names no tag."""
        if self.tag is None:
            raise ExportError(f"{self.url} has no tag; push to oci://HOST/NAME:TAG")

    def write(self, bundle: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
        """Send what the registry has not, then what refers to the bundle, then its tag; return the place by digest."""
        manifest = layout.read_manifest(bundle)
        referrers = {BOM: canonical(bom.to_json(manifest["name"], manifest))}
        if (path := envelope.envelopes_of(bundle)).is_file():
            referrers[ATTESTATION] = path.read_bytes()
            digests = {name: entry["sha256"] for name, entry in files.items()}
            envelope.check_subjects(str(bundle), envelope.claimed_subjects(path), digests)
        layers = []
        for name, entry in files.items():
            layers.append({**_descriptor(FILE, entry["sha256"], entry["bytes"]), "annotations": {TITLE: name}})
            self._send(bundle / name, layers[-1])
        self._send(b"{}", EMPTY)
        content = _manifest(BUNDLE, layers, annotations={CREATED: manifest["created"]})
        subject = _descriptor_of(MANIFEST, content)
        for kind, attached in referrers.items():
            self._attach(subject, kind, attached)
        self._call("PUT", f"manifests/{self.tag}", data=content, Content_Type=MANIFEST)
        return f"oci://{self.host}/{self.name}@{subject['digest']}"

    def _send(self, source: Path | bytes, descriptor: Mapping[str, Any]) -> None:
        """Send a blob that is not there yet."""
        digest = descriptor["digest"]
        if self._call("HEAD", f"blobs/{digest}", absent=True) is not None:
            return
        begun = self._call("POST", "blobs/uploads/")
        url = urllib.parse.urljoin(begun.url, begun.headers["Location"])
        url += f"{'&' if '?' in url else '?'}digest={urllib.parse.quote(digest)}"
        with contextlib.nullcontext(source) if isinstance(source, bytes) else source.open("rb") as data:
            self._call("PUT", url, data=data if descriptor["size"] else None, Content_Type="application/octet-stream")

    def _attach(self, subject: Mapping[str, Any], kind: str, content: bytes) -> None:
        layer = _descriptor_of(kind, content) | {"annotations": {TITLE: kind.rpartition("/")[2]}}
        self._send(content, layer)
        referrer = _manifest(kind, [layer], subject=subject)
        entry = _descriptor_of(MANIFEST, referrer) | {"artifactType": kind}
        stored = self._call("PUT", f"manifests/{entry['digest']}", data=referrer, Content_Type=MANIFEST)
        if "OCI-Subject" in stored.headers:  # else whoever writes keeps the index
            return
        path = _index_of(subject["digest"])
        index, _ = self._document(path, INDEX) or ({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, "")
        if entry["digest"] not in [other["digest"] for other in index["manifests"]]:
            index |= {"manifests": [*index["manifests"], entry]}
            self._call("PUT", path, data=canonical(index), Content_Type=INDEX)


def _index_of(digest: str) -> str:
    """Return the path of the index of what refers to a digest, in a registry without the API of OCI 1.1."""
    return f"manifests/{digest.replace(':', '-')}"


def _descriptor(kind: str, sha256: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{sha256}", "size": size}


def _descriptor_of(kind: str, content: bytes) -> dict[str, Any]:
    return _descriptor(kind, hashlib.sha256(content).hexdigest(), len(content))


def _manifest(kind: str, layers: Sequence[Mapping[str, Any]], **fields: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": EMPTY, "layers": layers}
    return canonical(document | fields)


EMPTY = _descriptor_of("application/vnd.oci.empty.v1+json", b"{}")
