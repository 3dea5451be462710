"""The process that holds the model of the application: started, sent requests, and started again if it ends."""

import asyncio
import json
import os
import socket
import struct
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Any

from export.runtime.process import LAUNCHER, PASSED, RUNNERS, protocol_path

WORKER = RUNNERS / "jobs" / "answer_requests.py"
HEAD = struct.Struct("<QHQ")  # as of the worker
SECONDS = 120.0  # for one answer
RESTART_SECONDS = 1.0


class ModelProcess:
    """A confined process with a limit of memory that runs `export.runners.jobs.answer_requests`."""

    def __init__(self, job: Path) -> None:
        # as in TF Serving's ModelVersionStatus: "LOADING", "AVAILABLE", or "END" if the model cannot be loaded, and why
        self.state, self.error = "LOADING", ""
        self.signatures: dict[str, Any] = {}  # as in TF Serving's metadata
        self._job, self._number = job, 0
        self._waiting: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def keep(self) -> None:
        """Run the process, and run it again whenever it ends after it had loaded the model."""
        while self.state != "END":
            try:
                await self._run()
            except OSError as error:  # no descriptor or no memory is left: later there may be one
                self.error = str(error)
            await asyncio.sleep(RESTART_SECONDS)

    async def predict(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a predict request; 503 while there is no process."""
        if self.state != "AVAILABLE" or self._writer is None:
            return 503, _error(self.error or "the model is being loaded")
        self._number += 1
        number = self._number
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(SECONDS):
                self._writer.write(HEAD.pack(number, 0, len(body)))
                self._writer.write(body)
                await self._writer.drain()
                return await answer
        except TimeoutError:
            self._kill()  # a call cannot be stopped, and would hold its thread
            return 504, _error(f"the model did not answer within {SECONDS:g} s")
        except ConnectionError:
            return 500, _error("the process of the model ended")
        finally:
            self._waiting.pop(number, None)

    async def _run(self) -> None:
        """Start the process, and receive its answers until it ends."""
        ours, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED)} | protocol_path()
        command = [sys.executable, "-P", str(LAUNCHER), str(WORKER), str(self._job)]
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *command, stdin=theirs, stdout=DEVNULL, env=environment, start_new_session=True
                )
            reader, self._writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        loaded = False
        try:
            while True:
                number, status, length = HEAD.unpack(await reader.readexactly(HEAD.size))
                body = await reader.readexactly(length)
                if number == 0 and status == 200:
                    loaded, self.state, self.signatures, self.error = True, "AVAILABLE", json.loads(body), ""
                elif number == 0:
                    self._fail(json.loads(body)["error"])
                elif (answer := self._waiting.get(number)) and not answer.done():
                    answer.set_result((status, body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writer.close()
            self._writer = None
            self._kill()
        code = await self._process.wait()
        if loaded:
            self.state, self.error = "LOADING", "the process of the model ended; it is started again"
        elif not self.error:
            self._fail(f"the process ended with {code} while it loaded the model")
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result((500, _error("the process of the model ended")))

    def _fail(self, error: str) -> None:
        """Give up, unless the model has been loaded before: then memory may be short, and is tried again."""
        self.state, self.error = "LOADING" if self.signatures else "END", error

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()
