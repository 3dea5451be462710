"""Load an artifact of a bundle in Python, with the code of the proof."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.bundle.gate import code_refusal, refusal
from export.bundle.layout import read_manifest
from export.contract import Contract
from export.contract.endpoints import Endpoint
from export.formats import saved_model
from export.protocol.arrays import Arrays
from export.protocol.calls import Function, in_batches
from export.protocol.runner import Runtime
from export.runners import RUNTIMES
from export.runtime.backend import load_tensorflow
from export.runtime.process import bounded_memory
from zoobase.console import quiet_stderr
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.plugins import load_module

if TYPE_CHECKING:
    import keras


def loaders() -> dict[str, Runtime]:
    """Return, by format, the first runtime that runs it; a further one by its own name."""
    found: dict[str, Runtime] = {}
    for runtime in (runtime for runtime in RUNTIMES.values() if not runtime.extra):
        found[runtime.name if runtime.formats[0] in found else runtime.formats[0]] = runtime
    return found


class Loaded(Mapping[str, Callable[..., dict[str, np.ndarray]]]):
    """The endpoints of an artifact: `loaded["serving_default"](image=array) -> {output name: array}`.

    Attributes:
        contract: The contract of the bundle.
    """

    def __init__(self, contract: Contract, functions: Mapping[str, Function], batch: int | None) -> None:
        self.contract = contract
        self._functions = functions
        self._batch = batch

    def __getitem__(self, name: str) -> Callable[..., dict[str, np.ndarray]]:
        """Return an endpoint; KeyError lists the available ones."""
        if name not in self._functions:
            raise KeyError(f"no endpoint {name!r}; available: {', '.join(self._functions)}")
        endpoint, function = self.contract[name], self._functions[name]

        def call(**inputs: Any) -> dict[str, np.ndarray]:
            names = [t.name for t in endpoint.inputs]
            if sorted(inputs) != sorted(names):
                raise ExportError(f"endpoint {name} takes {', '.join(names)}, not {', '.join(inputs) or 'nothing'}")
            arrays = {t.name: t.array(inputs[t.name]) for t in endpoint.inputs}
            return in_batches(function, arrays, endpoint.batch or self._batch)

        return call

    def __iter__(self) -> Any:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


def load(
    path: str | os.PathLike[str],
    format: str = "saved_model",
    quantize: str | None = None,
    trust: Collection[str] = (),
    as_keras: str | bool = False,
) -> Loaded | keras.Model:
    """Load one artifact of a bundle in this process.

    This process is the caller's, so that nothing confines what is loaded. For bundles from elsewhere first call
    `export.protocol.machine.confine`: the kernel then forbids this process all but what is named for the rest of its
    life, in a process that has one thread and does nothing else; `python -m zoo.predict` does.

    Args:
        path: The bundle.
        format: "saved_model", "tflite", "keras" or "onnx"; or "c_api", a SavedModel in the C++ loader of TF Serving.
        quantize: A quantised form of the format, such as "int8"; None for the file that is not quantised.
        trust: Packages whose code a Keras file may import, and operators of a SavedModel that may run although they are
            not on the list of inference operators.
        as_keras: Return the SavedModel as a `keras.Model`: the name of an endpoint, or True for `serving_default`. The
            model takes and returns dictionaries, is not trainable and does not need the code of the original; it
            cannot be saved again by Keras. For a model that can be trained, use `keras.saving.load_model` on the
            bundle's `model.keras`.

    Returns:
        A mapping from endpoint names to functions of named NumPy arrays, any number of rows; or the Keras model.

    Raises:
        ExportError: If the bundle does not contain that format.
        CheckFailed: If the artifact could execute code that is not trusted.
        Unavailable: If the runtime is not installed.

    Example:
        >>> net = load("bundle")
        >>> net["serving_default"](x=np.zeros((3, 4)))["output"].shape
        (3, 2)
        >>> load("bundle", as_keras=True)({"x": np.zeros((3, 4), np.float32)})["output"].shape
        TensorShape([3, 2])
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    runtimes = loaders()
    if format not in runtimes:
        raise ExportError(f"format {format!r} cannot be loaded here; one of {', '.join(runtimes)}")
    runtime, artifact_format = runtimes[format], runtimes[format].formats[0]
    present = [a for a in manifest["artifacts"] if a["state"] is None]
    matching = [a for a in present if a["format"] == artifact_format and a.get("quantize") == quantize]
    if not matching:
        missing = " ".join(filter(None, (artifact_format, quantize)))
        raise ExportError(f"{folder} holds no {missing}; it has {', '.join(a['path'] for a in present)}")
    contract, artifact = Contract.from_json(manifest["contract"]), matching[0]
    code = code_refusal(folder, manifest["code_dependency"], trust) if runtime.process.imports_code else None
    if reason := code or refusal(folder, artifact, trust):
        raise CheckFailed(f"{artifact['path']} of {folder} is not loaded: {reason}")
    if as_keras:
        if artifact_format != saved_model.FORMAT.name:
            raise ExportError(f"as_keras is for format 'saved_model', not {format!r}")
        return keras_model(folder / artifact["path"], contract["serving_default" if as_keras is True else as_keras])
    try:
        opened = _open(folder, contract, artifact, manifest, runtime)
    except ImportError as error:
        raise Unavailable(f"{format} cannot be run here ({error}); install its runtime") from error
    functions = {name: functions["main"] for name, functions in opened.items()}
    if runtime.name == "litert":
        functions = {name: _first_call_quiet(function) for name, function in functions.items()}
    return Loaded(contract, functions, artifact["batch"])


def _first_call_quiet(function: Function) -> Function:
    """Return the function with a first call during which standard error is closed: LiteRT logs its delegate then."""
    called = False

    def call(inputs: Arrays) -> Arrays:
        nonlocal called
        with contextlib.nullcontext() if called else quiet_stderr():
            called = True
            return function(inputs)

    return call


def _open(
    folder: Path, contract: Contract, artifact: Mapping[str, Any], manifest: Mapping[str, Any], runtime: Runtime
) -> Any:
    if "tensorflow" in runtime.process.imports:
        load_tensorflow()
    for module in (manifest["code_dependency"] or {}).get("modules", ()) if runtime.process.imports_code else ():
        load_module(module)
    job = dict(artifact) | {
        "path": str((folder / artifact["path"]).resolve()),
        "endpoints": [contract[name].to_json() for name in artifact["endpoints"]],
    }
    bounded = bounded_memory(Path(job["path"])) if runtime.process.imports_code else contextlib.nullcontext()
    with bounded, quiet_stderr():
        return runtime.open(job, {})


def keras_model(path: Path, endpoint: Endpoint) -> keras.Model:
    """Return a functional model of one `keras.layers.TFSMLayer`: {input name: tensor} -> {output name: tensor}."""
    load_tensorflow()
    import keras

    class NamedSignature(keras.layers.TFSMLayer):
        """A TFSMLayer that calls the signature, not the function of the same name, whose arguments have no names."""

        def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
            return self._reloaded_obj.signatures[self.call_endpoint](**inputs)

    inputs = {t.name: keras.Input(t.shape[1:], t.shape[0], dtype=t.dtype, name=t.name) for t in endpoint.inputs}
    layer = NamedSignature(str(path), call_endpoint=endpoint.name, trainable=False)
    return keras.Model(inputs, layer(inputs), name=endpoint.name, trainable=False)
