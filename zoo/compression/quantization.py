"""Quantization-aware training (QAT): a functional model with weights and activations rounded as by TFLite.

Where TFLite has a tensor of integers, the trained model has a `FakeQuantization`: behind each convolution, dense layer,
sum or concatenation, together with the batch normalisation and ReLU that the converter fuses with it. Layers that this
module does not know compute with real numbers, here and in the file.
"""

import contextlib
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
from keras import layers, tree

from zoo.compression.fake_quant import (
    KERNELS,
    FakeQuantization,
    FreezableNormalization,
    RoundedBias,
    RoundedWeights,
    round_symmetric,
)
from zoo.core.weight_files import check_file, content_of
from zoobase.errors import UsageError
from zoobase.files import write_with_checksum
from zoobase.hdf5 import open_hdf5

BITS = {"int8": 8, "int8_weights": 8, "int4_weights": 4}  # of the weights
RANGES = "ranges"  # attribute of a weights file
FROZEN_SHARE = 0.2  # of the epochs, the last ones
LINEAR = (
    *(layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv2DTranspose),
    *(layers.DepthwiseConv1D, layers.DepthwiseConv2D),
)
JOINS = (layers.Add, layers.Subtract, layers.Multiply, layers.Concatenate)
SAME_VALUES = (  # every output is one of the inputs, or 0
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.Identity, layers.Flatten),
    *(layers.Reshape, layers.Permute, layers.RepeatVector, layers.ZeroPadding1D, layers.ZeroPadding2D),
    *(layers.Cropping1D, layers.Cropping2D, layers.MaxPooling1D, layers.MaxPooling2D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D),
)
SAME_RANGE = (layers.AveragePooling1D, layers.AveragePooling2D)  # TFLite keeps the scale
OWN_RANGE = (
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
)
FUSED = ("linear", "relu", "relu6")  # activations that TFLite computes within the operator before
FIXED = {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}  # ranges of TFLite


def quantize(model: keras.Model, precision: str = "int8") -> keras.Model:
    """Return a model with the variables of `model` for quantization-aware training.

    Compile and fit it as any model, with `FreezeRanges` among the callbacks; then `round_weights` gives `model` the
    weights that its files hold, and `export.Quantization(["int8"], simulation=...)` writes an int8 file with the
    trained ranges.

    Args:
        model: A built functional or sequential model.
        precision: "int8" (weights and activations), "int8_weights" or "int4_weights" (activations stay float).

    Returns:
        A functional model with the same inputs and outputs; training it trains `model`.

    Raises:
        UsageError: An unknown precision, or a model or layer that cannot be trained so.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="logits")])
        >>> trained = quantize(model, "int8")
        >>> trained.compile("adam", "mse")
        >>> history = trained.fit(np.eye(4), np.ones((4, 2)), epochs=2, callbacks=[FreezeRanges(2)], verbose=0)
        >>> sorted(ranges_of(trained))
        ['logits', 'logits_input']
    """
    if precision not in BITS:
        raise UsageError(f"quantization {precision!r} is not known: it is one of {', '.join(BITS)}")
    trained = _Builder(model, BITS[precision], activations=precision == "int8").build()
    if not _layers(trained, RoundedWeights):
        raise UsageError(f"{model.name} has no layer whose weights can be quantised")
    return trained


def simulate(model: keras.Model, ranges: Mapping[str, Sequence[float]]) -> keras.Model:
    """Return a model that computes what an int8 file of `model` does, in real numbers."""
    simulation = _Builder(model, None, activations=True).build()
    quantizers = _quantizers(simulation)
    if set(quantizers) != set(ranges):
        differing = sorted(set(quantizers) ^ set(ranges))
        raise UsageError(f"the ranges are those of another model: {', '.join(differing[:5])} differ")
    for name, quantizer in quantizers.items():
        quantizer.range, quantizer.frozen = ranges[name], True
    return simulation


def ranges_of(model: keras.Model) -> dict[str, tuple[float, float]]:
    """Return (least, largest) of the activations of a model of `quantize`, by name."""
    return {name: quantizer.range for name, quantizer in _quantizers(model).items()}


