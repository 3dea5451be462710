"""Gradient-boosted trees as a Keras layer: what scikit-learn fitted, in every format that a model is exported to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

ARRAYS = {  # name: dtype, dimensions
    "nodes": ("int32", 2),  # of all trees, one behind the other: feature, left child, turn of a missing value, set
    "thresholds": ("float32", 1),
    "leaves": ("float32", 2),  # of each node, the multiple of a power of two and what is left of the value
    "sets": ("int32", 2),  # of categories: the turn of each; the first is of no node
    "roots": ("int32", 1),
    "start": ("float32", 2),  # what is added to the trees, as `leaves`: (2, outputs)
}  # a turn is 0 to the left child, 1 to the right one, which follows it; a leaf is its own child
BITS = 24  # of the significand of a float32
LINKS = ("identity", "exp", "expm1")  # from the sum of the trees to the output
NEVER = -100.0  # the logit of a class that was not in training


@keras.saving.register_keras_serializable("zoo")
class TreeEnsemble(keras.layers.Layer):
    """The sum of the leaves that a row reaches in each tree, for each of `outputs`.

    Equal to scikit-learn's `HistGradientBoostingRegressor` and `HistGradientBoostingClassifier`, before the inverse
    link function, within one rounding of float32 in any order of summation: the values of the leaves are stored as
    multiples of a power of two, of which float32 adds the most that a row can reach exactly, and what is left of them.

    Shapes: (B, F) float32, with NaN for what is missing and the ids of categories -> (B, outputs) float32.

    Args:
        depth: Comparisons from a root to the deepest leaf.
        outputs: Numbers of a row; tree `i` adds to output `i % outputs`.
        link: One of `LINKS`.
        sizes: {array: its shape}, of `ARRAYS`.

    Example:
        >>> import numpy as np
        >>> from sklearn.ensemble import HistGradientBoostingRegressor
        >>> x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
        >>> fitted = HistGradientBoostingRegressor(max_iter=5).fit(x, x[:, 0] * x[:, 1])
        >>> trees = TreeEnsemble.of(fitted)
        >>> bool(np.allclose(trees(x)[:, 0], fitted.predict(x), rtol=1e-6))
        True
    """

    def __init__(
        self,
        depth: int = 1,
        outputs: int = 1,
        link: str = "identity",
        sizes: Mapping[str, Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.depth, self.outputs, self.link = depth, outputs, link
        self.sizes = {name: list((sizes or {}).get(name, [1] * rank)) for name, (_, rank) in ARRAYS.items()}
        self.arrays: dict[str, Any] = {}

    @classmethod
    def of(cls, fitted: Any, **kwargs: Any) -> TreeEnsemble:
        """Return the trees of a fitted `HistGradientBoosting` model; arguments as of `trees_of`."""
        arrays, depth = trees_of(fitted, **kwargs)
        layer = cls(depth, arrays["start"].shape[1], sizes={name: value.shape for name, value in arrays.items()})
        layer.build((None, fitted.n_features_in_))
        layer.fill(arrays, depth)
        return layer

    def build(self, input_shape: Any) -> None:
        """Create the arrays of the nodes."""
        self.arrays = {
            name: self.add_weight(shape=tuple(self.sizes[name]), dtype=dtype, initializer="zeros", name=name)
            for name, (dtype, _) in ARRAYS.items()
        }

    def fill(self, arrays: Mapping[str, np.ndarray], depth: int, link: str = "identity") -> None:
        """Replace the trees, by others of any number."""
        self.depth, self.link = depth, link
        self.sizes = {name: list(arrays[name].shape) for name in ARRAYS}
        if any(tuple(variable.shape) != arrays[name].shape for name, variable in self.arrays.items()):
            self._tracker.unlock()  # as Keras does where `quantize` replaces a kernel
            for variable in self.arrays.values():
                self._untrack_variable(variable)
            self.build(None)
            self._tracker.lock()
        for name, variable in self.arrays.items():
            variable.assign(arrays[name])

    def save_own_variables(self, store: Any) -> None:
        """Save the arrays and the depth."""
        super().save_own_variables(store)
        store["depth"], store["link"] = np.int32(self.depth), np.int32(LINKS.index(self.link))

    def load_own_variables(self, store: Any) -> None:
        """Load arrays of any number of trees."""
        arrays = {name: np.asarray(store[str(number)]) for number, name in enumerate(ARRAYS)}
        self.fill(arrays, int(np.asarray(store["depth"])), LINKS[int(np.asarray(store["link"]))])

    def call(self, x: Any) -> Any:
        """Return the sums of the leaves (B, outputs)."""
        nodes, thresholds, leaves, sets, roots, start = (ops.convert_to_tensor(v) for v in self.arrays.values())
        node = ops.zeros_like(x[:, :1], dtype="int32") + roots  # (B, trees)
        for _ in range(self.depth):
            feature, child, missing, row = ops.unstack(tf.gather(nodes, node), 4, axis=-1)
            value = tf.gather(x, feature, batch_dims=1)
            is_missing = ops.isnan(value)
            known = ops.where(is_missing, 0.0, value)
            turn = ops.cast(known > tf.gather(thresholds, node), "int32")
            if sets.shape[0] > 1:
                place = ops.cast(ops.clip(known, 0.0, sets.shape[1] - 1.0), "int32")  # the last one is of no value
                of_set = tf.gather(ops.reshape(sets, (-1,)), row * sets.shape[1] + place)
                turn = ops.where(row > 0, of_set, turn)
            node = ops.where(child == node, node, child + ops.where(is_missing, missing, turn))
        reached = ops.reshape(tf.gather(leaves, node), (-1, roots.shape[0] // self.outputs, self.outputs, 2))
        exact, rest = ops.unstack(ops.sum(reached, axis=1) + ops.transpose(start), 2, axis=-1)
        total = exact + rest
        return total if self.link == "identity" else ops.exp(total) - float(self.link == "expm1")

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return (B, outputs)."""
        return input_shape[0], self.outputs

    def get_config(self) -> dict[str, Any]:
        """Return the sizes."""
        config = super().get_config()
        for name in ("trainable", "dtype"):
            config.pop(name)
        return config | {"depth": self.depth, "outputs": self.outputs, "link": self.link, "sizes": self.sizes}


