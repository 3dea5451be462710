"""The runtimes that can run an artifact, and whether they are installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from export.runners.lib import chromium, litert_js

FRAMEWORKS = frozenset({"tensorflow", "keras", "tf_keras", "torch", "jax", "ai_edge_litert", "onnxruntime", "openvino"})


@dataclass(frozen=True)
class Runtime:
    """A runtime and its runner.

    Attributes:
        name: Name in the rows of a certificate and in --runtime.
        script: File name in `export/runners`.
        distribution: The distribution that contains it, for versions and installation hints.
        module: The module whose presence shows that it is installed.
        formats: The formats it runs.
        required: Whether a bundle that holds one of its formats is incomplete without it; else only where that format
            was requested by name.
        measures_noise: The formats on which it measures the noise floor.
        library: A file in the module's folder that it needs and that not every build contains, or None. Without it the
            runtime is not required.
        imports: The frameworks that its process may import.
        extra: Whether it is optional: it may skip endpoints, and does not decide the verdict unless it is required.
        on_request: Whether it runs only if it is named, because it takes seconds.
        probe: Returns the version, or None, of a runtime that is not a Python package.
        install: How such a runtime is installed.
        environment: Environment variables of its process, in addition to those of this one.
    """

    name: str
    script: str
    distribution: str
    module: str
    formats: tuple[str, ...]
    required: bool
    measures_noise: tuple[str, ...] = ()
    library: str | None = None
    imports: tuple[str, ...] = ()
    extra: bool = False
    on_request: bool = False
    probe: Callable[[], str | None] | None = None
    install: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        if self.probe is not None:
            return self.probe()
        spec = importlib.util.find_spec(self.module)
        if spec is None:
            return None
        if self.library and not any((Path(p) / self.library).is_file() for p in spec.submodule_search_locations or ()):
            return None
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"


def _browser_version() -> str | None:
    """Return the version of Chromium where it and LiteRT.js are there."""
    program = chromium.find()
    return chromium.version(program) if program and litert_js.is_present() else None


KERAS = ("keras", "tensorflow")

RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            "keras", "run_keras.py", "keras", "keras", ("keras", "hdf5", "weights"), True, ("keras",), imports=KERAS
        ),
        Runtime(
            "tensorflow",
            "run_tensorflow.py",
            "tensorflow",
            "tensorflow",
            ("saved_model",),
            True,
            ("saved_model",),
            imports=KERAS,
        ),
        Runtime(
            "c_api",
            "run_c_api.py",
            "tensorflow",
            "tensorflow",
            ("saved_model",),
            True,
            library="libtensorflow_cc.so.2",
        ),
        Runtime(
            "openvino",
            "run_openvino.py",
            "openvino",
            "openvino",
            ("saved_model",),
            False,
            imports=("openvino",),
            extra=True,
        ),
        Runtime("onnxruntime", "run_onnx.py", "onnxruntime", "onnxruntime", ("onnx",), False, imports=("onnxruntime",)),
        Runtime(
            "litert",
            "run_litert.py",
            "ai-edge-litert",
            "ai_edge_litert",
            ("tflite",),
            True,
            imports=("ai_edge_litert",),
        ),
        Runtime(
            "browser",
            "run_browser.py",
            litert_js.PACKAGE,
            "",
            ("tflite",),
            False,
            extra=True,
            on_request=True,
            probe=_browser_version,
            install="install Chromium, and run `python -m export web` once, which downloads LiteRT.js",
        ),
    )
}
