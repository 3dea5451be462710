"""Servers that are installed by `make servers`."""

from __future__ import annotations

import pytest

from export.serving.servers import builtin, launching, local
from tests.plugins import needs


@pytest.fixture
def installed_kserve():
    """Skip where KServe is not installed."""
    needs.require("kserve")


@pytest.fixture
def installed_triton():
    """Skip where Triton is not installed."""
    needs.require("triton")


@pytest.fixture
def served(installed_kserve):
    """Return a context manager that serves a bundle, with the pages of a folder beside it."""

    def serve(bundle, pages=None, server=builtin):
        (port,) = launching.free_ports(1)
        return local.serving(local.model_of(bundle), server, port, pages)

    return serve
