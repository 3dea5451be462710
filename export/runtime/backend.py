"""Import TensorFlow and Keras when they are needed, without log output."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

from zoobase.errors import ExportError, Unavailable
from zoobase.importing import quiet_import
from zoobase.requirements import install_command


@contextlib.contextmanager
def quiet_logger(name: str = "tensorflow") -> Iterator[None]:
    """Show only errors of a logger inside the block, not warnings such as those of TensorFlow about retracing."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def load_tensorflow() -> Any:
    """Import TensorFlow and Keras 3 on it, without their log noise, and return the `tensorflow` module."""
    if "tensorflow" not in sys.modules or "keras" not in sys.modules:
        try:
            with quiet_import():
                import keras
                import tensorflow  # noqa: F401
        except ImportError as error:
            hint = install_command("tensorflow")
            raise Unavailable(f"TensorFlow or Keras cannot be imported ({error}); {hint}") from error
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow before importing keras"
        )
    return tf
