"""The endpoints of a model that makes one text of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from export.contract import Contract, Endpoint, Tensor
from export.contract.endpoints import tensor_endpoint, text_endpoint
from pipelines.text import sequences

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Info

BESIDE_KERAS = ("saved_model", "tflite", "onnx")  # a Keras file holds the model's own call only


def contract(served: keras.Model, info: Info, level: str, read: int, written: int) -> Contract:
    """Return the contract of a model with `encode`, `step`, `greedy` and `units`, as `zoo.models.attention` makes it.

    Args:
        served: The model.
        info: Of the data, with its vocabulary.
        level: Of `pipelines.text.sequences`.
        read: Tokens of a source.
        written: Tokens of a target.
    """
    token = {"dtype": "int32", "meaning": "token", "low": 0, "high": len(info.vocabulary) - 1}
    source, target = Tensor("source", shape=(None, read), **token), Tensor("target", shape=(None, written), **token)
    logits = Tensor("logits", "float32", (None, written, len(info.vocabulary)), "logits")
    memory = Tensor("memory", "float32", (None, read, 2 * served.units), low=-1.0, high=1.0)
    state = Tensor("state", "float32", (None, served.units), "state")
    shares = Tensor("attention", "float32", (None, written, read))

    def step(x: Mapping[str, Any]) -> dict[str, Any]:
        return _named(after, served.step(x["token"], x["state"], x["memory"], x["source"]))

    before = (Tensor("token", shape=(None,), **token), state, memory, source)
    after = (
        Tensor("logits", "float32", (None, len(info.vocabulary)), "logits"),
        dataclasses.replace(state, name="next_state"),
        Tensor("attention", "float32", (None, read)),
    )
    tokens = (Tensor("tokens", "int32", (None, written)), shares)
    greedy = Endpoint(
        "greedy", (source,), tokens, lambda x: _named(tokens, served.greedy(x["source"], written)), BESIDE_KERAS
    )
    encoded = (memory, state)
    encode = Endpoint("encode", (source,), encoded, lambda x: _named(encoded, served.encode(x["source"])), BESIDE_KERAS)
    text = text_endpoint(greedy, lambda t: sequences.encode_tensor(t, info.vocabulary, level, read))
    return Contract(
        (
            tensor_endpoint(served, [source, target], [logits], structure="dict"),
            greedy,
            _spelled(text, info, level),
            encode,
            Endpoint("step", before, after, step, BESIDE_KERAS),
        )
    )


def _named(tensors: tuple[Tensor, ...], values: Any) -> dict[str, Any]:
    return {tensor.name: value for tensor, value in zip(tensors, values, strict=True)}


def _spelled(endpoint: Endpoint, info: Info, level: str) -> Endpoint:
    """Return an endpoint that also says its tokens as text: `translation` (B,) string."""

    def call(x: Mapping[str, Any]) -> dict[str, Any]:
        outputs = endpoint.call(x)
        return {**outputs, "translation": sequences.decode_tensor(outputs["tokens"], info.vocabulary, level)}

    outputs = (*endpoint.outputs, Tensor("translation", "string", (None,)))
    return dataclasses.replace(endpoint, outputs=outputs, call=call)
