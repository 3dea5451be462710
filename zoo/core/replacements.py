"""What takes the place of the model of a builder: a Keras model of the user, and the mean of two candidates."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
from keras import layers

from pipelines.dataset import Info
from zoo.core.task import BaseTask
from zoobase import describe_cause
from zoobase.errors import UsageError

LINKS = ("softmax", "sigmoid")  # last activations of classifiers, which are left out: what is exported are logits
CORE = "core"  # the layer of a model of named columns that takes ids in place of strings


def to_config(model: keras.Model) -> str:
    """Return the configuration of a model as JSON; UsageError for one that Keras cannot rebuild from it alone."""
    if not isinstance(model, keras.Model):
        raise UsageError(f"model= is a {type(model).__name__}: give a Keras model, or a function that returns one")
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        text = json.dumps(config, sort_keys=True)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise UsageError(f"{model.name} has no configuration to store: {describe_cause(error)}") from error
    rebuilt(text)
    return text


def rebuilt(text: str) -> keras.Model:
    """Return the model of a configuration, with new weights."""
    config = json.loads(text)
    for node in _objects(config):  # other code may not be there in the next process, and is not to be run in this one
        if str(node["module"] or node.get("registered_name") or "keras").partition(".")[0] != "keras":
            raise UsageError(
                f"{node['class_name']} is not of Keras, and a run folder holds no code: make the model of layers of "
                "Keras, or register a builder of it with zoo.register"
            )
    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        sizes = len(model.inputs), len(model.outputs)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"the model cannot be rebuilt from its configuration: {describe_cause(error)}") from error
    if sizes != (1, 1):
        raise UsageError(f"{model.name} has {sizes[0]} inputs and {sizes[1]} outputs, and needs one of each")
    return model


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping) and {"class_name", "module"} <= set(value):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _objects(part)


def build(text: str, task: BaseTask, reference: keras.Model, arguments: Mapping[str, Any]) -> keras.Model:
    """Return the model of a configuration with the names of the inputs and outputs of the one that it replaces."""
    network = rebuilt(text)
    if classes := arguments.get("num_classes"):
        network = _with_logits(network, classes)
    model = task.around(network, reference, **arguments)
    if model.output_shape != reference.output_shape:
        raise UsageError(
            f"{network.name} returns {model.output_shape}, and {task.title} of these data needs "
            f"{reference.output_shape}"
        )
    return model


def _last(network: keras.Model) -> tuple[keras.layers.Layer, str]:
    """Return the last layer of a model, and "softmax" or "sigmoid" if it is one."""
    layer = network.outputs[0]._keras_history.operation
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return layer, "softmax" if isinstance(layer, keras.layers.Softmax) else name if name in LINKS else ""


def _with_logits(network: keras.Model, classes: int) -> keras.Model:
    """Return a classifier without its softmax or sigmoid; one number is the logit of the second of two classes."""
    layer, link = _last(network)
    if link and hasattr(layer, "activation"):
        layer.activation = keras.activations.linear
    y = layer.input if isinstance(layer, keras.layers.Softmax) else network.outputs[0]
    if classes == 2 and y.shape[1:] == (1,):
        y = keras.layers.Concatenate(name="both_logits")([keras.layers.Rescaling(0.0, name="first_logit")(y), y])
    return network if y is network.outputs[0] else keras.Model(network.inputs, y, name=network.name)


def loss_of(network: keras.Model, loss: Any) -> Any:
    """Return the loss of a classifier for logits: that of the task, None, for a cross-entropy of probabilities."""
    _, link = _last(network)
    if not link or loss is None or getattr(loss, "_fn_kwargs", {}).get("from_logits"):
        return loss
    if "crossentropy" in str(getattr(loss, "name", loss)).lower().replace("_", ""):
        return None
    raise UsageError(f"{network.name} ends in a {link}, which is left out: give a loss of logits")


# === The mean of two candidates ===


def mean_of(models: Mapping[str, keras.Model], task: BaseTask, info: Info) -> keras.Model:
    """Return the mean of two models by name: of their outputs, or the logits of the mean of the probabilities."""
    first, *_ = models.values()
    (output,) = task.contract(first, info)["serving_default"].outputs
    name, inputs, of_columns = first.name, first.input, isinstance(first.input, dict)
    parts = [model.get_layer(CORE) if of_columns else model for model in models.values()]
    output_name = parts[0].output_names[0]
    for own, part in zip(models, parts, strict=True):
        part.name = f"{own}_candidate"
    x = (
        {k: keras.Input(v.shape[1:], dtype=v.dtype, name=k) for k, v in parts[0].input.items()}
        if of_columns
        else inputs
    )
    y = _mean([part(x) for part in parts], output_name, output.meaning == "logits")
    if of_columns:  # the lookups are shared
        ids = {layer.name: layer.output for layer in first.layers if isinstance(layer, layers.StringLookup)}
        y = keras.Model(x, y, name=CORE)({k: ids.get(f"{k}_lookup", v) for k, v in inputs.items()})
    return keras.Model(inputs, y, name=name)


def _mean(outputs: Sequence[Any], name: str, are_logits: bool) -> Any:
    if not are_logits:
        return layers.Average(dtype="float32", name=name)(outputs)
    # log(exp(a) + exp(b)) of the logarithms of two probabilities: no probability depends on that of 2, by which the
    # mean is less
    logs = [layers.Activation("log_softmax", dtype="float32", name=f"log_{i}")(y) for i, y in enumerate(outputs)]
    low, high = layers.Minimum(dtype="float32", name="low")(logs), layers.Maximum(dtype="float32", name="high")(logs)
    gap = layers.Subtract(dtype="float32", name="gap")([low, high])
    rest = layers.Activation("softplus", dtype="float32", name="rest")(gap)
    return layers.Add(dtype="float32", name=name)([high, rest])
