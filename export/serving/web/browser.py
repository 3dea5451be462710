"""The golden pages of a site in headless Chromium: each posts what it found to the server that it comes from."""

import json
import os
import queue
from pathlib import Path
from typing import Any

from export.protocol import chromium, loopback
from zoobase.errors import CheckFailed, Unavailable

SECONDS = 120.0  # for one page


def check(site: str | os.PathLike[str]) -> dict[str, tuple[str, str]]:
    """Open the golden page of every model of a site; return {path in the site: (state, what the page says)}."""
    folder, results = Path(site), queue.Queue[Any]()
    program = chromium.find()
    if program is None:
        raise Unavailable("no Chromium is installed; install it, or give its path in the environment variable CHROMIUM")

    class Handler(chromium.Handler):
        def do_POST(self) -> None:
            if loopback.is_local(self.headers["Host"], self.headers["Origin"]):
                results.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    found = {}
    with chromium.serving(folder, Handler) as url:
        for name in sorted(page.relative_to(folder).as_posix() for page in folder.rglob("golden.html")):
            with chromium.running(program, f"{url}/{name}#report"):
                try:
                    found[name] = tuple(results.get(timeout=SECONDS))
                except queue.Empty:
                    raise CheckFailed(f"{name} says nothing after {SECONDS:g} s") from None
    return found
