"""Golden rows near every constant that the reference compares with: at a step, rounding and a wrong sign show."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from export.contract import Endpoint
from export.contract.sampling import legal_range, sample_values

MAX_THRESHOLDS = 16  # of one endpoint, evenly chosen among all
STEP = 1e-3  # distance from a threshold in units of its size: further than rounding, nearer than a typical value


def thresholds_of(concrete: Any) -> list[float]:
    """Return the constants that a `tf.ConcreteFunction` compares numbers with, and the boundaries of its buckets."""
    # Comparisons are the operators that return booleans by TensorFlow's registry.
    definition = concrete.graph.as_graph_def()
    scopes = [definition.node, *(function.node_def for function in definition.library.function)]
    values = sorted({float(value) for nodes in scopes for value in _compared(nodes) if np.isfinite(value)})
    return values[:: -(-len(values) // MAX_THRESHOLDS)] if values else []


def _compared(nodes: Any) -> Iterator[float]:
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    constants = {node.name: node.attr["value"].tensor for node in nodes if node.op == "Const"}
    for node in nodes:
        yield from node.attr["boundaries"].list.f if node.op == "Bucketize" else ()
        registered = op_def_registry.get(node.op)
        if registered is None or [a.type for a in registered.output_arg] != [tf.bool.as_datatype_enum]:
            continue
        for name in (i.removeprefix("^").partition(":")[0] for i in node.input):
            if name in constants and tf.dtypes.as_dtype(constants[name].dtype).is_floating:
                yield from np.ravel(tf.make_ndarray(constants[name]))[:MAX_THRESHOLDS]


def rows_near(endpoint: Endpoint, thresholds: list[float]) -> tuple[dict[str, np.ndarray], tuple[str, ...]] | None:
    """Return rows on either side of each threshold in the range of an input, and their names; None without any."""
    numeric = [t for t in endpoint.inputs if t.dtype.startswith("float") and t.meaning not in ("token", "category")]
    ends = {t: legal_range(t) for t in numeric}
    near = {t: [v for v in thresholds if np.min(low) <= v <= np.max(high)] for t, (low, high) in ends.items()}
    used = sorted({value for values in near.values() for value in values})
    if not used:
        return None
    rng, size = np.random.default_rng(len(used)), endpoint.batch or 1
    names = [f"{side} {value:g}" for value in used for side in ("below", "above") for _ in range(size)]
    inputs = {t.name: sample_values(t, len(names), rng) for t in endpoint.inputs}
    for tensor, values in near.items():
        (low, high), of_tensor = ends[tensor], inputs[tensor.name]
        for row, value in enumerate(np.repeat(used, 2 * size)):
            if value in values:
                distances = rng.uniform(0.2, 1, of_tensor[row].shape) * STEP * max(abs(value), STEP)
                side = -1 if (row // size) % 2 == 0 else 1
                of_tensor[row] = np.clip(value + side * distances, low, high)
    return inputs, tuple(names)
