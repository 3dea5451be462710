"""Infer the contract of a model: names, shapes, ranges of tokens and pixels."""

import dataclasses
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Contract, Tensor, ranges
from export.contract.endpoints import is_dimension, tensor_endpoint
from export.contract.outputs import infer_outputs
from export.contract.provenance import Reach, kind_of, trace_inputs
from export.protocol.calls import arrange, identifier
from export.protocol.layers import layers_of
from zoobase.errors import ExportError

# names that Keras numbers within a process
GENERATED_NAMES = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?$|args_\d+")
ANY_INTEGER = frozenset({"IndexLookup", "Hashing", "HashedCrossing", "Discretization", "Rescaling", "Normalization"})


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
    shapes = _declared(model, declared, samples or {}) if declared else _sampled(model, samples or {})
    inputs = _with_meanings(model, shapes, samples or {})
    inputs, outputs, batch = infer_outputs(model, inputs, samples or {})
    endpoint = tensor_endpoint(model, inputs, outputs, batch=batch)
    return Contract((endpoint,), tuple(labels) if labels is not None else None)


def _declared(model: Any, declared: Sequence[Any], samples: Mapping[str, np.ndarray]) -> list[Tensor]:
    """Return the inputs of a functional or Sequential model, with their shapes only."""
    tensors = []
    for index, (key, tensor) in enumerate(_named(model, declared)):
        plain = "input" if len(declared) == 1 else f"input_{index + 1}"
        cleaned = identifier(tensor.name)
        name = key or (cleaned if cleaned.isidentifier() else plain)
        if GENERATED_NAMES.match(name):
            name = next(iter(samples)) if len(samples) == len(declared) == 1 else plain
        tensors.append(Tensor(name, _storable(tensor.dtype), (None, *tensor.shape[1:])))
    return tensors


def _named(model: Any, declared: Sequence[Any]) -> list[tuple[str | None, Any]]:
    """Return the symbolic inputs with their keys in the order of the structure: `model.inputs` is sorted by key."""
    structure = getattr(model, "_inputs_struct", None)
    return list(structure.items()) if isinstance(structure, Mapping) else [(None, tensor) for tensor in declared]


def _sampled(model: Any, samples: Mapping[str, np.ndarray]) -> list[Tensor]:
    """Return the inputs of a subclassed model, with their shapes only."""
    if samples:
        arrays = {name: np.asarray(value) for name, value in samples.items()}
        return [
            Tensor(n, "string" if a.dtype.kind in "OSU" else a.dtype.name, (None, *a.shape[1:]))
            for n, a in arrays.items()
        ]
    shape = (model.get_build_config() or {}).get("input_shape")
    if isinstance(shape, (tuple, list)) and all(map(is_dimension, shape)):
        return [Tensor("input", _storable(model.input_dtype), (None, *shape[1:]))]
    raise ExportError(f"model {model.name} is a subclassed model without declared inputs; give samples= or contract=")


def _storable(dtype: str) -> str:
    """Return a dtype that NumPy has; Keras casts what it is given."""
    return "float32" if dtype == "bfloat16" else dtype


def _with_meanings(model: Any, inputs: Sequence[Tensor], samples: Mapping[str, np.ndarray]) -> list[Tensor]:
    """Return the inputs with the meaning and the range that the layers which they reach imply."""
    endpoint = tensor_endpoint(model, inputs, ()).to_json()
    provenance = trace_inputs(model, inputs, lambda values: model(arrange(endpoint, values), training=False))
    layers = layers_of(model)
    kinds = {kind_of(layer) for layer in layers} - {None}
    claimed = {id(reach.layer) for reaches in provenance.reached.values() for reach in reaches}
    sizes = (ranges.table_size(layer) for layer in layers if id(layer) not in claimed)
    tables = [size for size in sizes if size is not None]
    declared = getattr(model, "inputs", None) or ()
    masks = {inputs[i].name for i in mask_inputs(model, [tensor for _, tensor in _named(model, declared)])}
    tensors = []
    for tensor in inputs:
        reached = provenance.reached[tensor.name]
        rescaling = [layer for layer in layers if kind_of(layer) == "Rescaling"] if not reached else []
        is_mask = tensor.name in masks and tensor.dtype != "string"
        tensors.append(
            _meaning(tensor, reached, rescaling, samples.get(tensor.name))
            or (dataclasses.replace(tensor, low=0, high=1) if is_mask else None)
            or _from_tables(tensor, tables, samples.get(tensor.name), provenance.complete)
            or _from_sample(tensor, samples.get(tensor.name))
            or ranges.number_range(tensor, reached)
            or _unbounded(tensor, kinds)
        )
    return tensors


