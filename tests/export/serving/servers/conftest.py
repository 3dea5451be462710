"""Bundles that are served."""

import pytest

from export.serving.servers import builtin, launching, local


@pytest.fixture
def served():
    def serve(bundle, pages=None, server=builtin):
        (port,) = launching.free_ports(1)
        return local.serving(local.model_of(bundle), server, port, pages)

    return serve
