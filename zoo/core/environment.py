"""Imports TensorFlow and Keras without log output, and checks that the environment supports them."""

import contextlib
import ctypes
import logging
import os
import warnings
from collections.abc import Iterator

from zoobase.errors import MissingError, UsageError
from zoobase.importing import quiet_import
from zoobase.requirements import install_command

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ready = False


def prepare() -> None:
    """Import TensorFlow and Keras without log output and check the environment. Later calls return at once."""
    global _ready
    if _ready:
        return
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        raise UsageError("TF_USE_LEGACY_KERAS is set, and this zoo needs Keras 3: unset it and run again")
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise _other_backend(os.environ["KERAS_BACKEND"])
    # glibc has eight arenas a core. With one, threads reuse each other's freed memory: the peak of a feed of a million
    # examples from disk falls from 1.5 to 1.1 GB (`benchmarks growth_feed`). Other C libraries have no such option.
    if "MALLOC_ARENA_MAX" not in os.environ:  # the user's own setting takes precedence
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, max(2, os.cpu_count() or 1))
    try:
        with quiet_import():
            import keras
            import tensorflow  # noqa: F401
    except ModuleNotFoundError as e:
        if e.name in ("jax", "torch", "openvino"):  # named in ~/.keras/keras.json
            raise _other_backend(e.name) from e
        commands = dict.fromkeys(map(install_command, ("tensorflow", "keras")))
        raise MissingError(f"{e.name} is not installed: {', '.join(commands)}, or `make setup` in a checkout") from e
    if keras.backend.backend() != "tensorflow":
        raise _other_backend(keras.backend.backend())
    if keras.config.floatx() != "float32":
        raise UsageError(
            f"Keras is configured for {keras.config.floatx()}, and this zoo needs float32: set floatx in "
            "~/.keras/keras.json; --precision bfloat16 trains in lower precision"
        )
    if keras.config.image_data_format() != "channels_last":
        raise UsageError(
            "Keras is configured for channels_first, and this zoo needs channels_last: "
            "set image_data_format in ~/.keras/keras.json"
        )
    if not os.environ.get("ZOO_DEBUG"):  # users cannot act on it: retracing is our business
        logging.getLogger("tensorflow").addFilter(
            lambda record: "triggered tf.function retracing" not in str(record.msg)
        )
    warnings.filterwarnings("ignore", message="`shuffle=True` was passed, but will be ignored")
    _ready = True


def _other_backend(name: str) -> UsageError:
    return UsageError(f"Keras is set to run on {name!r}, and this zoo needs TensorFlow: set KERAS_BACKEND=tensorflow")


@contextlib.contextmanager
def dtype_policy(precision: str) -> Iterator[None]:
    """Set the Keras dtype policy inside the block; variables are float32 in either precision."""
    import keras

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