def _meaning(
    tensor: Tensor, reached: Sequence[Reach], rescaling: Sequence[Any], sample: np.ndarray | None
) -> Tensor | None:
    """Return an input that reaches a table or a lookup, or an image; else None."""
    if (known := ranges.token_range(tensor, reached) or ranges.vocabulary_values(tensor, reached)) is not None:
        return known
    if tensor.dtype == "string":
        return dataclasses.replace(tensor, meaning="text")
    if len(tensor.shape) == 4 and tensor.shape[-1] in (1, 3, 4):
        if sample is not None and sample.size and not rescaling and not any(ranges.affine_of(r.layer) for r in reached):
            low, high = min(0.0, float(np.min(sample))), max(1.0, float(np.max(sample)))
            return dataclasses.replace(tensor, meaning="image", low=low, high=high)
        return ranges.pixel_range(tensor, reached, rescaling)
    return None


def _from_tables(tensor: Tensor, sizes: Sequence[int], sample: np.ndarray | None, is_traced: bool) -> Tensor | None:
    """Return an input as ids of the smallest table that no input is known to reach, if it can be such ids."""
    if not sizes or not (_is_integer(tensor) or (len(tensor.shape) <= 2 and not is_traced)):
        return None
    if sample is not None and sample.size:
        sizes = [size for size in sizes if size > np.max(sample)] or sizes
    return dataclasses.replace(tensor, meaning="token", low=0, high=min(sizes) - 1)


def _from_sample(tensor: Tensor, sample: np.ndarray | None) -> Tensor | None:
    if sample is None or not sample.size:
        return None
    return dataclasses.replace(tensor, low=float(np.min(sample)), high=float(np.max(sample)))


def _unbounded(tensor: Tensor, kinds: set[str]) -> Tensor:
    """Return an input whose range nothing determines; raise ExportError for integers, of which few may be legal."""
    if _is_integer(tensor) and not kinds & ANY_INTEGER:
        raise ExportError(
            f"input {tensor.name} is {tensor.dtype} and no layer determines its legal values; give real ones: "
            f"samples={{{tensor.name!r}: ...}}, or --samples x.npz with an array {tensor.name}"
        )
    return tensor


def _is_integer(tensor: Tensor) -> bool:
    return tensor.dtype in ("int16", "int32", "int64", "uint16", "uint32", "uint64")


# Operations whose results have the values of their argument.
UNCHANGED = frozenset({"BroadcastTo", "Cast", "ExpandDims", "GetItem", "Reshape", "Squeeze", "Transpose"})


def mask_inputs(model: Any, tensors: Sequence[Any]) -> set[int]:
    """Return the positions of the symbolic inputs that are masks; only a functional model has such a graph."""
    origins = {id(tensor): position for position, tensor in enumerate(tensors)}
    masks = set()
    for operation in getattr(model, "operations", ()):
        for node in getattr(operation, "_inbound_nodes", ()):
            used = [origins[id(tensor)] for tensor in node.input_tensors if id(tensor) in origins]
            if not used:
                continue
            for name, value in _arguments(operation, node).items():
                if name.split("_")[-1] == "mask" and id(value) in origins:
                    masks.add(origins[id(value)])
            if type(operation).__name__ in UNCHANGED:
                origins |= {id(tensor): used[0] for tensor in node.output_tensors}
    return masks


def _arguments(operation: Any, node: Any) -> Mapping[str, Any]:
    """Return the arguments of a call by name."""
    try:
        bound = inspect.signature(operation.call).bind_partial(*node.arguments.args, **node.arguments.kwargs)
    except TypeError:  # an operation that hides its signature
        return node.arguments.kwargs
    return bound.arguments
