"""What a server for this machine alone answers: local names, bodies of bounded size, in bounded time.

Any page of the Web can make its reader's browser send requests to 127.0.0.1, and by a name of its own that leads there
(DNS rebinding) also read the answers. The browser then sends that name as Host, or the page as Origin.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
LARGEST_BODY = 64 << 20  # bytes
HEADER_SECONDS = 10.0  # until the headers of a request are there
SECONDS = 30.0  # until the body is there
MOST_REQUESTS, MOST_BYTES = 32, 256 << 20  # with a body, at once
RETRY_SECONDS = "1"
FULL = "too many requests at once; try again"
TOO_LARGE = f"the body has more than {LARGEST_BODY >> 20} MB"
FOREIGN = "this server answers requests of this machine only: Host and Origin must be local"
ADMIN = ("/metrics", "/v2/repository")  # of KServe: figures, and loading and unloading of models


def is_local(host: str | None, origin: str | None) -> bool:
    """Return whether a request names this machine, and is of no page from elsewhere."""
    return _name(f"//{host}") in NAMES and (origin is None or _name(origin) in NAMES)


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def bounded_protocol() -> type:
    """Return the HTTP protocol of uvicorn with a limit of the time until headers are there, which uvicorn has not."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.wait_for_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.wait_for_headers()

        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            if self.timer is not None:
                self.timer.cancel()

        def wait_for_headers(self) -> None:
            if self.timer is None and self.conn.their_state is h11.IDLE:
                self.timer = self.loop.call_later(HEADER_SECONDS, self.transport.close)
            elif self.timer is not None and self.conn.their_state is not h11.IDLE:
                self.timer.cancel()
                self.timer = None

    return Protocol


class Guard:
    """An ASGI application before another one, which gets whole requests that it may answer, and no others."""

    # A request that is refused is answered before its connection is closed, also while its body is still being sent.
    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app
        self.requests = self.bytes = 0  # with a body, that are being answered

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Refuse a request with a 4xx or 503, or have the application answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            await _refuse(receive, send, *refusal)
        elif scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
        elif self.requests >= MOST_REQUESTS:
            await _refuse(receive, send, 503, FULL)
        else:
            self.requests += 1
            try:
                await self._pass(scope, receive, send)
            finally:
                self.requests -= 1

    def _refusal(self, scope: dict[str, Any]) -> tuple[int, str] | None:
        """Return status and reason of a request that is refused as its head is read, or None."""

        def values(name: bytes) -> list[str]:
            return [value.decode("latin-1") for key, value in scope["headers"] if key == name]

        hosts, lengths = values(b"host"), values(b"content-length")
        if not hosts or not all(is_local(host, None) for host in hosts):
            return 400, FOREIGN
        if not all(is_local(hosts[0], origin) for origin in values(b"origin")):
            return 403, FOREIGN
        if "\0" in scope["path"]:
            return 400, "the path has a NUL"
        if len({*lengths}) > 1 or not all(length.isascii() and length.isdecimal() for length in lengths):
            return 400, "Content-Length is not a number"
        if scope["path"].startswith(ADMIN):
            return 404, "not offered"
        if any(len(length) > 18 or int(length) > LARGEST_BODY for length in lengths):
            return 413, TOO_LARGE
        return None

    async def _pass(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Read the body, and have the application answer."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return  # the client has gone
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    self.bytes += len(parts[-1])
                    if size > LARGEST_BODY or self.bytes > MOST_BYTES:
                        refusal = (413, TOO_LARGE) if size > LARGEST_BODY else (503, FULL)
                        parts.clear()
                        await _refuse(receive, send, *refusal)
                        return
                    if not message.get("more_body"):
                        break
            pending = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]
            parts.clear()

            async def replay() -> dict[str, Any]:
                return pending.pop() if pending else await receive()

            await self.app(scope, replay, send)
        except TimeoutError:
            await _refuse(receive, send, 408, f"the body was not there after {SECONDS:g} s")
        finally:
            self.bytes -= size


async def _refuse(receive: Any, send: Any, status: int, error: str) -> None:
    """Answer, and read on for a second: with bytes that are not read the client would see a reset, not the answer."""
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"retry-after", RETRY_SECONDS.encode())] if status == 503 else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    unread = 4 << 20
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while unread > 0 and (message := await receive())["type"] == "http.request" and message.get("more_body"):
                unread -= len(message["body"])
    await send({"type": "http.response.body"})
