"""The JSON configuration of a Keras model: read without Keras, and with adapted vocabularies when it is written."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from export.formats.format import Description, Port, Signature

if TYPE_CHECKING:
    import h5py

HOLD_LAYERS = frozenset({"layers", "layer", "forward_layer", "backward_layer", "cell", "cells"})
STOCK = ("keras", "tensorflow", "tf_keras", "builtins")
NON_PARAMETERS = ("optimizer", "seed_generator")


def read_config(description: Description, config: Mapping[str, Any]) -> None:
    """Fill in signatures, layers and flags."""
    layers = list(_layers(config))
    description.operations = dict(sorted(Counter(str(layer["class_name"]) for layer in layers).items()))
    description.flagged = {
        "flex": [],
        "custom": sorted({str(layer["class_name"]) for layer in layers if _is_custom(layer)}),
        "random": [name for name in description.operations if name.startswith("Random")],
        "stateful": sorted({str(layer["class_name"]) for layer in layers if layer["config"].get("stateful")}),
    }
    if "Lambda" in description.operations:
        description.risks.append("a Lambda layer contains Python code")
    if functions := sorted(set(_functions(config))):
        description.risks.append(f"its configuration contains Python code ({', '.join(functions)})")
    inner = config.get("config")
    inner = inner if isinstance(inner, Mapping) else {}  # before Keras 2.2.3 a Sequential model was a list of layers
    inputs = tuple(_inputs(inner, layers)) or tuple(_implied_inputs(layers))
    outputs = tuple(Port(name, None, None) for name in _node_names(inner.get("output_layers")))
    description.signatures = (Signature("", inputs, outputs),)


def _layers(config: Any, is_layer: bool = False) -> Iterator[Mapping[str, Any]]:
    """Yield the configuration of every layer, those in nested models and wrappers included."""
    # Objects with a dtype are layers, and what a model or wrapper lists as one: layers of Keras 2 may have no dtype.
    if isinstance(config, Mapping):
        inner = config.get("config")
        is_leaf = isinstance(inner, Mapping) and "layers" not in inner
        if "class_name" in config and is_leaf and (is_layer or "dtype" in inner):
            yield config
        for key, value in config.items():
            if key != "compile_config":  # not used for serving
                is_list_of_layers = key == "config" and isinstance(value, list)
                yield from _layers(value, key in HOLD_LAYERS or is_list_of_layers)
    elif isinstance(config, list):
        for value in config:
            yield from _layers(value, is_layer)


def _functions(config: Any) -> Iterator[str]:
    """Yield the kinds of marshalled code in a configuration."""
    if isinstance(config, Mapping):
        if config.get("class_name") in ("__lambda__", "function_type") or config.get("function_type") == "lambda":
            yield str(config.get("class_name") or "lambda")
        for value in config.values():
            yield from _functions(value)
    elif isinstance(config, list):
        for value in config:
            yield from _functions(value)


def _is_custom(layer: Mapping[str, Any]) -> bool:
    module = layer.get("module")
    registered = str(layer.get("registered_name") or "")
    return (isinstance(module, str) and module.partition(".")[0] not in STOCK) or ">" in registered


def _inputs(inner: Mapping[str, Any], layers: list[Mapping[str, Any]]) -> Iterator[Port]:
    names = _node_names(inner.get("input_layers"))
    for layer in layers:
        config = layer["config"]
        if layer["class_name"] == "InputLayer" and (not names or config.get("name") in names):
            shape = config.get("batch_shape") or config.get("batch_input_shape")
            dtype = config.get("dtype")
            name = dtype.get("config", {}).get("name") if isinstance(dtype, Mapping) else dtype
            yield Port(config.get("name", "input"), name, tuple(shape) if shape else None)


def _implied_inputs(layers: list[Mapping[str, Any]]) -> Iterator[Port]:
    """Yield the input of a Sequential model of Keras 2, whose shape its first layer has."""
    for layer in layers[:1]:
        if shape := layer["config"].get("batch_input_shape"):
            name = f"{layer['config'].get('name', 'input')}_input"
            yield Port(name, str(layer["config"].get("dtype") or "float32"), tuple(shape))


def _node_names(nodes: Any) -> list[str]:
    """Return the names in `input_layers` or `output_layers`: [name, node, tensor], a list or a dict of them."""
    if isinstance(nodes, Mapping):
        return [name for value in nodes.values() for name in _node_names(value)]
    if isinstance(nodes, list) and nodes:
        return [nodes[0]] if isinstance(nodes[0], str) else [name for value in nodes for name in _node_names(value)]
    return []


def count_parameters(file: h5py.File) -> int:
    """Return the number of parameters in an HDF5 file, without those of an optimizer."""
    import h5py

    sizes: list[int] = []

    def visit(name: str, item: Any) -> None:
        is_parameter = isinstance(item, h5py.Dataset) and not any(word in name for word in NON_PARAMETERS)
        if is_parameter and item.dtype.kind in "fiu":
            sizes.append(int(np.prod(item.shape)))

    file.visititems(visit)
    return sum(sizes)


@contextlib.contextmanager
def explicit_vocabularies(model: Any) -> Iterator[None]:
    """Include the vocabulary of every adapted lookup layer in its configuration, as if given to the constructor."""
    # Else Keras writes what it cannot load ("Table not initialized"). Only Keras' lookup layers in the configuration.
    adapted = {layer: vocabulary for layer in model._flatten_layers() if (vocabulary := _adapted_vocabulary(layer))}
    try:
        for layer, vocabulary in adapted.items():
            layer.input_vocabulary = vocabulary
            if layer.output_mode == "tf_idf":
                layer.input_idf_weights = layer.idf_weights.numpy()[: len(vocabulary)].tolist()
        yield
    finally:
        for layer in adapted:
            layer.input_vocabulary = layer.input_idf_weights = None


def _adapted_vocabulary(layer: Any) -> list[Any]:
    """Return the vocabulary of an adapted lookup layer, special tokens included; else an empty list."""
    is_adapted = getattr(layer, "input_vocabulary", ()) is None  # a lookup whose constructor was not given it
    if not is_adapted or not layer.get_vocabulary(include_special_tokens=False):
        return []
    return [getattr(word, "item", lambda word=word: word)() for word in layer.get_vocabulary()]
