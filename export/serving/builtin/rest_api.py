"""TF Serving's REST API over the HTTP server of Python, for this machine only, with bounds of size, time and number.

Paths and errors as in http_rest_api_handler.cc and http_rest_api_util.cc of TF Serving.
"""

from __future__ import annotations

import contextlib
import io
import json
import mimetypes
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from google.protobuf import json_format
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.model_pb2 import ModelSpec

from export.serving.builtin import metrics
from export.serving.builtin.errors import ServingError
from export.serving.builtin.grpc_api import model_status
from export.serving.builtin.service import Service, Spec, run
from export.wire import loopback, rest

MODEL = r"(?i)/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
ASKED = re.compile(MODEL + ":(classify|regress|predict)")
DESCRIBED = re.compile(MODEL + r"(?:/(metadata))?")
MOST_CONNECTIONS = 32
HEADER_SECONDS = 10.0  # until the headers of a request are there
PAGES = "/pages/"
KINDS = {"classify": "classification", "regress": "regression"}
ALWAYS = {"always_print_fields_with_no_presence": True}


class HttpServer(ThreadingHTTPServer):
    """The server; a connection beyond the limit is closed at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, service: Service, pages: Path | None = None) -> None:
        self.service, self.pages = service, pages.resolve() if pages else None
        self._free = threading.Semaphore(MOST_CONNECTIONS)
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there are not too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""


class _Bounded(io.RawIOBase):
    """What a client sends, until a deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self.deadline = connection, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining)
        return self._connection.recv_into(buffer)


class _HttpError(Exception):
    """An answer with a status of HTTP after which the connection is closed, because the request was not read."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: HttpServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "export-serve", ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Read with a deadline."""
        super().setup()
        self.bounded = _Bounded(self.connection)
        self.rfile = io.BufferedReader(self.bounded)

    def handle_one_request(self) -> None:
        """Answer one request."""
        self.bounded.deadline = time.monotonic() + HEADER_SECONDS
        super().handle_one_request()

    def do_GET(self) -> None:
        """Answer with a status, metadata, figures or a page."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a predict request."""
        self._answer(self._post)

    def _answer(self, function: Any) -> None:
        try:
            if not loopback.is_local(self.headers.get("Host"), self.headers.get("Origin")):
                raise _HttpError(403, loopback.FOREIGN)
            body = self._body()
            status, kind, content = function(unquote(urlsplit(self.path).path), body)
        except _HttpError as error:
            self.close_connection = True
            self._send(error.status, "application/json", _json({"error": str(error)}))
            self._drain()
            return
        except ServingError as error:
            status, kind, content = error.http_status, "application/json", _json({"error": str(error)})
        self._send(status, kind, content)

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.connection.settimeout(loopback.SECONDS)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _drain(self) -> None:
        """Read on for a second, so that the answer is not lost with what the client still sends."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.bounded.deadline = time.monotonic() + 1
            rest_of = 4 << 20
            while rest_of > 0 and (part := self.rfile.read1(1 << 16)):
                rest_of -= len(part)

    def _body(self) -> bytes:
        self.bounded.deadline = time.monotonic() + loopback.SECONDS
        try:
            if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                return b"".join(self._chunks())
            length = self.headers.get("Content-Length", "0")
            if not length.isdecimal():
                raise _HttpError(400, "Content-Length is not a number")
            return self._read(int(length), 0)
        except TimeoutError as error:
            raise _HttpError(408, f"the body was not there after {loopback.SECONDS:g} s") from error

    def _chunks(self) -> Any:
        total = 0
        while True:
            line = self.rfile.readline(1 << 12).split(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError as error:
                raise _HttpError(400, "a chunk of the body has no size") from error
            if size <= 0:
                while self.rfile.readline(1 << 16).strip():  # trailers
                    pass
                return
            yield self._read(size, total)
            total += size
            self.rfile.readline(4)

    def _read(self, size: int, before: int) -> bytes:
        if before + size > loopback.LARGEST_BODY:
            raise _HttpError(413, f"the body has more than {loopback.LARGEST_BODY >> 20} MB")
        data = self.rfile.read(size)
        if len(data) < size:
            raise _HttpError(400, "the body is shorter than its length")
        return data

    def _get(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        service = self.server.service
        if path == metrics.PATH:
            return 200, "text/plain", service.metrics.text().encode()
        if self.server.pages and path.startswith(PAGES):
            return self._page(path.removeprefix(PAGES))
        if not (match := DESCRIBED.fullmatch(path)):
            raise ServingError("INVALID_ARGUMENT", f"Malformed request: GET {path}")
        spec = _spec(match)
        if match[4]:
            with service.models.using(spec.name, spec.version, spec.label) as version:
                return 200, "application/json", _metadata(spec.name, version.number, version.signatures).encode()
        text = json_format.MessageToJson(model_status(service.models, spec), indent=1, **ALWAYS)
        return 200, "application/json", f"{text}\n".encode()

    def _page(self, name: str) -> tuple[int, str, bytes]:
        file = (self.server.pages / (name or "index.html")).resolve()
        if not file.is_relative_to(self.server.pages) or not file.is_file():
            raise ServingError("NOT_FOUND", f"there is no page {name}")
        return 200, mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes()

    def _post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        if not (match := ASKED.fullmatch(path)):
            raise ServingError("INVALID_ARGUMENT", f"Malformed request: POST {path}")
        spec, method = _spec(match), match[4].lower()
        with self.server.service.answering(spec, "REST", lambda: body.decode(errors="replace")) as version:
            request = _parsed(body)
            name = request.get("signature_name") or "serving_default"
            if not isinstance(name, str) or name not in version.session.signatures:
                raise ServingError("INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def')
            if method != "predict":
                was = version.signatures.signature_def[name].method_name
                raise ServingError(
                    "INVALID_ARGUMENT" if was.endswith("/predict") else "UNIMPLEMENTED",
                    f"Expected {KINDS[method]} signature method_name to be tensorflow/serving/{method}. Was: "
                    f"{was}; this server answers :predict only",
                )
            signature = version.session.signatures[name]
            dtypes = {key: dtype for key, (_, _, dtype) in signature.inputs.items()}
            outputs = run(version, name, rest.decode_request(request, dtypes))
            return 200, "application/json", _json(_response(outputs, "instances" in request))

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""


def _spec(match: re.Match[str]) -> Spec:
    return Spec(match[1], int(match[2]) if match[2] else None, match[3])


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except ValueError as error:
        raise ServingError("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
    if not isinstance(request, dict):
        raise ServingError("INVALID_ARGUMENT", "JSON Parse error: the request is not an object")
    return request


def _response(outputs: dict[str, Any], row: bool) -> dict[str, Any]:
    sizes = {name: value.shape[:1] for name, value in outputs.items()}
    if row and (len(set(sizes.values())) != 1 or () in sizes.values()):
        raise ServingError("INVALID_ARGUMENT", f"outputs have inconsistent batch sizes, {sizes}; ask in column format")
    return rest.response_of(outputs, row)


def _metadata(name: str, number: int, signatures: SignatureDefMap) -> str:
    spec = ModelSpec(name=name)
    spec.version.value = number
    options = ALWAYS | {"preserving_proto_field_name": True}
    parts = [json_format.MessageToJson(message, indent=1, **options) for message in (spec, signatures)]
    return f'{{\n"model_spec":{parts[0]},\n"metadata": {{"signature_def": {parts[1]}}}\n}}\n'
