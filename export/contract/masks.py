"""Which inputs of a functional model are masks of 0 and 1: those that it gives to a layer's argument of that name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

# Operations whose results have the values of their argument.
UNCHANGED = frozenset({"BroadcastTo", "Cast", "ExpandDims", "GetItem", "Reshape", "Squeeze", "Transpose"})


def mask_inputs(model: Any, tensors: Sequence[Any]) -> set[int]:
    """Return the positions of the symbolic inputs of a functional model that are masks.

    Args:
        model: A built Keras model; only functional ones have a graph of operations.
        tensors: Its symbolic inputs.

    Example:
        >>> import keras
        >>> x, mask = keras.Input((5, 8)), keras.Input((5,), dtype="int32")
        >>> y = keras.layers.MultiHeadAttention(2, 4)(x, x, attention_mask=mask[:, None, :])
        >>> mask_inputs(keras.Model([x, mask], y), [x, mask])
        {1}
    """
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