def trees_of(
    fitted: Any, ids: Mapping[int, Sequence[int]] | None = None, classes: int = 0
) -> tuple[dict[str, np.ndarray], int]:
    """Return the arrays of a fitted `HistGradientBoosting` model, and its depth.

    Args:
        fitted: A regressor or classifier of scikit-learn, fitted to (rows, columns) float64.
        ids: {column of categories: the id that the layer is given for each of the values 0, 1, ...}; the values
            themselves where it is None.
        classes: Number of classes, of which logits are returned, those in training and others; 0 for the sums alone.
    """
    columns, values = _columns_of(fitted)
    places = {k: [v if ids is None else ids[k][v] for v in values[k]] for k in values}
    width = 2 + max((place for of_column in places.values() for place in of_column), default=0)
    sets, nodes, thresholds, leaves, roots, depth = [np.zeros(width, np.int32)], [], [], [], [], 0
    for predictor in (p for iteration in fitted._predictors for p in iteration):
        roots.append(root := sum(map(len, nodes)))
        order = _siblings_adjacent(predictor.nodes)
        found, number = predictor.nodes[order], np.argsort(order) + root
        split = found["is_leaf"] == 0
        feature = columns[np.where(split, found["feature_idx"], 0)]
        child = number[np.where(split, found["left"], order)]
        missing = 1 - found["missing_go_to_left"].astype(np.int64)
        row = np.zeros(len(found), np.int64)
        for i in np.flatnonzero(split & (found["is_categorical"] == 1)):
            bits = predictor.raw_left_cat_bitsets[found["bitset_idx"][i]]
            turns = np.full(width, missing[i])  # a value that training did not have is a missing one
            for code, place in enumerate(places[feature[i]]):
                turns[place] = 1 - (int(bits[code // 32]) >> (code % 32) & 1)
            row[i] = len(sets)
            sets.append(turns)
        nodes.append(np.stack([feature, child, missing, row], 1))
        thresholds.append(_rounded_down(found["num_threshold"]))
        leaves.append(np.where(split, 0.0, found["value"]))
        depth = max(depth, int(found["depth"].max()))
    start = np.asarray(fitted._baseline_prediction, np.float64).reshape(-1)
    if classes:
        empty = sum(map(len, nodes))  # a leaf of no value
        roots, start = _of_classes(fitted, np.array(roots), start, classes, empty)
        nodes.append(np.array([[0, empty, 0, 0]]))
        thresholds.append(np.zeros(1, np.float32))
        leaves.append(np.zeros(1))
    largest = sum(np.abs(values).max() for values in leaves) + np.abs(start).max()
    step = 2.0 ** (np.ceil(np.log2(max(largest, 1e-30))) - BITS)
    parts = [(exact := np.round(v / step) * step, v - exact) for v in (np.concatenate(leaves), start)]
    arrays = {"nodes": np.concatenate(nodes), "thresholds": np.concatenate(thresholds), "leaves": np.stack(parts[0], 1)}
    arrays |= {"sets": np.stack(sets), "roots": np.array(roots), "start": np.stack(parts[1])}
    return {k: arrays[k].astype(dtype) for k, (dtype, _) in ARRAYS.items()}, depth


def _of_classes(
    fitted: Any, roots: np.ndarray, start: np.ndarray, classes: int, empty: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the root of each tree and class, `empty` where there is no tree, and what each class starts from."""
    seen = np.asarray(fitted.classes_, int)
    seen = seen[1:] if len(seen) == 2 else seen  # the logit of the first of two classes is 0
    of_class = np.full((len(roots) // len(seen), classes), empty)
    of_class[:, seen] = roots.reshape(-1, len(seen))
    logits = np.full(classes, NEVER)
    logits[np.asarray(fitted.classes_, int)] = 0.0
    logits[seen] = start
    return of_class.reshape(-1), logits


def _columns_of(fitted: Any) -> tuple[np.ndarray, dict[int, list[int]]]:
    """Return the column of each feature of the trees, and {column of categories: value by code}."""
    if fitted._preprocessor is None:
        return np.arange(fitted.n_features_in_), {}
    is_category = np.asarray(fitted.is_categorical_)  # these come first
    columns = np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])
    found = fitted._preprocessor.named_transformers_["encoder"].categories_
    kept = ([int(v) for v in values if not np.isnan(v)] for values in found)
    return columns, dict(zip(columns.tolist(), kept, strict=False))


def _siblings_adjacent(nodes: np.ndarray) -> np.ndarray:
    """Return an order of the nodes of a tree in which each right child follows the left one."""
    order, i = [0], 0
    while i < len(order):
        node = nodes[order[i]]
        order += [] if node["is_leaf"] else [int(node["left"]), int(node["right"])]
        i += 1
    return np.array(order)


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Return the largest float32 that are not larger: float32 numbers compare to these as to the thresholds."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
