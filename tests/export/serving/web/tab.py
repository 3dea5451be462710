"""Open pages in headless Chromium: read them, type and click, take images. By the DevTools protocol over a pipe."""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.protocol import chromium
from zoobase.errors import CheckFailed, Unavailable

SECONDS = 120.0  # for one page
STATES = "document.documentElement.dataset.state"  # "answered", "pass", "fail" or "error", as the scripts set it


class Tab:
    """A page of a headless Chromium."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._buffer, self._number, self._session = b"", 0, None
        self.requests: list[str] = []  # the URL of every request that a page made
        self.messages: list[str] = []  # on the console, violations of their content security policy included
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(time.monotonic() + SECONDS)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise CheckFailed(f"Chromium refuses {method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message; keep what events say."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise CheckFailed("Chromium does not answer")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Log.entryAdded":
            self.messages.append(parameters["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.messages.append(parameters["exceptionDetails"].get("exception", {}).get("description", "exception"))
        return message

    def open(self, url: str) -> str:
        """Open a page, wait for its first answer, and return its state; CheckFailed if it has no answer in time."""
        self.send("Page.navigate", url=url)
        return self.wait()

    def wait(self, condition: str = STATES) -> Any:
        """Wait until an expression of JavaScript is true, and return its value."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if value := self.evaluate(f"document.readyState === 'complete' && ({condition})"):
                return value
            time.sleep(0.02)
        raise CheckFailed(f"the page shows {self.text('status')!r} and nothing more after {SECONDS:g} s")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, which the content security policy does not concern."""
        result = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if details := result.get("exceptionDetails"):
            raise CheckFailed(details.get("exception", {}).get("description", "exception"))
        return result["result"].get("value")

    def text(self, name: str) -> str | None:
        """Return the text of the element with an id, or None."""
        return self.evaluate(f"document.getElementById({json.dumps(name)})?.textContent ?? null")

    def press(self, key: str) -> None:
        """Press a key, such as "ArrowLeft" or " "."""
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def choose_file(self, path: Path) -> None:
        """Choose a file in the first file input of the page."""
        node = self.send("Runtime.evaluate", expression="document.querySelector('input[type=file]')")["result"]
        self.send("DOM.setFileInputFiles", files=[str(path)], objectId=node["objectId"])


@contextlib.contextmanager
def tab() -> Iterator[Tab]:
    """Start Chromium and yield a page of it; Unavailable if there is none."""
    program = chromium.find()
    if program is None:
        raise Unavailable("no Chromium is installed; install it, or give its path in the environment variable CHROMIUM")
    (commands, write), (read, answers) = os.pipe(), os.pipe()

    def before_start():
        copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (commands, answers)]  # neither is 3 or 4
        for copy, number in zip(copies, (3, 4), strict=True):
            os.dup2(copy, number)

    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [program, *chromium.OPTIONS, "--no-sandbox", f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(
            [*command, "about:blank"], preexec_fn=before_start, start_new_session=True, close_fds=False, **quiet
        )
        os.close(commands)
        os.close(answers)
        try:
            yield Tab(read, write)
        finally:
            with contextlib.suppress(ProcessLookupError):  # its renderers too
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(write)
            os.close(read)
