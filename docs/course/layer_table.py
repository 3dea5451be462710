"""The layers of a model as a table: output shape, parameters, multiply-adds and receptive field of each.

Reference: Araujo, Norris, Sim 2019, doi:10.23915/distill.00021 (receptive field).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

SEQUENCE = 32  # tokens, where the model leaves the length open
SIDE = 64  # pixels, where it leaves height and width open
_POINTWISE = (  # layers whose output at a place depends on the input at that place
    *("Rescaling", "Normalization", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Dropout"),
    *("SpatialDropout2D", "BatchNormalization", "LayerNormalization", "GroupNormalization", "Add", "Multiply"),
    *("Concatenate", "Identity", "ReflectionPadding2D"),
)  # statistics of a normalisation over the image are left out
_NO_PRODUCTS = ("embeddings", "bias")  # looked up, and added


@dataclass(frozen=True)
class LayerRow:
    """One layer, in the order of the calls."""

    name: str  # of one in a nested model MODEL/LAYER
    kind: str
    output_shape: tuple[int, ...]  # for one example, without the batch dimension
    parameters: int  # 0 for a layer that is called again
    # products of weights and inputs for one example, without normalisation, activation and pooling; None if the number
    # is not known
    multiply_adds: int | None
    # (height, width) of the input image that one output depends on; None if it has no positions, or sees all
    receptive_field: tuple[int, int] | None


@dataclass(frozen=True)
class _Field:
    """Receptive field of a place, and the distance in input pixels between two places: each (height, width)."""

    size: tuple[float, float] = (1, 1)
    jump: tuple[float, float] = (1, 1)

    def through(self, layer: keras.layers.Layer) -> _Field | None:
        """Return the field after a layer; None if that is not known."""
        window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        kind = type(layer).__name__
        if window is not None and len(window) == 2 and not kind.startswith("Global"):
            strides, dilation = layer.strides, getattr(layer, "dilation_rate", (1, 1))
            if "Transpose" in kind:  # an output place sees at most this many input places
                reach = [math.ceil(w / s) for w, s in zip(window, strides, strict=True)]
                jump = tuple(j / s for j, s in zip(self.jump, strides, strict=True))
            else:
                reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
                jump = tuple(j * s for j, s in zip(self.jump, strides, strict=True))
            size = tuple(f + (r - 1) * j for f, r, j in zip(self.size, reach, self.jump, strict=True))
            return _Field(size, jump)
        if kind == "UpSampling2D" and layer.interpolation == "nearest":
            return _Field(self.size, tuple(j / s for j, s in zip(self.jump, layer.size, strict=True)))
        if kind == "NearestUpsampling2D":
            return _Field(self.size, tuple(j / 2 for j in self.jump))
        return self if kind in _POINTWISE or kind.startswith(("ZeroPadding", "Cropping")) else None


def layer_table(model: keras.Model) -> list[LayerRow]:
    """Return the rows of a model, by calling it on one example of zeros; open sizes are `SEQUENCE` and `SIDE`."""
    rows: list[LayerRow] = []
    symbolic = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    inputs = keras.tree.map_structure(_zeros, symbolic)
    if isinstance(inputs, list) and not hasattr(model, "operations"):  # a subclass takes them by name
        inputs = {tensor.name: zeros for tensor, zeros in zip(symbolic, inputs, strict=True)}
    fields = {id(x): _Field() for x in keras.tree.flatten(inputs) if len(x.shape) == 4}
    alive: list[Any] = [inputs]  # ids of tensors are those of living ones
    called: list[keras.layers.Layer] = []

    def record(name: str, layer: keras.layers.Layer, arguments: Any, result: Any) -> None:
        tensors = [x for x in keras.tree.flatten(arguments) if hasattr(x, "shape")]
        outputs = [x for x in keras.tree.flatten(result) if hasattr(x, "shape")]
        alive.extend((tensors, outputs))
        before = [fields[id(x)] for x in tensors if id(x) in fields]
        field = max(before, key=lambda f: f.size).through(layer) if before and len(before) == len(tensors) else None
        if field is not None:
            fields.update((id(x), field) for x in outputs if len(x.shape) == 4)
        rows.append(
            LayerRow(
                name,
                type(layer).__name__,
                tuple(outputs[0].shape[1:]) if outputs else (),
                0 if any(layer is other for other in called) else layer.count_params(),
                _multiply_adds(layer, tensors, outputs),
                field and tuple(math.ceil(f) for f in field.size),
            )
        )
        called.append(layer)

    with _observed(model, record):
        model(inputs, training=False)
    return rows


def _zeros(tensor: Any) -> Any:
    """Return a batch of one example of zeros for a symbolic input."""
    import tensorflow as tf

    open_size = SIDE if len(tensor.shape) == 4 else SEQUENCE
    shape = [1, *(size or open_size for size in tensor.shape[1:])]
    return tf.zeros(shape, tensor.dtype) if tensor.dtype != "string" else tf.fill(shape, "")


@contextlib.contextmanager
def _observed(model: keras.Model, record: Callable[[str, Any, Any, Any], None]) -> Iterator[None]:
    """Call `record` after each call of a layer inside the block."""
    observed = dict(_leaves(model, ""))
    originals = {name: layer.call for name, layer in observed.items()}

    def observe(name: str, layer: keras.layers.Layer) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            result = originals[name](*arguments, **keywords)
            record(name, layer, (arguments, {k: v for k, v in keywords.items() if k != "training"}), result)
            return result

        return call

    for name, layer in observed.items():
        object.__setattr__(layer, "call", observe(name, layer))
    try:
        yield
    finally:
        for layer in observed.values():
            object.__delattr__(layer, "call")


def _leaves(layer: keras.layers.Layer, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yield the layers that are rows: those of Keras as a whole, and those of ours that have no layers inside."""
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        name = f"{prefix}{inner.name}"
        if isinstance(inner, keras.layers.InputLayer):
            continue
        composite = isinstance(inner, keras.Model) or not type(inner).__module__.startswith("keras.")
        if composite and any(True for _ in inner._flatten_layers(include_self=False, recursive=False)):
            yield from _leaves(inner, f"{name}/")
        else:
            yield name, inner


def _multiply_adds(layer: keras.layers.Layer, inputs: list[Any], outputs: list[Any]) -> int | None:
    """Return the number of products of a layer for one example: each kernel, at each place that it is applied to."""
    kernels = [w for w in layer.weights if len(w.shape) >= 2 and w.path.split("/")[-1] not in _NO_PRODUCTS]
    if not kernels:
        return 0
    if not all("kernel" in w.path.split("/")[-1] for w in kernels) or not inputs or not outputs:
        return None
    places = outputs[0].shape[1:-1]
    if "Transpose" in type(layer).__name__:
        places = inputs[0].shape[1:-1]
    elif isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
        places = inputs[0].shape[1:2]
    products = math.prod(places) * sum(math.prod(w.shape) for w in kernels)
    if isinstance(layer, keras.layers.MultiHeadAttention):
        products = _attention(layer, inputs)
    return products


def _attention(layer: keras.layers.MultiHeadAttention, inputs: list[Any]) -> int:
    """Return the products of the four projections, of the scores and of the weighted sums."""
    query, value = (x.shape[1] for x in (inputs[0], inputs[1] if len(inputs) > 1 else inputs[0]))
    sizes = [math.prod(w.shape) for w in layer.weights if w.path.endswith("kernel")]
    lengths = (query, value, value, query)  # query, key, value, output
    scores = 2 * query * value * layer.num_heads * layer.key_dim
    return sum(length * size for length, size in zip(lengths, sizes, strict=True)) + scores
