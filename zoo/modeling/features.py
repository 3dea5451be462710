"""Classifiers as backbones: the model without its head, feature maps by stride, frozen layers."""

import math
from collections.abc import Iterable

import keras

from zoobase.errors import UsageError, unknown

HEAD = "logits"  # the layer that every classifier of the zoo ends with


def without_head(model: keras.Model) -> keras.Model:
    """Return a classifier without its layer "logits" and the dropout before it; the layers are shared."""
    return keras.Model(model.input, _last_of_body(model).output, name=model.name)


def feature_maps(model: keras.Model) -> keras.Model:
    """Return the model of an image classifier's feature maps: image -> {"stride_2": (B, H/2, W/2, C), ...}."""
    # The last map of each resolution before "logits", also of a transformer's patches; strides are powers of two.
    x, maps, learned, size = model.input, {}, False, ()
    if len(getattr(x, "shape", ())) != 4:
        raise UsageError(f"{model.name} does not take images (B, H, W, C): it has no feature maps")
    if None in x.shape[1:3]:
        raise UsageError(f"the strides of {model.name} are not known: build it with a fixed image_shape")
    for layer in _layers(model):
        if isinstance(layer, keras.Model):  # a classifier on a backbone
            return keras.Model(model.input, feature_maps(layer)(x), name=model.name)
        if layer.name == HEAD:
            break
        x, learned = layer.output, learned or bool(layer.weights)
        if learned and len(getattr(x, "shape", ())) == 4 and None not in x.shape[1:3]:
            size, stride = x.shape[1:3], 2 ** round(math.log2(model.input.shape[1] / x.shape[1]))
            maps[f"stride_{stride}"] = x
        elif size and len(getattr(x, "shape", ())) == 3 and x.shape[1] in (math.prod(size), math.prod(size) + 1):
            patches = x[:, -math.prod(size) :]  # a class token stands before them
            maps[f"stride_{stride}"] = keras.ops.reshape(patches, (-1, *size, x.shape[-1]))
    if not maps:
        raise UsageError(f"{model.name} has no feature maps (B, H, W, C)")
    return keras.Model(model.input, maps, name=model.name)


def freeze(model: keras.Model, until: str | None = None) -> int:
    """Freeze the first layers of a model: `fit` does not change their weights, nor their batch statistics.

    Args:
        model: A functional or sequential model.
        until: Name of the last layer to freeze, also of one within a nested model; None is the last before "logits".

    Returns:
        The number of trainable parameters that are left.

    Raises:
        UsageError: There is no such layer; the message names the closest matches.

    Example:
        >>> model = build("fashion_mnist")
        >>> freeze(model)
        2570
        >>> model.get_layer("block0_0_conv").trainable
        False
    """
    until = until if until is not None else _last_of_body(model).name
    flat = list(_flatten(model))
    if until not in [layer.name for layer in flat]:
        raise unknown(f"layer of {model.name}", until, [layer.name for layer in flat])
    for layer in flat:
        if not isinstance(layer, keras.Model):
            layer.trainable = False
        if layer.name == until:
            break
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _last_of_body(model: keras.Model) -> keras.layers.Layer:
    """Return the last layer before the head and its dropout; UsageError for a model that is no such classifier."""
    *body, head = _layers(model)
    if head.name != HEAD:
        raise UsageError(f"{model.name} has no head: its last layer is {head.name}, not {HEAD}")
    return next(layer for layer in reversed(body) if not isinstance(layer, keras.layers.Dropout))


def _flatten(model: keras.Model) -> Iterable[keras.layers.Layer]:
    """Yield the layers in order, those of a nested model before the model itself."""
    for layer in _layers(model):
        if isinstance(layer, keras.Model):
            yield from _flatten(layer)
        yield layer


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    if not hasattr(model, "inputs"):  # only functional and sequential models have symbolic tensors
        raise UsageError(f"{model.name} is a subclassed model, whose layers have no order: build it with another api")
    return model.layers
