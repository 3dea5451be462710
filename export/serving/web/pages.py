"""Which form a page has: chosen from the tensors of an endpoint, never from the name of a model."""

import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from export.contract import Contract, Endpoint, Tensor
from export.protocol import litert_js
from export.protocol.calls import identifier

CHANNELS = (1, 3, 4)
MAX_FIELDS = 64  # numbers of one row that are asked for one by one
SCORES = ("logits", "probabilities")
HEADINGS = {
    "classify": "Classify an image",
    "translate": "Image to image",
    "sound": "Listen to a sound",
    "latent": "Move through the latent space",
    "text": "Classify a text",
    "generate": "Write on from a prompt",
    "table": "Predict from a row of a table",
    "generic": "Call it with JSON",
}


@dataclass(frozen=True)
class Page:
    """A page about one endpoint."""

    endpoint: Endpoint  # the endpoint
    form: str  # a key of `HEADINGS`
    file: str  # its file name
    # what the script of the form has to know, such as the names of the tensors
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """The heading of the page."""
        return HEADINGS[self.form]


def pages_of(contract: Contract, carried: Collection[str], assets: Mapping[str, Any]) -> list[Page]:
    """Return a page for every carried endpoint that a browser can run; the first one is index.html."""
    chosen: list[tuple[str, Endpoint, Mapping[str, Any]]] = []
    for endpoint in contract.endpoints:
        if endpoint.name not in carried or litert_js.obstacle(endpoint.to_json()):
            continue
        form, options = form_of(endpoint, contract, assets)
        if not any(form == other and endpoint.inputs == of.inputs and endpoint.outputs == of.outputs
                   for other, of, _ in chosen):  # fmt: skip
            chosen.append((form, endpoint, options))
    chosen.sort(key=_rank)  # stable
    names = ["index.html", *(f"endpoint-{identifier(endpoint.name)}.html" for _, endpoint, _ in chosen[1:])]
    return [Page(endpoint, form, name, options) for (form, endpoint, options), name in zip(chosen, names, strict=False)]


def _rank(choice: tuple[str, Endpoint, Mapping[str, Any]]) -> int:
    """Forms of their own come first, and of sounds the endpoint with the fewest numbers to read."""
    form, endpoint, options = choice
    if form == "sound" and not options["scores"]:
        return sum(math.prod(t.shape[1:]) for t in endpoint.outputs if None not in t.shape[1:])
    return sys.maxsize if form == "generic" else 0


