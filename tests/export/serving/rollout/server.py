"""A small server with the C++ loader of TF Serving, which reads versions and labels by TF Serving's rules.

It polls `rollout/models.config`, or without it serves the highest number. As in server_core.cc of TF Serving, a
configuration is refused as a whole if it moves an existing label to a version that is not loaded. Unlike TF Serving, it
never unloads a version.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.formats.saved_model import served_versions
from export.serving.publisher import ROLLOUT, find_version_damage
from export.wire import c_api, rest

SIGNATURE, POLL = "serving_default", 0.02


class Server:
    """A server of one base path on a free port of this machine, for use in a `with` statement."""

    def __init__(self, base, configured=True):
        self.base, self.configured = base, configured
        self.sessions, self.labels, self.problems = {}, {}, []
        self.available = set()  # versions that requests may name

    def __enter__(self):
        self.poll()
        self.stopping = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.port = self.http.server_address[1]
        self.threads = [threading.Thread(target=target) for target in (self.http.serve_forever, self.poll_forever)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stopping.set()
        self.http.shutdown()
        for thread in self.threads:
            thread.join()
        self.http.server_close()
        for session in self.sessions.values():
            session.close()

    def poll_forever(self):
        while not self.stopping.wait(POLL):
            try:
                self.poll()
            except Exception as error:
                self.problems.append(f"{type(error).__name__}: {error}")

    def poll(self):
        """Read the configuration once."""
        versions, labels = self.read()
        moved = [label for label, version in labels.items() if self.labels.get(label, version) != version]
        if self.configured and any(labels[label] not in self.available for label in moved):
            return  # FailedPrecondition: which is not currently available for inference
        for version in versions - set(self.sessions):
            folder = self.base / str(version)
            self.problems += find_version_damage(folder)  # a partial version
            self.sessions[version] = c_api.Session(folder)
        self.labels = labels
        self.available = versions

    def read(self):
        """Return the versions to load, and the version of each label."""
        if not self.configured:
            newest = max(served_versions(self.base))
            return {newest}, {"stable": newest}
        text = (self.base / ROLLOUT / "models.config").read_text()
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
        (entry,) = config.model_config_list.config
        return set(entry.model_version_policy.specific.versions), dict(entry.version_labels)

    def wait(self, label, version, seconds=20.0):
        """Wait until a label has reached a version."""
        end = time.monotonic() + seconds
        while self.labels.get(label) != version:
            assert time.monotonic() < end, f"{label} is {self.labels.get(label)}, not {version}; {self.problems}"
            time.sleep(POLL / 4)

    def answer(self, label, body):
        """Return the status and the body of the answer to a predict request."""
        version = self.labels.get(label)
        if version is None:
            return 404, json.dumps({"error": f"Unrecognized servable version label: {label}"})
        session = self.sessions[version]
        signature = session.signatures[SIGNATURE]
        inputs = rest.decode_request(body, {name: port[2] for name, port in signature.inputs.items()})
        return 200, rest.encode_response(session.run(signature, inputs))


def handler(server):
    """Return the class that answers `/v1/models/NAME/labels/LABEL:predict`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            label = self.path.rpartition("/")[2].removesuffix(":predict")
            try:
                status, text = server.answer(label, self.rfile.read(int(self.headers["Content-Length"])).decode())
            except Exception as error:
                status, text = 500, json.dumps({"error": str(error)})
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            """Print nothing."""

    return Handler
