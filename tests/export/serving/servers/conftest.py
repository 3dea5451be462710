"""Servers that are installed by `make servers`."""

from __future__ import annotations

import pytest

from export.serving.servers import builtin, kserve, launching, local, triton


@pytest.fixture
def installed_kserve():
    """Skip where KServe is not installed."""
    if problem := kserve.obstacle():
        pytest.skip(problem)


@pytest.fixture
def installed_triton():
    """Skip where Triton is not installed."""
    if problem := triton.obstacle():
        pytest.skip(problem)


@pytest.fixture
def served(installed_kserve):
    """Return a context manager that serves a bundle, with the pages of a folder beside it."""

    def serve(bundle, pages=None, server=builtin):
        (port,) = launching.free_ports(1)
        return local.serving(local.model_of(bundle), server, port, pages)

    return serve
