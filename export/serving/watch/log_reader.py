"""The request log of the built-in server and of nginx in the compose project, read while it is written and rotated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.serving.builtin.request_log import FILES, NAME

CLIENT_ERRORS = ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED")


@dataclass(frozen=True)
class Entry:
    """A request.

    Attributes:
        time: Seconds since 1970.
        version: The version that answered, or None.
        label: The label that was asked, or None.
        status: "OK", another code of gRPC, or a number of HTTP.
        seconds: How long the answer took.
        body: The body of the request, or None.
    """

    time: float
    version: int | None
    label: str | None
    status: str
    seconds: float
    body: str | None

    @property
    def is_answered(self) -> bool:
        """Whether it was answered."""
        return self.status in ("OK", "200")

    @property
    def is_refused(self) -> bool:
        """Whether it was the request that was wrong."""
        return self.status in CLIENT_ERRORS or self.status.startswith("4")


class LogReader:
    """Reads each line once; lines that are rotated away between two calls are read from their new file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._positions: dict[bytes, int] = {}  # digest of a file's first line, which has a time: bytes that were read

    def read(self) -> Iterator[Entry]:
        """Yield the requests that were written since the last call, oldest first."""
        names = [f"{NAME}.{i}" for i in range(FILES - 1, 0, -1)] + [NAME]
        for name in names:
            try:
                with (self._folder / name).open("rb") as file:
                    first = hashlib.sha256(file.readline()).digest()
                    file.seek(self._positions.get(first, 0))
                    text = file.read()
            except FileNotFoundError:
                continue
            end = text.rfind(b"\n") + 1
            if not end:  # nothing new, or not even a whole line
                continue
            self._positions[first] = self._positions.get(first, 0) + end
            for line in text[:end].splitlines():
                if (entry := _parsed(line)) is not None:
                    yield entry


def _parsed(line: bytes) -> Entry | None:
    """Return a line, or None for one that is none of ours."""
    try:
        data: dict[str, Any] = json.loads(line)
        version = data["version"]
        return Entry(
            float(data["time"]),
            None if version is None else int(version),
            data["label"],
            str(data["status"]),
            float(data["seconds"]),
            data["body"] or None,
        )
    except (ValueError, KeyError, TypeError):
        return None
