"""The policy as a validating admission webhook of Kubernetes: which bundles an object names, and whether it may start.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from export.attestation.policy import Policy, admit
from zoobase.errors import CheckFailed, ExportError, KnownError

ANNOTATION = "keras-proof-zoo.invalid/bundle"  # of an object without storageUri, such as a Deployment of TF Serving
LONGEST = 4 << 20  # bytes of a review: the API server sends at most 3 MB
SECONDS = 10  # for the bytes of a request; Kubernetes itself waits that long for the answer


def review(request: Mapping[str, Any], root: Path, policy: Policy) -> dict[str, Any]:
    """Return the answer to an AdmissionReview.

    Args:
        request: The review, with an object such as an InferenceService of KServe.
        root: The folder of volumes: `pvc://NAME/PATH` and the annotation are looked up there.
        policy: What a bundle must hold.

    Raises:
        ExportError: If it is not an AdmissionReview.
    """
    asked = request.get("request")
    if request.get("kind") != "AdmissionReview" or not isinstance(asked, dict) or not isinstance(asked.get("uid"), str):
        raise ExportError("the request is not an AdmissionReview of admission.k8s.io/v1")
    answer = {"uid": asked["uid"], "allowed": True}
    try:
        names = sorted(set(_names(asked.get("object"))))
        if not names:
            raise CheckFailed(f"it names no bundle: give storageUri, or the annotation {ANNOTATION}")
        for name in names:
            admit(_locate(name, root), policy)
    except (KnownError, OSError) as error:
        answer |= {"allowed": False, "status": {"code": 403, "message": str(error)}}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}


def _names(value: Any, key: str = "") -> Iterator[str]:
    """Yield what an object names, at any depth: a template of a Deployment has annotations of its own."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _names(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item, key)
    elif key in ("storageUri", ANNOTATION):
        yield str(value)


def _locate(name: str, root: Path) -> Path:
    scheme, separator, place = name.rpartition("://")
    if separator and scheme != "pvc":
        raise CheckFailed(f"{name} is not on a volume that is checked here; use pvc://NAME/PATH")
    path = (root / place.strip("/")).resolve()
    if root.resolve() not in path.parents:
        raise CheckFailed(f"{name} leads out of the volumes")
    return path


def server(
    root: Path, policy: Policy, address: tuple[str, int], certificate: Path | None = None, key: Path | None = None
) -> ThreadingHTTPServer:
    """Return a server of the webhook; `serve_forever` runs it.

    Args:
        root: As of `review`.
        policy: As of `review`.
        address: Host and port.
        certificate: The chain of certificates (PEM) of HTTPS, which Kubernetes requires; None for HTTP.
        key: Its private key.

    Raises:
        ExportError: If the address is taken, or the certificate cannot be read.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", ""))
                if not 0 < length <= LONGEST:
                    raise ValueError("a review has 1 byte to 4 MB")
                parsed = json.loads(self.rfile.read(length))
                if not isinstance(parsed, dict):
                    raise ValueError("a review is a JSON object")
                self._answer(200, review(parsed, root, policy))
            except (ValueError, RecursionError, ExportError) as error:
                self._answer(400, {"error": str(error)})

        def _answer(self, code: int, content: Mapping[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    try:
        listening = ThreadingHTTPServer(address, Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
    except (OSError, OverflowError) as error:  # ssl.SSLError is an OSError
        raise ExportError(f"no webhook at {address[0]}:{address[1]}: {error}") from error
    return listening
