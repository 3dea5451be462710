"""The layers of a Keras model, and their calls; the model is accessed through its own attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def layers_of(model: Any) -> list[Any]:
    """Return every layer inside a model, those of nested models and of wrappers included."""
    return [layer for layer in model._flatten_layers() if layer is not model]


@contextlib.contextmanager
def intercepted(layers: Iterable[Any], wrapped: Callable[[Any], Callable[..., Any]]) -> Iterator[None]:
    """Replace the `call` of each layer by `wrapped(layer)` inside the context."""
    # Keras has no hook on a layer's call, and a subclass would need a copy of the model: the instance gets an
    # attribute.
    layers = list(layers)
    for layer in layers:
        object.__setattr__(layer, "call", wrapped(layer))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")  # restores the method of the class


def first_tensor(result: Any) -> Any:
    """Return the first tensor of what a layer returned: a tensor, or a list or dict of them; None if there is none."""
    while isinstance(result, (list, tuple, dict)) and result:
        result = next(iter(result.values())) if isinstance(result, dict) else result[0]
    return result if hasattr(result, "dtype") else None
