"""The one place that imports TensorFlow and Keras first: quietly, and only where they can work."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

from export.runtime.backend import quiet_stderr
from zoo.core.errors import MissingError, UsageError

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ready = False


def prepare() -> None:
    """Import TensorFlow and Keras without log noise and check the environment. Later calls cost nothing.

    Raises:
        MissingError: TensorFlow or Keras is not installed.
        UsageError: Another Keras backend, legacy Keras, or channels_first is configured.
    """
    global _ready
    if _ready:
        return
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        raise UsageError("TF_USE_LEGACY_KERAS is set, and this zoo needs Keras 3: unset it and run again")
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise _other_backend(os.environ["KERAS_BACKEND"])
    _share_arenas()
    try:
        # C++ prints a line about missing CUDA before it reads any log level
        visible = "tensorflow" in sys.modules or os.environ.get("ZOO_DEBUG")
        with contextlib.nullcontext() if visible else quiet_stderr():
            import keras
            import tensorflow  # noqa: F401
    except ModuleNotFoundError as e:
        if e.name in ("jax", "torch", "openvino"):  # named in ~/.keras/keras.json
            raise _other_backend(e.name) from e
        raise MissingError(f"{e.name} is not installed: `pip install {e.name}`, or `make setup` in a clone") from e
    if keras.backend.backend() != "tensorflow":
        raise _other_backend(keras.backend.backend())
    if keras.config.image_data_format() != "channels_last":
        raise UsageError(
            "Keras is configured for channels_first, and this zoo needs channels_last: "
            "mend image_data_format in ~/.keras/keras.json"
        )
    _ready = True


def _share_arenas() -> None:
    """Let glibc's malloc keep an arena a core, where it would keep eight: what one thread frees the next takes again.

    A feed of a million examples from disk then peaks at 1.1 GB and not at 1.5, as fast (`benchmarks growth_feed`).
    """
    with contextlib.suppress(OSError, AttributeError):  # another libc has neither
        if "MALLOC_ARENA_MAX" not in os.environ:  # who has set it knows why
            ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, max(2, os.cpu_count() or 1))


def _other_backend(name: str) -> UsageError:
    return UsageError(f"Keras is set to run on {name!r}, and this zoo needs TensorFlow: set KERAS_BACKEND=tensorflow")


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Build models inside that compute in a precision; their variables are float32 in any case."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