def _quantizers(model: keras.Model) -> dict[str, FakeQuantization]:
    """Return the layers whose range is trained, by name."""
    return {x.name: x for x in _layers(model, FakeQuantization) if x.fixed is None}


def _layers(model: keras.Model, kind: Any) -> list[Any]:
    """Return the layers of a class, those of inner models included."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]


def round_weights(model: keras.Model) -> None:
    """Round the kernels of a model of `quantize`, and so those of the model that it was made from."""
    for variable, value in _rounded_kernels(model):
        variable.assign(value)


@contextlib.contextmanager
def rounded(model: keras.Model) -> Iterator[None]:
    """Round the kernels of a model of `quantize` within the block."""
    kernels = [(variable, variable.numpy()) for variable, _ in _rounded_kernels(model)]
    round_weights(model)
    try:
        yield
    finally:
        for variable, value in kernels:
            variable.assign(value)


def _rounded_kernels(model: keras.Model) -> list[tuple[keras.Variable, Any]]:
    return [
        (variable, round_symmetric(variable.value, wrapper.bits, axes))
        for wrapper in _layers(model, RoundedWeights)
        if wrapper.bits
        for variable, axes in wrapper.kernels()
    ]


def save_file(model: keras.Model, stock: keras.Model, file: Path) -> None:
    """Write the weights file of a stock model, with rounded kernels and the ranges of its activations."""
    with rounded(model):
        content = io.BytesIO(content_of(stock))
    if ranges := ranges_of(model):
        with h5py.File(content, "r+") as opened:
            opened.attrs[RANGES] = json.dumps(ranges)
    write_with_checksum(file, content.getvalue())


def read_ranges(file: Path) -> dict[str, tuple[float, float]] | None:
    """Return the ranges of the activations in a weights file; None if it was not trained for int8."""
    check_file(file)
    with open_hdf5(file) as content:
        ranges = content.attrs.get(RANGES)
    return None if ranges is None else {name: tuple(limits) for name, limits in json.loads(ranges).items()}


class FreezeRanges(keras.callbacks.Callback):
    """Freezes the ranges, and the statistics of batch normalisation, for the last fifth of the epochs."""

    def __init__(self, epochs: int) -> None:
        """Count on `epochs` epochs in all, those before a resumed `fit` included; of a single one nothing is frozen."""
        super().__init__()
        self.start = epochs - max(1, round(FROZEN_SHARE * epochs)) if epochs > 1 else epochs

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Freeze, and trace the training step again."""
        parts = _layers(self.model, FakeQuantization | FreezableNormalization)
        is_frozen = epoch >= self.start
        if any(part.frozen != is_frozen for part in parts):
            for part in parts:
                part.frozen = is_frozen
            self.model.make_train_function(force=True)


# === The graph ===


_Linear = tuple[RoundedWeights, FakeQuantization]  # a layer with weights, and what rounds its inputs


