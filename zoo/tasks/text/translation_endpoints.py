"""The endpoints of a sequence-to-sequence model: teacher forcing, greedy decoding, single steps, texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from export.contract import Contract, Endpoint, Tensor
from export.contract.endpoints import tensor_endpoint, text_endpoint
from pipelines.text.sequences import Tokenizer

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Info


def endpoints(
    served: keras.Model, info: Info, reader: Tokenizer, writer: Tokenizer, source_length: int, target_length: int
) -> Contract:
    """Return the contract of a `SequenceToSequence` model."""
    token = {"dtype": "int32", "meaning": "token", "low": 0, "high": len(info.vocabulary) - 1}
    source = Tensor("source", shape=(None, source_length), **token)
    target = Tensor("target", shape=(None, target_length), **token)
    logits = Tensor("logits", "float32", (None, target_length, len(info.vocabulary)), "logits")
    bounds = {"low": -1.0, "high": 1.0} if served.recurrent else {}
    memory = Tensor("memory", "float32", (None, source_length, served.memory_size), **bounds)
    state = Tensor("state", "float32", (None, served.state_size), "state")
    attention = Tensor("attention", "float32", (None, target_length, source_length))

    def step(x: Mapping[str, Any]) -> dict[str, Any]:
        return _by_name(step_outputs, served.step(x["token"], x["state"], x["memory"], x["source"]))

    step_inputs = (Tensor("token", shape=(None,), **token), state, memory, source)
    step_outputs = (
        Tensor("logits", "float32", (None, len(info.vocabulary)), "logits"),
        dataclasses.replace(state, name="next_state"),
        Tensor("attention", "float32", (None, source_length)),
    )
    tokens = (Tensor("tokens", "int32", (None, target_length)), attention)
    greedy = Endpoint(
        "greedy", (source,), tokens, lambda x: _by_name(tokens, served.greedy(x["source"], target_length))
    )
    encoded = (memory, state) if served.recurrent else (memory,)  # what is always zeros proves nothing

    def call(x: Mapping[str, Any]) -> dict[str, Any]:
        return _by_name(encoded, served.encode(x["source"])[: len(encoded)])

    encode = Endpoint("encode", (source,), encoded, call)
    text = text_endpoint(greedy, lambda t: reader.encode_tensor(t, source_length))
    return Contract(
        (
            tensor_endpoint(served, [source, target], [logits], structure="dict"),
            greedy,
            _with_text_output(text, writer),
            encode,
            Endpoint("step", step_inputs, step_outputs, step),
        )
    )


def _by_name(tensors: tuple[Tensor, ...], values: Any) -> dict[str, Any]:
    return {tensor.name: value for tensor, value in zip(tensors, values, strict=True)}


def _with_text_output(endpoint: Endpoint, writer: Tokenizer) -> Endpoint:
    """Return an endpoint with the tokens as text in an additional output `translation` (B,) string."""

    def call(x: Mapping[str, Any]) -> dict[str, Any]:
        outputs = endpoint.call(x)
        return {**outputs, "translation": writer.decode_tensor(outputs["tokens"])}

    outputs = (*endpoint.outputs, Tensor("translation", "string", (None,)))
    return dataclasses.replace(endpoint, outputs=outputs, call=call)
