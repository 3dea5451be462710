"""The type of a file from the bytes of its start and of its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines.datasets import file_folder
from pipelines.datasets.file_folder import BLOCK
from zoo.core.recipe import Recipe
from zoo.tasks.classifier import ClassifierTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Info
    from pipelines.feeding import Feed

PADDING = 256  # the token that is no byte
_SPACE = b" \t\n\r\x0b\x0c"


def encode(content: bytes, size: int) -> np.ndarray:
    """Return the tokens of a file, int32 (2 * size,): bytes of its start, and of its end, without white space there."""
    start, end = content[:BLOCK].lstrip(_SPACE)[:size], content[-BLOCK:].rstrip(_SPACE)[-size:]
    tokens = np.full(2 * size, PADDING, np.int32)
    tokens[: len(start)] = list(start)
    tokens[2 * size - len(end) :] = list(end)
    return tokens


def encode_tensor(contents: tf.Tensor, size: int) -> tf.Tensor:
    """Return the tokens of files (B,) in a graph: int32 (B, 2 * size)."""
    import tensorflow as tf

    def block(position: tf.Tensor, length: tf.Tensor, of: tf.Tensor) -> tf.Tensor:
        return tf.strings.substr(of, position, length)

    def tokens(part: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values = tf.io.decode_raw(part, tf.uint8, fixed_length=size)
        return tf.cast(values, tf.int32), tf.strings.length(part)[:, None]

    space = "[ \t\n\r\x0b\x0c]+"
    zero, long, positions = tf.zeros_like(contents, tf.int32), tf.strings.length(contents), tf.range(size)
    taken = tf.minimum(long, BLOCK)
    start = tf.strings.regex_replace(block(zero, taken, contents), f"^{space}", "")
    end = tf.strings.regex_replace(block(long - taken, taken, contents), f"{space}$", "")
    start = block(zero, tf.minimum(tf.strings.length(start), size), start)
    kept = tf.minimum(tf.strings.length(end), size)
    end = block(tf.strings.length(end) - kept, kept, end)
    values, count = tokens(start)
    first = tf.where(positions < count, values, PADDING)
    values, count = tokens(end)
    shifted = tf.gather(values, tf.maximum(positions - (size - count), 0), axis=1, batch_dims=1)
    return tf.concat([first, tf.where(positions < size - count, PADDING, shifted)], axis=1)


@dataclass(frozen=True)
class FileTypeClassification(ClassifierTask):
    """Classification of files; the model takes bytes as tokens and returns logits."""

    size: int = 1024  # number of bytes of the start, and of the end

    title = "file type classification"
    required_features = ("content", "label")
    accepts = "files"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes and of bytes."""
        return {"num_classes": info.num_classes, "size": self.size}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (tokens int32 (2 * size,), label int64)."""

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return encode_tensor(example["content"][None], self.size)[0], example["label"]

        return pipelines.feed(split, decode=decode)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (tokens -> logits) and `file` (bytes -> logits, probabilities, label, score)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint, text_endpoint

        tokens = Tensor("tokens", "int32", (None, 2 * self.size), "token", low=0, high=PADDING)
        base = tensor_endpoint(served, [tokens], [Tensor("logits", "float32", (None, info.num_classes), "logits")])
        file = text_endpoint(
            base, lambda t: encode_tensor(t, self.size), name="file", labels=info.class_names, tensor="content"
        )
        return Contract((base, file), labels=info.class_names)

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the tokens of a file; DataError if it cannot be read."""
        return {endpoint.inputs[0].name: encode(file_folder.read(Path(argument)), self.size)}
