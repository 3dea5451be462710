"""Ready-made endpoints."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from export.contract import Contract, Endpoint, Tensor
from export.protocol import calls
from zoobase.errors import ExportError


def tensor_endpoint(
    model: Any,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    name: str = "serving_default",
    batch: int | None = None,
    formats: Sequence[str] | None = None,
    structure: str | None = None,
) -> Endpoint:
    """Return the endpoint that is the model's own call, in inference mode; tensors in the order of its arguments."""
    call_structure = structure or structure_of(model, [t.name for t in inputs])
    carriers = None if formats is None else tuple(formats)
    endpoint = Endpoint(name, tuple(inputs), tuple(outputs), None, carriers, batch, call_structure)
    description = endpoint.to_json()

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        return calls.name_outputs(description, model(calls.arrange(description, values), training=False))

    return dataclasses.replace(endpoint, call=call)


def bytes_endpoint(
    base: Endpoint, preprocess: Callable[[Any], Any], name: str = "bytes", labels: Sequence[str] | None = None
) -> Endpoint:
    """Return an endpoint `image_bytes` (B,) string -> the outputs of `base`, which takes one image."""
    # `preprocess` is that of the feed: string -> image. With `labels` also `probabilities`, `label` and its `score`.
    image, scores = _single(base, labels)

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        spec = tf.TensorSpec(image.shape[1:], image.dtype)
        images = tf.map_fn(
            lambda data: tf.ensure_shape(tf.cast(preprocess(data), image.dtype), image.shape[1:]),
            values["image_bytes"],
            fn_output_signature=spec,
        )
        return _labelled(dict(base.call({image.name: images})), scores, labels)

    return _raw(base, name, Tensor("image_bytes", "string", (base.batch,), "encoded_image"), labels, call)


def segment_endpoint(base: Endpoint, name: str = "segment") -> Endpoint:
    """Return an endpoint: inputs of `base` -> `mask` (B, H, W) int32, `probabilities` (B, H, W, classes)."""
    (logits,) = base.outputs
    mask = Tensor("mask", "int32", logits.shape[:-1], "class_ids", low=0, high=logits.shape[-1] - 1)
    probabilities = Tensor("probabilities", "float32", logits.shape, "probabilities")

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        scores = base.call(values)[logits.name]
        return {"mask": tf.argmax(scores, -1, tf.int32), "probabilities": tf.nn.softmax(scores)}

    return Endpoint(name, base.inputs, (mask, probabilities), call, batch=base.batch)


def device_contract(contract: Contract) -> Contract:
    """Return the contract of a file for devices: one endpoint, with probabilities in place of logits."""
    base = contract.endpoints[0]
    if len(base.inputs) != 1 or len(base.outputs) != 1 or base.has_strings:
        raise ExportError(f"endpoint {base.name} has several tensors, or strings, which no library of devices serves")
    (result,) = base.outputs
    formats = ("tflite",)
    if result.meaning != "logits":
        return dataclasses.replace(contract, endpoints=(dataclasses.replace(base, formats=formats),))

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        scores = base.call(values)[result.name]
        return {"probabilities": tf.sigmoid(scores) if result.shape[-1] == 1 else tf.nn.softmax(scores)}

    probabilities = Tensor("probabilities", "float32", result.shape, "probabilities")
    name = "classify" if len(result.shape) == 2 else "segment"
    endpoint = Endpoint(name, base.inputs, (probabilities,), call, formats, base.batch)
    return dataclasses.replace(contract, endpoints=(endpoint,))


def text_endpoint(
    base: Endpoint,
    preprocess: Callable[[Any], Any],
    name: str = "text",
    labels: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    tensor: str = "text",
) -> Endpoint:
    """Return an endpoint `text` (B,) string -> the outputs of `base`, which takes token ids."""
    # `preprocess` is that of the feed: strings (B,) -> ids. Golden texts have words of `vocabulary`: others are alike.
    tokens, scores = _single(base, labels)

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        ids = tf.ensure_shape(tf.cast(preprocess(values[tensor]), tokens.dtype), tokens.shape)
        return _labelled(dict(base.call({tokens.name: ids})), scores, labels)

    text = Tensor(tensor, "string", (base.batch,), "text", vocabulary=vocabulary and tuple(vocabulary))
    return _raw(base, name, text, labels, call)


def _single(base: Endpoint, labels: Sequence[str] | None) -> tuple[Tensor, Tensor]:
    """Return the one input and the first output of a base endpoint."""
    if len(base.inputs) != 1:
        raise ExportError(f"endpoint {base.name} takes {len(base.inputs)} inputs; a raw endpoint feeds exactly one")
    scores = base.outputs[0]
    if labels is not None and scores.shape[-1] != len(labels):
        raise ExportError(f"{len(labels)} labels for {scores.shape[-1]} outputs of {scores.name}; give one for each")
    return base.inputs[0], scores


def _labelled(outputs: dict[str, Any], scores: Tensor, labels: Sequence[str] | None) -> dict[str, Any]:
    """Return outputs with the probabilities of `scores`, and the name and the probability of the largest."""
    if labels is None:
        return outputs
    import tensorflow as tf

    values = outputs[scores.name]
    probabilities = values if scores.meaning == "probabilities" else tf.nn.softmax(values)
    label = tf.gather(tf.constant(list(labels)), tf.argmax(values, axis=-1))
    return {**outputs, "label": label, "score": tf.reduce_max(probabilities, axis=-1), "probabilities": probabilities}


def _raw(
    base: Endpoint, name: str, raw: Tensor, labels: Sequence[str] | None, call: Callable[..., dict[str, Any]]
) -> Endpoint:
    """Return the endpoint of a raw input, with the outputs of the base endpoint and of `_labelled`."""
    named = [("label", "string", (None,)), ("score", "float32", (None,))]
    extra = [Tensor(*facts) for facts in named if labels is not None]
    extra += [] if labels is None else [Tensor("probabilities", "float32", (None, len(labels)), "probabilities")]
    return Endpoint(name, (raw,), (*base.outputs, *extra), call, batch=base.batch)


def step_endpoint(
    step: Callable[..., Sequence[Any]], token: Tensor, states: Sequence[Tensor], output: Tensor, name: str = "step"
) -> Endpoint:
    """Return the endpoint that advances a recurrent model by one token, its states explicit inputs and outputs."""
    # A state `s` is returned as `next_s`; at first it is zeros. Batch size 1: TFLite needs a fixed one of such a step.
    following = tuple(dataclasses.replace(state, name=f"next_{state.name}") for state in states)
    outputs = (output, *following)

    def call(values: Mapping[str, Any]) -> dict[str, Any]:
        results = step(values[token.name], *(values[state.name] for state in states))
        return {tensor.name: result for tensor, result in zip(outputs, results, strict=True)}

    return Endpoint(name, (token, *states), outputs, call, batch=1)


def structure_of(model: Any, names: Sequence[str]) -> str:
    """Return how a model's own call takes inputs of these names: "tensor", "dict" or "list"."""
    structure = getattr(model, "_inputs_struct", None)
    if structure is None:
        shapes = (model.get_build_config() or {}) if hasattr(model, "get_build_config") else {}
        structure = shapes.get("input_shape")
    if isinstance(structure, Mapping):
        return "dict"
    if len(names) > 1 or (isinstance(structure, list) and structure and not is_dimension(structure[0])):
        return "list"
    return "tensor"


def is_dimension(value: Any) -> bool:
    """Return whether a value can be a dimension of a shape."""
    return value is None or isinstance(value, int)
