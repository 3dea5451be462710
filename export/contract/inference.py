"""Infer the contract of a model: names, shapes, ranges of tokens and pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Contract, Tensor
from export.contract.endpoints import is_dimension, tensor_endpoint
from export.contract.outputs import infer_outputs
from export.errors import ExportError
from export.runners.lib.protocol import identifier

GENERATED_NAMES = re.compile(
    r"(keras_tensor|input_layer|input)(_\d+)?$|args_\d+"
)  # names that Keras numbers within a process
ANY_INTEGER = frozenset({"IntegerLookup", "Hashing", "HashedCrossing", "Discretization", "Rescaling", "Normalization"})


def infer_contract(
    model: Any, samples: Mapping[str, np.ndarray] | None = None, labels: Sequence[str] | None = None
) -> Contract:
    """Return a contract with one endpoint, the model's own call.

    Args:
        model: A built Keras model. A subclassed model without declared inputs needs `samples`.
        samples: Real inputs (N, ...) by name; they determine the inputs of a subclassed model and the range of images.
        labels: Class names, in order.

    Raises:
        ExportError: If the inputs cannot be inferred, or the model does not run on them.

    Example:
        >>> import keras
        >>> tokens = keras.Input((None,), dtype="int32", name="tokens")
        >>> x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(100, 8)(tokens))
        >>> (endpoint,) = infer_contract(keras.Model(tokens, keras.layers.Dense(3)(x))).endpoints
        >>> endpoint.inputs[0].meaning, endpoint.inputs[0].high
        ('token', 99)
        >>> endpoint.outputs[0].shape
        (None, 3)
    """
    if not model.built:
        raise ExportError(f"model {model.name} is not built; call it once on real input before exporting it")
    declared = getattr(model, "inputs", None)
    inputs = _declared(model, declared, samples or {}) if declared else _sampled(model, samples or {})
    inputs, outputs, batch = infer_outputs(model, inputs, samples or {})
    endpoint = tensor_endpoint(model, inputs, outputs, batch=batch)
    return Contract((endpoint,), tuple(labels) if labels is not None else None)


def _declared(model: Any, declared: Sequence[Any], samples: Mapping[str, np.ndarray]) -> list[Tensor]:
    """Return the inputs of a functional or Sequential model."""
    structure = getattr(model, "_inputs_struct", None)
    # `model.inputs` is sorted by key, the structure has the order in which it was given
    named = list(structure.items()) if isinstance(structure, Mapping) else [(None, tensor) for tensor in declared]
    tensors = []
    for index, (key, tensor) in enumerate(named):
        plain = "input" if len(declared) == 1 else f"input_{index + 1}"
        name = key or _identifier(tensor.name, plain)
        if GENERATED_NAMES.match(name):
            name = next(iter(samples)) if len(samples) == len(declared) == 1 else plain
        tensors.append(_tensor(name, tensor.dtype, tuple(tensor.shape), _consumers(model, tensor), samples.get(name)))
    return tensors


def _sampled(model: Any, samples: Mapping[str, np.ndarray]) -> list[Tensor]:
    """Return the inputs of a subclassed model."""
    if samples:
        arrays = {name: np.asarray(value) for name, value in samples.items()}
        layers = list(model._flatten_layers())
        return [_tensor(n, a.dtype.name, (None, *a.shape[1:]), layers, a) for n, a in arrays.items()]
    shape = (model.get_build_config() or {}).get("input_shape")
    if isinstance(shape, (tuple, list)) and all(map(is_dimension, shape)):
        return [_tensor("input", model.input_dtype, (None, *shape[1:]), list(model._flatten_layers()), None)]
    raise ExportError(f"model {model.name} is a subclassed model without declared inputs; give samples= or contract=")


def _tensor(
    name: str, dtype: str, shape: tuple[int | None, ...], layers: Sequence[Any], sample: np.ndarray | None
) -> Tensor:
    """Return an input with the meaning that the layers that consume it imply."""
    kinds = {type(layer).__name__ for layer in layers}
    shape = (None, *shape[1:])
    dtype = "float32" if dtype == "bfloat16" else dtype  # NumPy lacks it; Keras casts what it is given
    integer = dtype in ("int16", "int32", "int64", "uint16", "uint32", "uint64")
    sizes = [size for layer in layers if (size := _table_size(layer)) is not None]
    if sizes and (integer or len(shape) <= 2):
        if sample is not None and sample.size:  # of a subclassed model, the layers are those of all inputs
            sizes = [size for size in sizes if size > np.max(sample)] or sizes
        return Tensor(name, dtype, shape, "token", 0, min(sizes) - 1)
    if dtype == "string":
        return Tensor(name, dtype, shape, "text")
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        low, high = 0.0, 255.0
        if sample is not None and sample.size and "Rescaling" not in kinds:
            low, high = min(0.0, float(np.min(sample))), max(1.0, float(np.max(sample)))
        return Tensor(name, dtype, shape, "image", low, high)
    if sample is not None and sample.size:
        return Tensor(name, dtype, shape, low=float(np.min(sample)), high=float(np.max(sample)))
    if statistics := [layer for layer in layers if type(layer).__name__ == "Normalization"]:
        low, high = _normalised_range(statistics[0])
        return Tensor(name, dtype, shape, low=low, high=high)
    if integer and not kinds & ANY_INTEGER:
        raise ExportError(
            f"input {name} is {dtype} and no layer determines its legal values; give real ones: "
            f"samples={{{name!r}: ...}}, or --samples x.npz with an array {name}"
        )
    return Tensor(name, dtype, shape)


def _normalised_range(layer: Any) -> tuple[float, float]:
    """Return the range of three deviations around the means of an adapted Normalization layer."""
    mean, deviation = np.asarray(layer.mean, np.float64), np.sqrt(np.asarray(layer.variance, np.float64))
    return float(np.min(mean - 3 * deviation)), float(np.max(mean + 3 * deviation))


def _table_size(layer: Any) -> int | None:
    """Return the size of a layer's lookup table of integers, or None."""
    size = {"Embedding": "input_dim", "CategoryEncoding": "num_tokens"}.get(type(layer).__name__)
    return int(getattr(layer, size)) if size else None


def _consumers(model: Any, tensor: Any) -> list[Any]:
    """Return the layers that take an input of a functional model, those inside nested models included."""
    return list(_following(model, tensor, 0))


def _following(model: Any, tensor: Any, depth: int) -> Iterator[Any]:
    """Yield the first layers that consume a tensor, passing over random augmentation layers."""
    if depth > 4:
        return
    for layer in model._flatten_layers(include_self=False, recursive=False):
        for node in getattr(layer, "_inbound_nodes", ()):
            if any(tensor is value for value in node.input_tensors):
                yield from layer._flatten_layers()
                if type(layer).__name__.startswith("Random"):
                    for output in node.output_tensors:
                        yield from _following(model, output, depth + 1)


def _identifier(name: str, default: str) -> str:
    cleaned = identifier(name)
    return cleaned if cleaned.isidentifier() else default
