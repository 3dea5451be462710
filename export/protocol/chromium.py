"""Chromium without a window, and the server on loopback whose pages it opens. Only the standard library."""

import contextlib
import http.server
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

if __package__:
    from export.protocol.loopback import is_local
    from export.protocol.machine import end_with_parent
else:
    from loopback import is_local
    from machine import end_with_parent

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--password-store=basic",
    "--use-mock-keychain",
)


def find() -> str | None:
    """Return the path of Chromium or Chrome, or None; the environment variable CHROMIUM overrides it."""
    if program := os.environ.get("CHROMIUM"):
        return shutil.which(program)
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def version(program: str) -> str:
    """Return the version of a Chromium, such as "156.0.8078.108"."""
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout
    return next((word for word in text.split() if word[0].isdigit()), "unknown")


@contextlib.contextmanager
def running(program: str, url: str, options: Sequence[str] = ()) -> Iterator[subprocess.Popen]:
    """Open a page in a new Chromium with a profile of its own, which ends with the block, or with this process."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has none
        command = [program, *OPTIONS, *sandbox, f"--user-data-dir={profile}", *options, url]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # its renderers too
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the files of a folder."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def send_head(self) -> Any:
        """Answer requests of this machine only."""
        if is_local(self.headers["Host"], self.headers["Origin"]):
            return super().send_head()
        self.send_error(403, "Host and Origin must be local")
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def receiver(results: queue.Queue[tuple[str, bytes]]) -> type[Handler]:
    """Return a handler that also puts (path, body) of what its pages post into a queue."""

    class Receiver(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if is_local(self.headers["Host"], self.headers["Origin"]):
                results.put((self.path, body))
            self.send_response(204)
            self.end_headers()

    return Receiver


@contextlib.contextmanager
def serving(folder: Path, handler: type[Handler] = Handler) -> Iterator[str]:
    """Serve a folder on a free port of 127.0.0.1, and yield its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
