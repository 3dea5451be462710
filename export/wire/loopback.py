"""What a server for this machine alone answers: local names, bodies of bounded size, in bounded time.

Any page of the Web can make its reader's browser send requests to 127.0.0.1, and by a name of its own that leads there
(DNS rebinding) also read the answers. The browser then sends that name as Host, or the page as Origin.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
LARGEST_BODY = 64 << 20  # bytes
SECONDS = 30.0  # until the body is there
FOREIGN = "this server answers requests of this machine only: Host and Origin must be local"
ADMIN = ("/metrics", "/v2/repository")  # of KServe: figures, and loading and unloading of models


def is_local(host: str | None, origin: str | None) -> bool:
    """Return whether a request names this machine, and is of no page from elsewhere.

    Example:
        >>> is_local("127.0.0.1:8501", None), is_local("localhost", "http://localhost:8501")
        (True, True)
        >>> is_local("rebound.example:8501", None), is_local("localhost", "https://example.org")
        (False, False)
    """
    return _name(f"//{host}") in NAMES and (origin is None or _name(origin) in NAMES)


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class Guard:
    """An ASGI application before another one, which gets whole requests that it may answer, and no others."""

    def __init__(self, app: Callable[..., Awaitable[None]], admin: bool = False) -> None:
        """Guard `app`; `admin` lets paths of `ADMIN` through."""
        self.app, self.admin = app, admin

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer with 403, 404, 408 or 413, or have the application answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        length = headers.get("content-length", "0")
        if not is_local(headers.get("host"), headers.get("origin")):
            await _refuse(send, 403, FOREIGN)
        elif not self.admin and scope["path"].startswith(ADMIN):
            await _refuse(send, 404, "not offered; python -m export serve --admin offers it")
        elif length.isdecimal() and int(length) > LARGEST_BODY:
            await _refuse(send, 413, f"the body has more than {LARGEST_BODY >> 20} MB")
        else:
            await self._pass(scope, receive, send)

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
                    if size > LARGEST_BODY or not message.get("more_body"):
                        break
        except TimeoutError:
            await _refuse(send, 408, f"the body was not there after {SECONDS:g} s")
            return
        if size > LARGEST_BODY:
            await _refuse(send, 413, f"the body has more than {LARGEST_BODY >> 20} MB")
            return
        pending = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

        async def replay() -> dict[str, Any]:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)


async def _refuse(send: Any, status: int, error: str) -> None:
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
