"""The built-in server with a configuration that changes: what it serves, once it has read it."""

from __future__ import annotations

import json
import time

from export.serving.servers import launching


def settled(url, states, seconds=30.0):
    """Wait until the versions of a model, by number, have these states."""
    end = time.monotonic() + seconds
    while True:
        statuses = json.loads(launching.fetch(url))["model_version_status"]
        found = {int(status["version"]): status["state"] for status in statuses}
        if states.items() <= found.items():
            return
        assert time.monotonic() < end, f"{found} instead of {states}"
        time.sleep(0.02)
