"""Requests to a server on this machine by TF Serving's REST URLs."""

from __future__ import annotations

import urllib.error
import urllib.request

from export.wire import rest

SECONDS = 60.0  # for one answer
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy


class Refused(rest.NotJson):
    """An answer with an HTTP error.

    Attributes:
        status: The HTTP status.
        body: The body of the answer.
    """

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"the server returned {status}: {body[:200]}")
        self.status, self.body = status, body


def fetch(url: str, body: str | None = None) -> str:
    """Return the answer to a GET request, or to a POST request with a body in JSON.

    Raises:
        Refused: If the answer is an HTTP error.
        OSError: If there is none.
    """
    request = urllib.request.Request(url, body.encode() if body is not None else None)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with _OPENER.open(request, timeout=SECONDS) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from error
