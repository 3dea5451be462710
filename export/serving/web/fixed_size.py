"""A TFLite file for images of one size, where that of the bundle takes any size, which LiteRT.js cannot run.

It is converted from the SavedModel of the bundle, and compared with the bundle's own TFLite file.
"""

import dataclasses
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle.gate import find_saved_model, refusal
from export.bundle.loader import load
from export.contract import Contract, Endpoint, Tensor
from export.contract.sampling import legal_range
from export.formats import tflite
from export.parity.distance import max_row_error
from export.parity.noise_floor import Policy
from export.runtime import process
from export.runtime.backend import load_tensorflow
from zoobase.console import quiet_stderr
from zoobase.errors import CheckFailed, ExportError


def is_free(endpoint: Endpoint) -> bool:
    """Return whether an endpoint takes images of any size, and nothing else whose size is not fixed."""
    return any(map(_is_free, endpoint.inputs)) and all(
        _is_free(t) or None not in t.shape[1:] for t in endpoint.inputs if t.dtype != "string"
    )


def _is_free(tensor: Tensor) -> bool:
    return tensor.meaning == "image" and tensor.shape[1:3] == (None, None)


def fixed(
    folder: Path, manifest: Mapping[str, Any], endpoints: Sequence[Endpoint], size: int, trust: Collection[str]
) -> tuple[bytes, Contract]:
    """Return a TFLite file that takes images of `size` x `size`, and its contract."""
    saved_model = find_saved_model(manifest)
    if saved_model is None:
        raise ExportError(f"{folder} takes images of any size and holds no SavedModel from which one size is converted")
    if reason := refusal(folder, saved_model, trust):
        raise CheckFailed(f"{saved_model['path']} of {folder} is not loaded: {reason}")
    own = load(folder, tflite.FORMAT.name, trust=trust)
    inputs = {e.name: {t.name: _example(t, size) for t in e.inputs} for e in endpoints}
    outputs = {e.name: own[e.name](**inputs[e.name]) for e in endpoints}
    with tempfile.TemporaryDirectory() as scratch:
        content = _convert(folder / saved_model["path"], inputs, Path(scratch))
        _compare(content, inputs, outputs, folder)
    sized = tuple(_sized(e, inputs[e.name], outputs[e.name]) for e in endpoints)
    contract = Contract(sized, Contract.from_json(manifest["contract"]).labels)
    return tflite.with_metadata(content, folder.resolve().name, contract), contract


def _example(tensor: Tensor, size: int) -> np.ndarray:
    shape = [1, *(size if d is None else d for d in tensor.shape[1:])]
    low, high = legal_range(tensor)
    return np.random.default_rng(0).uniform(low, high, shape).astype(tensor.dtype)


def _convert(saved_model: Path, inputs: Mapping[str, Mapping[str, np.ndarray]], scratch: Path) -> bytes:
    """Write the SavedModel with inputs of these shapes, and convert it in a process of its own."""
    load_tensorflow()
    import tensorflow as tf

    with quiet_stderr():
        loaded = tf.saved_model.load(str(saved_model))
        module = tf.Module()
        module.loaded = loaded
        signatures = {}
        for name, arrays in inputs.items():
            specs = {k: tf.TensorSpec(v.shape, v.dtype, k) for k, v in arrays.items()}
            function = tf.function(lambda _signature=loaded.signatures[name], **values: _signature(**values))
            signatures[name] = function.get_concrete_function(**specs)
        tf.saved_model.save(module, str(scratch / "saved_model"), signatures=signatures)
    out = scratch / "tflite" / "fixed.tflite"
    job = {"saved_model": str(scratch / "saved_model"), "out": str(out), "signatures": list(inputs), **tflite.FLOAT}
    report, problem = process.run_job("jobs/convert_tflite.py", job, scratch, "keras")
    if problem := problem or report["error"]:
        raise ExportError(f"{saved_model} cannot be converted for images of one size: {problem}")
    return out.read_bytes()


def _compare(content: bytes, inputs: Mapping[str, Any], outputs: Mapping[str, Any], folder: Path) -> None:
    """Raise CheckFailed if the new file does not return what the file of the bundle returns."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr():
        interpreter = Interpreter(model_content=content)
        results = {name: interpreter.get_signature_runner(name)(**arrays) for name, arrays in inputs.items()}
    for name, expected in outputs.items():
        for output, values in expected.items():
            difference = max_row_error(values, results[name][output])
            if not difference <= Policy().relative:
                raise CheckFailed(
                    f"converted for one size, {output} of {name} differs by {difference:.1e} from {folder}: "
                    "nothing was written"
                )


def _sized(endpoint: Endpoint, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> Endpoint:
    def sized(tensor: Tensor, array: np.ndarray) -> Tensor:
        return dataclasses.replace(tensor, shape=(tensor.shape[0], *array.shape[1:]))

    return dataclasses.replace(
        endpoint,
        inputs=tuple(sized(t, inputs[t.name]) for t in endpoint.inputs),
        outputs=tuple(sized(t, outputs[t.name]) for t in endpoint.outputs),
    )