def form_of(endpoint: Endpoint, contract: Contract, assets: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the form of an endpoint, and its options."""
    images = [t for t in endpoint.inputs if _is_image(t)]
    rest = [t for t in endpoint.inputs if not _is_image(t)]
    image_outputs = [t for t in endpoint.outputs if _is_image(t)]
    scores = next((t for t in endpoint.outputs if _is_scores(t, contract)), None)
    if [t.meaning for t in endpoint.inputs] == ["audio"]:
        return "sound", {"sound": endpoint.inputs[0].name, "scores": scores.name if scores else None}
    vectors = [t for t in endpoint.inputs if t.meaning in ("latent", "noise") and len(t.shape) == 2]
    if len(images) == 1 and not rest and scores:
        return "classify", {"image": images[0].name, "scores": scores.name}
    if images and image_outputs and all(t.meaning == "noise" for t in rest):
        names = {"images": [t.name for t in images], "noise": [t.name for t in rest]}
        return "translate", names | {"outputs": [t.name for t in image_outputs]}
    ids = [
        t for t in endpoint.inputs if t.meaning == "token" and len(t.shape) == 1 and t.low == 0 and t.high < MAX_FIELDS
    ]
    if vectors and len(vectors) + len(ids) == len(endpoint.inputs) and image_outputs:
        names = {"vector": vectors[0].name, "others": [t.name for t in vectors[1:]]}
        return "latent", names | {"output": image_outputs[0].name, "ids": [t.name for t in ids]}
    if options := _text_options(endpoint, contract, scores, assets):
        return ("generate" if "states" in options else "text"), options
    if fields := _fields(endpoint, contract):
        return "table", {"fields": fields, "scores": scores.name if scores else None}
    return "generic", {}


def _is_image(tensor: Tensor) -> bool:
    return tensor.meaning == "image" and len(tensor.shape) == 4 and tensor.shape[3] in CHANNELS


def _is_scores(tensor: Tensor, contract: Contract) -> bool:
    """Return whether a tensor has one score for each class; of a model that no one has described the labels show it."""
    labelled = contract.labels is not None and tensor.shape[-1:] == (len(contract.labels),)
    return len(tensor.shape) == 2 and (tensor.meaning in SCORES or (labelled and tensor.meaning == "tensor"))


def _text_options(
    endpoint: Endpoint, contract: Contract, scores: Tensor | None, assets: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options of a form that takes a text, or None; the bundle has to say how a text becomes ids."""
    vocabulary, tokenizer = assets.get("vocabulary"), assets.get("tokenizer")
    tokens = [t for t in endpoint.inputs if t.meaning == "token" and isinstance(t.high, int | float)]
    states = [t for t in endpoint.inputs if t.meaning == "state"]
    if (
        not (isinstance(vocabulary, list) and isinstance(tokenizer, dict))
        or len(tokens) != 1
        or len(tokens) + len(states) != len(endpoint.inputs)
    ):
        return None
    (token,) = tokens
    if scores is None or token.high != len(vocabulary) - 1:
        return None
    options = {"token": token.name, "scores": scores.name, "vocabulary": vocabulary, "tokenizer": tokenizer}
    following = {t.name: f"next_{t.name}" for t in states}
    if states and set(following.values()) <= {t.name for t in endpoint.outputs} and scores.shape[-1] == len(vocabulary):
        return options | {"states": following}
    if states or len(token.shape) != 2:
        return None
    names = {t.name for t in endpoint.outputs}
    of_text = (e for e in contract.endpoints if [t.meaning for t in e.inputs] == ["text"])
    # the endpoint that takes the text itself and returns the same outputs; the page is checked against it
    raw = next((e.name for e in of_text if names <= {t.name for t in e.outputs}), None)
    return options | {"length": token.shape[1], "raw": raw}


def _fields(endpoint: Endpoint, contract: Contract) -> list[dict[str, Any]] | None:
    """Return a field for every number of a row, or None where an input is not one of numbers."""
    fields: list[dict[str, Any]] = []
    for tensor in endpoint.inputs:
        size = tensor.shape[1] if len(tensor.shape) == 2 else 1
        if len(tensor.shape) > 2 or tensor.meaning not in ("tensor", "token", "category"):
            return None
        for i in range(size):
            low, high = (v[i] if isinstance(v, tuple) else v for v in (tensor.low, tensor.high))
            entry = {"input": tensor.name, "label": tensor.name if size == 1 else f"{tensor.name} {i + 1}"}
            entry |= {"low": low, "high": high, "integer": tensor.dtype != "float32"}
            fields.append(entry | {"choices": _choices(tensor, contract)})
    return fields if 0 < len(fields) <= MAX_FIELDS else None


def _choices(tensor: Tensor, contract: Contract) -> list[list[Any]] | None:
    """Return [[value, name], ...] of an input that holds one of a vocabulary, or None."""
    # The id NAME_id of the input NAME of another endpoint has one value more: Keras' StringLookup has id 0 for others.
    if tensor.vocabulary is not None and tensor.meaning != "text":
        return [[value, str(value)] for value in tensor.vocabulary]
    if tensor.meaning != "token" or not tensor.name.endswith("_id"):
        return None
    for other in (t for e in contract.endpoints for t in e.inputs if t.vocabulary is not None):
        is_it = other.name == tensor.name.removesuffix("_id")
        if is_it and (tensor.low, tensor.high) == (0, len(other.vocabulary)):
            return [[0, "(another value)"], *([i + 1, str(v)] for i, v in enumerate(other.vocabulary))]
    return None