@dataclass(frozen=True)
class _Call:
    """A call of a layer in the graph of a model: what it takes and returns, by the ids of the tensors."""

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _Builder:
    """Builds the model for training from the calls of another, in two passes in the same order."""

    # The first pass finds out which calls read what a call returns; the second makes the calls of the new model.
    def __init__(self, model: keras.Model, bits: int | None, activations: bool, names: set[str] | None = None) -> None:
        self.model, self.graph = model, _functional(model)
        self.bits, self.activations = bits, activations
        self.names = set() if names is None else names  # of the layers of the new model, and of those that it is in
        self.calls: list[_Call] = []
        self.readers: dict[int, list[int]] = {}  # tensor of the first pass -> the calls that read it
        self.makers: dict[int, _Call] = {}  # tensor of the first pass -> the call that returns it
        self.results: set[int] = set()  # tensors of the first pass that the model returns
        self.shared: dict[int, list[int]] = {}  # tensor of the first pass -> all that share its range
        self.quantizers: dict[int, FakeQuantization] = {}  # the first of those that share a range -> what rounds them
        self.outputs: list[FakeQuantization | None] = []  # what has rounded the results of the new model
        self.tensors: list[Any] = []  # keeps their ids unique
        self.order = itertools.count()
        self.wrapped: dict[int, Any] = {}  # layer -> what is called in its place
        self.ranges: dict[int, FakeQuantization] = {}  # tensor of the second pass -> what rounded it
        self.rounded: dict[int, Any] = {}  # tensor of real numbers -> the tensor rounded for its readers
        self.linear: dict[int, _Linear] = {}  # result -> its layer, and that of inputs
        self.pending: set[int] = set()  # tensors that are rounded behind the next call

    def build(self, rounded: Sequence[FakeQuantization | None] = ()) -> keras.Model:
        """Return the new model; `rounded` is what has rounded the inputs of an inner model, one each."""
        specs = tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype, name=x.name), self.graph.input)
        self.results = {id(x) for x in tree.flatten(self.graph._run_through_graph(specs, call_fn=self._record))}
        for call in self.calls if self.activations else ():
            if type(call.layer) is layers.Concatenate:  # TFLite has one scale for what it joins
                self._share([self._origin(x) for x in call.inputs])
        inputs = tree.map_structure(
            lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name), self.graph.input
        )
        self.ranges |= {id(x): q for x, q in zip(tree.flatten(inputs), rounded, strict=False) if q is not None}
        outputs = self.graph._run_through_graph(inputs, call_fn=self._call)
        self.outputs = [self.ranges.get(id(x)) for x in tree.flatten(outputs)]
        return keras.Model(inputs, outputs, name=self.model.name)

    def _record(self, layer: Any, *args: Any, **options: Any) -> Any:
        outputs = layer.compute_output_spec(*args, **options)
        tensors = _tensors(args, options)
        call = _Call(layer, tuple(map(id, tensors)), tuple(map(id, tree.flatten(outputs))))
        for name in call.inputs:
            self.readers.setdefault(name, []).append(len(self.calls))
        self.calls.append(call)
        self.makers |= dict.fromkeys(call.outputs, call)
        self.tensors += [*tensors, *tree.flatten(outputs)]
        return outputs

    def _origin(self, tensor: int) -> int:
        """Return the tensor whose values another one has, through layers that compute none."""
        while (call := self.makers.get(tensor)) and type(call.layer) in SAME_VALUES:
            tensor = call.inputs[0]
        if call and type(call.layer) is layers.Concatenate:
            return self._origin(call.inputs[0])
        return tensor

    def _share(self, tensors: Sequence[int]) -> None:
        merged = list(dict.fromkeys(x for tensor in tensors for x in self.shared.get(tensor, [tensor])))
        self.shared |= dict.fromkeys(merged, merged)

    def _call(self, layer: Any, *args: Any, **options: Any) -> Any:
        """Make the call of a layer in the new model."""
        call, kind = self.calls[next(self.order)], type(layer)
        if kind is layers.Identity and layer.name in self.names and call.outputs[0] not in self.results:
            return args[0]
        if hasattr(layer, "_run_through_graph") or hasattr(layer, "_functional"):
            return self._inner(layer, args, options)
        is_pending = any(id(x) in self.pending for x in _tensors(args, options))
        is_rounded = any(id(x) in self.ranges for x in _tensors(args, options))
        if kind is layers.BatchNormalization:
            y = self._once(layer, lambda: FreezableNormalization(layer, self._unique(layer.name)))(*args, **options)
            y = self._with_rounded_bias(y, self.linear.pop(id(args[0]), None), layer)
            return self._finish(y, call) if is_pending else y
        if not self.activations:
            called = self._weights(layer, layer.name) if _has_kernels(layer) else self._unchanged(layer)
            return called(*args, **options)
        if kind in LINEAR:
            return self._linear(layer, call, args, options)
        if kind is layers.Embedding:
            return self._round(self._unchanged(layer)(*args, **options), call)
        if _has_kernels(layer):
            raise UsageError(f"{layer.name} ({kind.__name__}) cannot be trained for int8: set recipe.qat=int8_weights")
        if kind in JOINS and is_rounded:
            names = [f"{layer.name}_input{i}" for i in range(len(args[0]))]
            inputs = [self._input(x, name, tensor) for x, name, tensor in zip(args[0], names, call.inputs, strict=True)]
            y, ranges = self._unchanged(layer)(inputs, **options), {self.ranges[id(x)] for x in inputs}
            if kind is not layers.Concatenate or len(ranges) > 1:
                return self._finish(y, call)
            self.ranges[id(y)] = ranges.pop()
            self.tensors.append(y)
            return y
        y = self._unchanged(layer)(*args, **options)
        if kind in OWN_RANGE and (is_rounded or is_pending):
            return self._round(y, call, FIXED.get(_activation(layer) or ""))
        if kind in (*SAME_VALUES, *SAME_RANGE) and is_rounded:
            quantizer = self.ranges[id(args[0])]
            y = quantizer(y, member=None) if kind in SAME_RANGE else y
            self.ranges[id(y)] = quantizer
            self.tensors.append(y)
        return y

    def _inner(self, model: Any, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Call an inner model, itself with rounded weights and activations, to which a task may refer by its name."""
        builder = _Builder(model, self.bits, self.activations, self.names)
        known = [self.ranges.get(id(x)) for x in _tensors(args, {})]
        outputs = self._once(model, lambda: builder.build(known))(*args, **options)
        self.ranges |= {id(x): q for x, q in zip(tree.flatten(outputs), builder.outputs, strict=False) if q is not None}
        self.tensors += tree.flatten(outputs)
        return outputs

    def _weights(self, layer: Any, name: str, **options: Any) -> RoundedWeights:
        """Return a layer with rounded weights, the same for every call of it."""
        return self._once(layer, lambda: RoundedWeights(layer, self.bits, self._unique(name), **options))

    def _unchanged(self, layer: Any) -> Any:
        """Return a layer, under another name if another one of an inner model has its name."""
        # One without variables is a copy, so that `model.get_layer(NAME).output` is that of the new model.

        def wrap() -> Any:
            if layer.name in self.names:
                return RoundedWeights(layer, None, self._unique(layer.name))
            is_stock = isinstance(layer, keras.Layer) and type(layer).__module__.partition(".")[0] == "keras"
            return type(layer).from_config(layer.get_config()) if is_stock and not layer.variables else layer

        return self._once(layer, wrap)

    def _once(self, layer: Any, wrap: Callable[[], Any]) -> Any:
        if id(layer) not in self.wrapped:
            self.wrapped[id(layer)] = wrap()
            self.names.add(self.wrapped[id(layer)].name)
        return self.wrapped[id(layer)]

    def _unique(self, name: str) -> str:
        """Return a name that no other layer has."""
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
        unique = next(n for n in names if n not in self.names)
        self.names.add(unique)
        return unique

    def _linear(self, layer: Any, call: _Call, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Call a convolution or dense layer, with an activation that is not fused behind a range of its own."""
        inputs, activation = self._input(args[0], f"{layer.name}_input", call.inputs[0]), _activation(layer)
        is_plain = activation in FUSED and (self.bits is not None or activation == "linear")
        wrapped = self._weights(layer, f"{layer.name}_weights", without_activation=not is_plain)
        y, linear = wrapped(inputs, *args[1:], **options), (wrapped, self.ranges[id(inputs)])
        if activation == "linear":
            return self._finish(y, call, linear)
        y = self._with_rounded_bias(y, linear)
        if activation in FUSED:
            y = y if is_plain else layers.Activation(activation, name=self._unique(f"{layer.name}_activation"))(y)
            return self._finish(y, call)
        y = FakeQuantization(self._unique(f"{layer.name}_linear"))(y)
        y = layers.Activation(layer.activation, name=self._unique(f"{layer.name}_activation"))(y)
        return self._round(y, call, FIXED.get(activation or ""))

    def _with_rounded_bias(
        self, y: Any, linear: tuple[RoundedWeights, FakeQuantization] | None, norm: Any = None
    ) -> Any:
        """Return the result of a layer with the bias of integers, which only a simulation has; see `RoundedBias`."""
        if self.bits is not None or linear is None:
            return y
        wrapped, quantizer = linear
        if norm is None and not wrapped.layer.use_bias:
            return y
        return RoundedBias(wrapped, norm, quantizer, self._unique(f"{wrapped.name}_bias"))(y)

    def _finish(self, y: Any, call: _Call, linear: _Linear | None = None) -> Any:
        """Round a result, unless that is left to the call behind, which the converter fuses with it."""
        readers = self.readers.get(call.outputs[0], [])
        is_normed = len(readers) == 1 and type(self.calls[readers[0]].layer) is layers.BatchNormalization
        if linear and not is_normed:
            y = self._with_rounded_bias(y, linear)
        if len(readers) == 1 and call.outputs[0] not in self.results and self._is_fused(call.layer, readers[0]):
            self.pending.add(id(y))
            self.tensors.append(y)
            if linear and is_normed:
                self.linear[id(y)] = linear
            return y
        return self._round(y, call)

    def _is_fused(self, layer: Any, reader: int) -> bool:
        """Return whether the converter fuses a call with the one that alone reads its result."""
        following = self.calls[reader].layer
        if _activation(layer) not in ("linear", None):
            return False
        if type(following) is layers.BatchNormalization:
            return type(layer) in LINEAR and following.axis in (-1, following.input_spec.ndim - 1)
        return type(following) in (layers.ReLU, layers.Activation) and _activation(following) in FUSED[1:]

    def _round(self, y: Any, call: _Call, fixed: tuple[float, float] | None = None) -> Any:
        """Round the result of a layer; of a result of the model, the quantizer has the name of the layer."""
        is_named = call.outputs[0] in self.results and type(call.layer) in LINEAR
        name = call.layer.name if is_named else f"{call.layer.name}_range"
        if fixed:
            return self._rounded(y, FakeQuantization(self._unique(name), fixed))
        return self._follow(y, name, call.outputs[0])

    def _follow(self, x: Any, name: str, tensor: int) -> Any:
        """Round by the range of a tensor of the first pass, which others may share."""
        group = self.shared.get(tensor, [tensor])
        if group[0] not in self.quantizers:
            self.quantizers[group[0]] = FakeQuantization(self._unique(name), members=len(group))
        return self._rounded(x, self.quantizers[group[0]], member=group.index(tensor))

    def _rounded(self, x: Any, quantizer: FakeQuantization, **options: Any) -> Any:
        y = quantizer(x, **options)
        self.ranges[id(y)] = quantizer
        self.tensors += [x, y]
        return y

    def _input(self, x: Any, name: str, tensor: int) -> Any:
        """Return what a layer reads rounded, once for all that read it."""
        if id(x) in self.ranges:
            return x
        if id(x) not in self.rounded:
            self.rounded[id(x)] = self._follow(x, name, self._origin(tensor))
        return self.rounded[id(x)]


def _functional(model: keras.Model) -> Any:
    """Return the graph of a functional or sequential model."""
    if type(model).train_step is not keras.Model.train_step:
        raise UsageError(f"{model.name} has a training step of its own, in which nothing can be quantised")
    graph = getattr(model, "_functional", model)  # of a sequential model
    if not hasattr(graph, "_run_through_graph"):
        raise UsageError(
            f"{model.name} is a subclass of keras.Model, whose graph is not known: only functional and sequential "
            "models can be trained for it"
        )
    return graph


def _tensors(args: Sequence[Any], options: Mapping[str, Any]) -> list[Any]:
    return [x for x in tree.flatten((list(args), dict(options))) if isinstance(x, keras.KerasTensor)]


def _has_kernels(layer: Any) -> bool:
    return any(v.name in KERNELS for v in getattr(layer, "weights", ()))


def _activation(layer: Any) -> str | None:
    """Return the name of the activation that a layer computes last; None of a layer without one."""
    if type(layer) is layers.ReLU:
        is_plain = not layer.negative_slope and not layer.threshold
        return {None: "relu", 6: "relu6"}.get(layer.max_value) if is_plain else None
    if type(layer) is layers.Softmax:
        return "softmax"
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", None)
