"""Start a server on loopback, wait until it is ready, and end it with the block or with this process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from export.protocol import machine, rest
from zoobase.errors import CheckFailed
from zoobase.ports import free_ports

START_TIMEOUT = 120.0  # seconds until a server must be ready
END_TIMEOUT = 10.0  # seconds that a server may take to end
SECONDS = 60.0  # for one answer
SYSTEM = ("/etc/hosts", "/etc/mime.types", "/etc/nsswitch.conf", "/bin")  # what servers look for besides libraries
__all__ = ["Refused", "fetch", "free_ports", "running"]
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy


@contextlib.contextmanager
def running(
    command: Sequence[str | os.PathLike[str]],
    is_ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    reads: Sequence[str | os.PathLike[str]] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the duration of the block, with a temporary folder of its own."""
    # `is_ready` may raise CheckFailed. The kernel forbids all but `reads` and packages; None: it confines itself.
    with tempfile.TemporaryDirectory(prefix="server-") as scratch:
        log, own = Path(scratch) / "log", Path(scratch) / "own"
        own.mkdir()
        if reads is not None:
            reads = [*map(os.path.realpath, (Path(command[0]).parent, *SYSTEM, *reads))]
            confinement = json.dumps({"reads": reads, "writes": [str(own)], "network": True})
            command = [sys.executable, "-P", machine.__file__, confinement, *command]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=os.environ | {"TMPDIR": str(own)} | (environment or {}),
                preexec_fn=machine.end_with_parent,
                start_new_session=True,
            )
        try:
            try:
                _wait(process, is_ready)
            except CheckFailed as error:
                lines = log.read_text(errors="replace").strip().splitlines()
                raise CheckFailed(f"{error}: {lines[-1][:300]}" if lines else str(error)) from None
            yield process
        finally:
            signals = (signal.SIGTERM, signal.SIGKILL) if reads is None else (signal.SIGKILL,)
            for number in signals:
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):  # its workers too
                    os.killpg(process.pid, number)
                    process.wait(END_TIMEOUT)
            process.wait()


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> None:
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        if process.poll() is not None:
            raise CheckFailed(f"the server ended with exit code {process.returncode}")
        with contextlib.suppress(OSError, ValueError, KeyError):
            if is_ready():
                return
        time.sleep(0.1)
    raise CheckFailed(f"the server was not ready after {START_TIMEOUT:g} s")


class Refused(rest.NotJson):
    """An answer with an HTTP error: its `status` and `body`."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"the server returned {status}: {body[:200]}")
        self.status, self.body = status, body


def fetch(url: str, body: str | None = None) -> str:
    """Return the answer to a GET request, or to a POST request with a body in JSON; Refused if it is an HTTP error."""
    request = urllib.request.Request(url, body.encode() if body is not None else None)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with _OPENER.open(request, timeout=SECONDS) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from error
