"""Which layers receive the values of each input unchanged: determined by one eager call on coded values.

Every feature of every input (a position along its last axis) gets a code of its own. A layer whose legal inputs are
known (a table, a lookup, a rescaling) is reached by the features whose codes arrive at it, through reshapes, casts,
concatenations, slices, nested models and wrappers alike, in functional and in subclassed models.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from export.contract import Tensor
from export.contract.sampling import shape_of
from export.protocol.layers import intercepted, layers_of

ROWS = 2
SPACING = 1009  # between codes of integers: an offset that a model adds to its ids is not mistaken for another code
MIXED_SPACING = 8  # where float16 must hold the codes
MAX_FEATURES = 512  # a longer last axis is one feature
MIN_SHARE = 0.25  # of the values of a layer's input that must be codes: real numbers may be codes by chance


@dataclass(frozen=True)
class Reach:
    """A layer that receives values of an input unchanged."""

    layer: Any
    # position along the last axis of the input -> that of what the layer receives; 0 is all of a long or open axis
    features: Mapping[int, int]


@dataclass
class Provenance:
    """The result of `trace_inputs`."""

    reached: dict[str, list[Reach]] = field(default_factory=dict)  # by input name
    complete: bool = True  # False if the call raised: layers after that point are not known


def kind_of(layer: Any) -> str | None:
    """Return which of the kinds whose legal inputs are known a layer is, else None; subclasses count."""
    names = {base.__name__ for base in type(layer).__mro__}
    return next((kind for kind in KINDS if kind in names), None)


KINDS = (
    *("Embedding", "CategoryEncoding", "TextVectorization", "IndexLookup", "Hashing", "HashedCrossing"),
    *("Discretization", "Rescaling", "Normalization", "BatchNormalization"),
)


def trace_inputs(model: Any, inputs: Sequence[Tensor], call: Callable[[Mapping[str, Any]], Any]) -> Provenance:
    """Return the layers that each input reaches unchanged; `call` runs the model eagerly on {input name: tensor}."""
    import tensorflow as tf

    codes = _Codes(model, inputs)
    provenance = Provenance({tensor.name: [] for tensor in inputs})
    layers = [layer for layer in layers_of(model) if kind_of(layer)]
    if not layers:
        return provenance
    found: dict[tuple[str, int], dict[int, int]] = {}
    by_id = {id(layer): layer for layer in layers}

    def wrapped(layer: Any) -> Callable[..., Any]:
        inner = layer.call

        def receive(values: Any, *args: Any, **options: Any) -> Any:
            if not is_reverse(args, options):
                for name, feature, position in codes.decode(values):
                    found.setdefault((name, id(layer)), {}).setdefault(feature, position)
                values = _legal(layer, values)
            return inner(values, *args, **options)

        return receive

    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with intercepted(layers, wrapped):
            call({t.name: tf.constant(codes.values[t.name], t.dtype) for t in inputs})
    except Exception:  # coded values are not legal everywhere; what was reached before is known
        provenance.complete = False
    finally:
        tf.config.run_functions_eagerly(eager)
    for (name, key), features in found.items():
        provenance.reached[name].append(Reach(by_id[key], features))
    return provenance


class _Codes:
    """Values of every input by which its features are recognised."""

    def __init__(self, model: Any, inputs: Sequence[Tensor]) -> None:
        shapes = {t.name: shape_of(t, ROWS) for t in inputs}
        counts = {t.name: _features(t, shapes[t.name]) for t in inputs}
        self.owners = [(name, feature) for name, count in counts.items() for feature in range(count)]
        half = any(str(getattr(layer, "compute_dtype", "")).endswith("float16") for layer in layers_of(model))
        integers = [np.iinfo(t.dtype).max for t in inputs if t.dtype not in ("string", "bool") and _is_integer(t)]
        limit = min([*integers, SPACING * (len(self.owners) + 1)]) // (len(self.owners) + 1)
        self.spacing = max(1, min(MIXED_SPACING if half else SPACING, limit))
        rng = np.random.default_rng(0)
        self.values, first = {}, 0
        for tensor in inputs:
            count, shape = counts[tensor.name], shapes[tensor.name]
            code = np.broadcast_to(self.spacing * (first + 1 + np.arange(count)), shape)
            if tensor.dtype == "string":
                self.values[tensor.name] = np.vectorize(lambda c: f"{c}", otypes=[object])(code)
            elif _is_integer(tensor) or self.spacing == 1:
                self.values[tensor.name] = code.astype(tensor.dtype)
            else:  # not all equal, so that statistics of a row are defined
                self.values[tensor.name] = (code + rng.uniform(0.25, 0.75, shape)).astype(tensor.dtype)
            first += count

    def decode(self, values: Any) -> list[tuple[str, int, int]]:
        """Return (input, feature, position along the last axis) of each code in what a layer receives."""
        found: dict[tuple[str, int, int], None] = {}
        for array in _arrays(values):
            if array.dtype.kind in "OSU":
                numbers = np.array([int(v) if v.isdigit() else 0 for v in array.ravel().tolist()]).reshape(array.shape)
            elif array.dtype.kind in "fiu" or array.dtype.name == "bfloat16":
                numbers = array.astype(np.float64)
            else:
                continue
            code = np.floor(np.where(np.isfinite(numbers), numbers, 0) / self.spacing).astype(int) - 1
            rest = numbers - self.spacing * (code + 1)
            exact = array.dtype.kind in "OSUiu"
            valid = (code >= 0) & (code < len(self.owners)) & ((rest == 0) if exact else (rest <= 1))
            if not array.size or valid.mean() < MIN_SHARE:
                continue
            width = array.shape[-1] if array.ndim > 1 else 1
            for index in np.unique((code * width + np.arange(width) if array.ndim > 1 else code)[valid]):
                owner, position = divmod(int(index), width)
                found[(*self.owners[owner], position)] = None
        return list(found)


def _features(tensor: Tensor, shape: tuple[int, ...]) -> int:
    if len(shape) == 1 or tensor.shape[-1] is None or shape[-1] > MAX_FEATURES or tensor.dtype == "bool":
        return 1
    return 1 if _is_integer(tensor) and np.iinfo(tensor.dtype).max < 4 * shape[-1] else shape[-1]


def _is_integer(tensor: Tensor) -> bool:
    return tensor.dtype != "string" and np.dtype(tensor.dtype).kind in "iu"


def _arrays(values: Any) -> list[np.ndarray]:
    """Return the arrays in what a layer receives; symbolic tensors are left out."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, (list, tuple)):
        return [array for value in values for array in _arrays(value)]
    values = getattr(values, "flat_values", values)  # a ragged tensor
    try:
        return [np.asarray(values)]
    except Exception:  # a symbolic tensor has no value
        return []


def _legal(layer: Any, values: Any) -> Any:
    """Return values that a layer can be called on in place of codes."""
    import keras

    if (size := table_size(layer)) is not None and not isinstance(values, (list, tuple, Mapping)):
        return keras.ops.mod(keras.ops.cast(values, "int32"), size)
    if kind_of(layer) == "IndexLookup" and layer.num_oov_indices == 0:
        known = layer.get_vocabulary(include_special_tokens=False)[0]
        shape = getattr(values, "shape", None)
        return keras.ops.convert_to_tensor(np.full(shape, known)) if shape is not None else values
    return values


def is_reverse(args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Return whether a ReversibleEmbedding is called the other way, on vectors."""
    return bool(options.get("reverse") or (args and args[0] is True))


def table_size(layer: Any) -> int | None:
    """Return the number of ids that a table of integers has, or None if the layer is no such table."""
    size = {"Embedding": "input_dim", "CategoryEncoding": "num_tokens"}.get(kind_of(layer) or "")
    return int(getattr(layer, size)) if size and getattr(layer, size, None) is not None else None
