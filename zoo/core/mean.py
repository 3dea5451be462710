"""The mean of two models with the same inputs as one model, of layers that every format holds."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from pipelines.dataset import Info
from zoo.core.task import BaseTask

CORE = "core"  # the layer of a model of named columns that takes ids in place of strings


def mean_of(models: Mapping[str, keras.Model], task: BaseTask, info: Info) -> keras.Model:
    """Return the mean of two models by name: of their outputs, or the logits of the mean of the probabilities."""
    first, *_ = models.values()
    (output,) = task.contract(first, info)["serving_default"].outputs
    are_logits = output.meaning == "logits"
    own = first.name
    if not isinstance(first.input, dict):
        for name, model in models.items():
            model.name = f"{name}_candidate"
        return keras.Model(first.input, _mean(models, first.input, first.output_names[0], are_logits), name=own)
    cores = {name: _renamed(model.get_layer(CORE), f"{name}_") for name, model in models.items()}
    inputs = {
        name: keras.Input(x.shape[1:], dtype=x.dtype, name=name) for name, x in next(iter(cores.values())).input.items()
    }
    core = keras.Model(inputs, _mean(cores, inputs, output.name, are_logits), name=CORE)
    lookups = {layer.name: layer.output for layer in first.layers if isinstance(layer, layers.StringLookup)}
    return keras.Model(
        first.input, core({name: lookups.get(f"{name}_lookup", x) for name, x in first.input.items()}), name=own
    )


def _renamed(core: keras.Model, prefix: str) -> keras.Model:
    """Return a copy with other names: a HDF5 file has the variables of both cores in one group."""

    def rename(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "name": prefix + layer.name})

    copy = keras.models.clone_model(core, clone_function=rename, recursive=True)
    copy.set_weights(core.get_weights())
    copy.name = f"{prefix}{core.name}"
    return copy


def _mean(models: Mapping[str, keras.Model], x: Any, name: str, are_logits: bool) -> Any:
    outputs = [model(x) for model in models.values()]
    if not are_logits:
        return layers.Average(dtype="float32", name=name)(outputs)
    # log(exp(a) + exp(b)) of the logarithms of two probabilities: no probability depends on that of 2, by which the
    # mean is less
    logs = [
        layers.Activation("log_softmax", dtype="float32", name=f"{own}_log")(y)
        for own, y in zip(models, outputs, strict=True)
    ]
    low = layers.Minimum(dtype="float32", name="lower_log")(logs)
    high = layers.Maximum(dtype="float32", name="higher_log")(logs)
    gap = layers.Subtract(dtype="float32", name="gap")([low, high])
    rest = layers.Activation("softplus", dtype="float32", name="softplus")(gap)
    return layers.Add(dtype="float32", name=name)([high, rest])
