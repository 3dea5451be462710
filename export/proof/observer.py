"""Observe the layers of the live model while it runs on golden inputs: table rows, vocabulary, units, branches."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from export.contract import Contract
from export.contract.provenance import is_reverse, kind_of
from export.protocol.layers import compiled, first_tensor, intercepted, layers_of, loops

MARGIN = 1e-6  # a unit is saturated where its activation is this close to an end of its range
ENDS = {  # of activations that saturate
    "sigmoid": (0, 1),
    "hard_sigmoid": (0, 1),
    "softmax": (0, 1),
    "relu6": (0, 6),
    "tanh": (-1, 1),
    "hard_tanh": (-1, 1),
    "softsign": (-1, 1),
}


class Observer:
    """What the calls of a model reached, by layers."""

    def __init__(self, model: Any) -> None:
        self.layers = {id(layer): layer for layer in layers_of(model)}
        self.rows = {key: count for key, layer in self.layers.items() if (count := _table_rows(layer))}  # of tables
        self.read = {key: np.zeros(count, bool) for key, count in self.rows.items()}  # (rows,), those that were read
        self.active: dict[int, np.ndarray] = {}  # boolean (units,), the last axis: ever neither zero nor saturated
        self.values: dict[int, set[Any]] = {}  # that lookup layers received
        self.called: set[int] = set()  # that ran eagerly
        self.traced: set[int] = set()  # that were traced in graph mode, where both sides of a condition are
        self.opaque: set[int] = set()  # that a function traced inside an eager call: it is not known when they run
        self.on_table: Callable[[int, np.ndarray, Any], None] | None = None
        self._observes_units = {key for key, layer in self.layers.items() if _has_units(layer)}
        self._lookups = {k for k, layer in self.layers.items() if kind_of(layer) == "IndexLookup" and not layer.invert}
        self._eager = self._enabled = False
        self._loops = 0  # recurrent layers that run in an eager call

    @contextlib.contextmanager
    def observing(self, contract: Contract) -> Iterator[Contract]:
        """Return the contract with calls that are observed inside the context."""
        endpoints = tuple(dataclasses.replace(e, call=self._observed(e.call)) for e in contract.endpoints)
        with intercepted(self.layers.values(), self._wrapped):
            yield dataclasses.replace(contract, endpoints=endpoints)

    def name(self, key: int) -> str:
        """Return the name of a layer, its path where two have the same."""
        name = self.layers[key].name
        return name if sum(layer.name == name for layer in self.layers.values()) == 1 else self.layers[key].path

    def _observed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(inputs: Mapping[str, Any]) -> Any:
            import tensorflow as tf

            self._eager = tf.executing_eagerly()
            reals = [v.numpy() for v in inputs.values() if self._eager and v.dtype.is_floating]
            self._enabled = all(np.all(np.isfinite(v.astype(np.float32))) for v in reals)  # NaN is not legal
            return call(inputs)

        return run

    def _wrapped(self, layer: Any) -> Callable[..., Any]:
        import tensorflow as tf

        inner, key, is_loop = compiled(layer), id(layer), loops(layer)

        def call(*args: Any, **options: Any) -> Any:
            is_eager_loop = is_loop and tf.executing_eagerly()
            self._loops += is_eager_loop
            try:
                result = inner(*args, **options)
            finally:
                self._loops -= is_eager_loop
            if self._loops and not tf.executing_eagerly():  # a step of a loop is recorded when it runs, not now
                tf.py_function(lambda x, y: self._record_step(key, x, y), [args[0], result[0]], [])
            elif self._enabled:
                self._record(key, args, options, result)
            return result

        return call

    def _record_step(self, key: int, inputs: Any, output: Any) -> None:
        if self._enabled:
            self._record(key, (inputs,), {}, output)

    def _record(self, key: int, args: tuple[Any, ...], options: Mapping[str, Any], result: Any) -> None:
        output = first_tensor(result)
        if output is None:
            return
        if not hasattr(getattr(output, "flat_values", output), "numpy"):
            (self.opaque if self._eager else self.traced).add(key)
            return
        self.called.add(key)
        if key in self.rows and args and not is_reverse(args[1:], options):
            self._record_rows(key, args[0], output)
        if key in self._lookups and args:
            self.values.setdefault(key, set()).update(np.unique(_flat(args[0])).tolist())
        if key in self._observes_units:
            self._record_units(key, output)

    def _record_rows(self, key: int, inputs: Any, output: Any) -> None:
        if kind_of(self.layers[key]) != "Embedding":  # positions
            self.read[key][: inputs.shape[1]] = True
            return
        ids = _flat(inputs).astype(np.int64)
        self.read[key][ids[(ids >= 0) & (ids < self.rows[key])]] = True
        if self.on_table:
            self.on_table(key, ids, output)

    def _record_units(self, key: int, output: Any) -> None:
        if output.ndim < 2 or not output.dtype.is_floating:
            return
        active = self.active.setdefault(key, np.zeros(output.shape[-1], bool))
        if active.all() or len(active) != output.shape[-1]:
            return
        values = output.numpy().reshape(-1, len(active))[:, ~active]
        low, high = ENDS.get(activation_name(self.layers[key]), (-np.inf, np.inf))
        inside = (values != 0) & np.isfinite(values) & (values > low + MARGIN) & (values < high - MARGIN)
        active[~active] = inside.any(axis=0)


def activation_name(layer: Any) -> str:
    """Return the name of the activation of a layer, or an empty string."""
    if type(layer).__name__ in ("Softmax", "ReLU"):
        return "relu6" if getattr(layer, "max_value", None) == 6 else type(layer).__name__.lower()
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _has_units(layer: Any) -> bool:
    is_leaf = len(list(layer._flatten_layers())) == 1
    return is_leaf and bool(layer.weights or activation_name(layer)) and kind_of(layer) != "Embedding"


def _table_rows(layer: Any) -> int | None:
    if kind_of(layer) == "Embedding":
        return int(layer.input_dim)
    names = {base.__name__ for base in type(layer).__mro__}
    return int(layer.sequence_length) if "PositionEmbedding" in names and hasattr(layer, "sequence_length") else None


def _flat(values: Any) -> np.ndarray:
    return np.asarray(getattr(values, "flat_values", values)).ravel()
