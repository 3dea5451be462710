"""The runtimes that can run an artifact, and what is installed of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Runtime:
    """A runtime and its runner.

    Attributes:
        name: As in rows of a certificate and in --runtime.
        script: File name in `export/runners`.
        distribution: The package that brings it, for versions and for advice.
        module: The module whose presence shows that it is installed.
        formats: The formats it runs.
        required: Whether a bundle that holds one of its formats is incomplete without it.
        measures_noise: The formats on which it measures the noise floor.
    """

    name: str
    script: str
    distribution: str
    module: str
    formats: tuple[str, ...]
    required: bool
    measures_noise: tuple[str, ...] = ()

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        if importlib.util.find_spec(self.module) is None:
            return None
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("keras", "run_keras.py", "keras", "keras", ("keras", "hdf5", "weights"), True, ("keras",)),
        Runtime(
            "tensorflow", "run_tensorflow.py", "tensorflow", "tensorflow", ("saved_model",), True, ("saved_model",)
        ),
        Runtime("litert", "run_litert.py", "ai-edge-litert", "ai_edge_litert", ("tflite",), True),
    )
}
