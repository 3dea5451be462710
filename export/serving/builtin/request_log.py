"""A sample of the requests, one JSON object a line, in files of bounded size and number.

    {"time": seconds since 1970, "model", "version", "label", "status": code, "seconds", "body": the REST body}

The body is what the client sent: a log holds personal data if the requests do. It is written where it is asked for.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAME = "requests.jsonl"
FILE_SIZE = 16 << 20  # bytes after which a file is rotated
FILES = 4  # that are kept: requests.jsonl, requests.jsonl.1, ...
LARGEST_BODY = 1 << 20  # characters; a longer body is left out


class RequestLog:
    """The log of a server; `share` of the requests are written, chosen at random."""

    def __init__(self, folder: Path, share: float, file_size: int = FILE_SIZE, seed: int | None = None) -> None:
        self._path, self._share, self._file_size = folder / NAME, share, file_size
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._file = self._path.open("a", encoding="utf-8")
        os.chmod(self._path, 0o600)

    def add(self, entry: dict[str, Any], body: Callable[[], str]) -> None:
        """Write a request, if it is in the sample."""
        with self._lock:
            if self._random.random() >= self._share:
                return
            text = body()
            line = json.dumps(entry | {"body": text if len(text) <= LARGEST_BODY else None})
            if self._file.tell() + len(line) > self._file_size:
                self._rotate()
            self._file.write(line + "\n")
            self._file.flush()

    def _rotate(self) -> None:
        self._file.close()
        names = [self._path, *(self._path.with_name(f"{NAME}.{i}") for i in range(1, FILES))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)
        self._file = self._path.open("a", encoding="utf-8")
        os.chmod(self._path, 0o600)
