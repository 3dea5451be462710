"""Where this project caches what it downloads. Only the standard library, because runners use it."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Return the path of the cache: $ZOO_CACHE, else keras-proof-zoo in the user's cache."""
    cache = os.environ.get("ZOO_CACHE")
    base = Path(cache) if cache else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "keras-proof-zoo"
    return base.expanduser().absolute()
