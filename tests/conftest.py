"""What commands change in their process is undone after each test that runs one in this process."""

from __future__ import annotations

import logging
import os

import pytest


@pytest.fixture(autouse=True)
def _settings_of_commands():
    """Restore ZOO_DEBUG, which `--debug` sets, and the log of `pipelines`, which a console shows."""
    log = logging.getLogger("pipelines")
    debug, level, propagate, handlers = os.environ.get("ZOO_DEBUG"), log.level, log.propagate, list(log.handlers)
    yield
    log.setLevel(level)
    log.propagate = propagate
    log.handlers[:] = handlers
    if debug is None:
        os.environ.pop("ZOO_DEBUG", None)
