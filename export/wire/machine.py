"""This process: its job, its bounds, and where this project caches what it downloads."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def end_with_parent() -> None:
    """Let the kernel end this process when its parent ends, also where that is killed; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def read_job() -> dict[str, Any]:
    """Return the job given on the command line; limit the memory of this process, and end it with its parent."""
    job = json.loads(Path(sys.argv[1]).read_text())
    end_with_parent()
    if job["memory"]:
        import resource  # not available on Windows

        resource.setrlimit(resource.RLIMIT_DATA, (job["memory"], job["memory"]))
    return job


def cache_folder() -> Path:
    """Return the path of the cache: $ZOO_CACHE, else keras-proof-zoo in the user's cache."""
    cache = os.environ.get("ZOO_CACHE")
    base = Path(cache) if cache else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "keras-proof-zoo"
    return base.expanduser().absolute()
