"""The golden pages of a site in headless Chromium: each posts what it found to the server that it comes from."""

import json
import os
import queue
from pathlib import Path

from export.protocol import chromium
from zoobase.errors import CheckFailed, Unavailable

SECONDS = 120.0  # for one page


def check(site: str | os.PathLike[str]) -> dict[str, tuple[str, str]]:
    """Open the golden page of every model of a site; return {path in the site: (state, what the page says)}."""
    folder, results = Path(site), queue.Queue[tuple[str, bytes]]()
    program = chromium.find()
    if program is None:
        raise Unavailable("no Chromium is installed; install it, or give its path in the environment variable CHROMIUM")

    found = {}
    with chromium.serving(folder, chromium.receiver(results)) as url:
        for name in sorted(page.relative_to(folder).as_posix() for page in folder.rglob("golden.html")):
            with chromium.running(program, f"{url}/{name}#report"):
                try:
                    found[name] = tuple(json.loads(results.get(timeout=SECONDS)[1]))
                except queue.Empty:
                    raise CheckFailed(f"{name} says nothing after {SECONDS:g} s") from None
    return found
