"""Large imports."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

from zoobase.console import quiet_stderr


def import_tensorflow() -> Any:
    """Import TensorFlow and return it."""
    with quiet_import():
        import tensorflow
    return tensorflow


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Hide what TensorFlow logs when it is imported in the block, unless ZOO_DEBUG is set (`--debug`).

    C++ prints a line about missing CUDA before it reads any log level.
    """
    visible = "tensorflow" in sys.modules or os.environ.get("ZOO_DEBUG")
    with contextlib.nullcontext() if visible else quiet_stderr(), without_garbage_collection():
        yield


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
