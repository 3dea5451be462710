"""Large imports."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


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
