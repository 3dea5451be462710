"""Bundles that are served."""

import pytest

from export.serving.servers import builtin, launching, local


@pytest.fixture
def served():
    """Return a context manager that serves a bundle, with the pages of a folder beside it."""

    def serve(bundle, pages=None, server=builtin):
        (port,) = launching.free_ports(1)
        return local.serving(local.model_of(bundle), server, port, pages)

    return serve
