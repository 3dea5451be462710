"""Large imports."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator

from commandline.console import quiet_stderr


def import_tensorflow() -> None:
    """Import TensorFlow, without its log output unless ZOO_DEBUG is set (`--debug`)."""
    visible = "tensorflow" in sys.modules or os.environ.get("ZOO_DEBUG")
    with contextlib.nullcontext() if visible else quiet_stderr(), without_garbage_collection():
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector inside the block.

    What an import makes stays, so that collections visit it for nothing: a quarter of the CPU time in which TensorFlow
    and Keras are imported.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
