"""Fingerprints of the outputs of every layer of a Keras model in one call, to find the first layer that differs.

Only NumPy and the standard library; the model is accessed through its own attributes.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

VALUES = 253  # values of an output that are kept, evenly spaced
RECURRENT = ("GRU", "LSTM", "SimpleRNN")  # layers of Keras whose steps are calls of its own cells


def fingerprint(output: Any) -> np.ndarray | None:
    """Return sum, root of the sum of squares, size and up to 253 values of an output; None if it is not numeric."""
    array = np.asarray(output)
    if array.dtype.kind not in "fiub" or array.size == 0:
        return None
    flat = array.reshape(-1).astype(np.float64)
    sampled = flat[np.linspace(0, flat.size - 1, min(VALUES, flat.size)).astype(int)]
    return np.concatenate([[flat.sum(), np.sqrt(np.sum(flat**2)), flat.size], sampled])


def record_outputs(model: Any, call: Callable[[], Any]) -> list[tuple[str, np.ndarray]]:
    """Run an eager call and return (layer name, fingerprint) of each layer's first output, inner ones first."""
    outputs: dict[int, tuple[str, np.ndarray]] = {}
    with intercepted(layers_of(model), lambda layer: _recording(layer, outputs)):
        call()
    return list(outputs.values())


def layers_of(model: Any) -> list[Any]:
    """Return every layer inside a model, those of nested models and of wrappers included."""
    return [layer for layer in model._flatten_layers() if layer is not model]


@contextlib.contextmanager
def intercepted(layers: Iterable[Any], wrapped: Callable[[Any], Callable[..., Any]]) -> Iterator[None]:
    """Replace the `call` of each layer by `wrapped(layer)` inside the context."""
    # Keras has no hook on a call, and a subclass would need a copy of the model: the instance gets an attribute.
    layers = list(layers)
    for layer in layers:
        object.__setattr__(layer, "call", wrapped(layer))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")  # restores the method of the class


def loops(layer: Any) -> bool:
    """Return whether a layer is one of Keras' own recurrent layers."""
    return type(layer).__name__ in RECURRENT and type(layer).__module__.startswith("keras.")


def compiled(layer: Any) -> Callable[..., Any]:
    """Return the `call` of a layer; that of a recurrent layer in graph mode: 200 eager steps take two seconds."""
    inner = layer.call
    if not loops(layer):
        return inner
    import tensorflow as tf

    graph = tf.function(inner, autograph=False, reduce_retracing=True)
    return lambda *args, **options: (graph if tf.executing_eagerly() else inner)(*args, **options)


def first_tensor(result: Any) -> Any:
    """Return the first tensor of what a layer returned: a tensor, or a list or dict of them; None if there is none."""
    while isinstance(result, (list, tuple, dict)) and result:
        result = next(iter(result.values())) if isinstance(result, dict) else result[0]
    return result if hasattr(result, "dtype") else None


def _recording(layer: Any, outputs: dict[int, tuple[str, np.ndarray]]) -> Callable[..., Any]:
    inner = layer.call

    def call(*args: Any, **options: Any) -> Any:
        result = inner(*args, **options)
        first = first_tensor(result)
        if id(layer) not in outputs and hasattr(first, "numpy") and first.dtype.name != "string":
            values = fingerprint(first.numpy())
            if values is not None:
                outputs[id(layer)] = (layer.name, values)
        return result

    return call
