"""The type of a file from its bytes.

Reference: Fratantonio 2024, arXiv:2409.13768 (Magika, github.com/google/magika).
Use:       python -m zoo.predict magika FILE...
           zoo.build("magika", weights="default")
Train:     python -m zoo.train magika --init default --data-dir FOLDER       (one sub-folder per type)
"""

from typing import Any

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.file_types import PADDING, FileTypeClassification
from zoo.weights.magika import MAGIKA

JOINED = 4  # bytes whose vectors are one step of the convolution


@keras.saving.register_keras_serializable("zoo")
class PositionNormalization(layers.LayerNormalization):
    """`LayerNormalization` over positions, which first subtracts the vector in the middle of each file.

    That changes nothing in exact arithmetic. In a short file the middle is padding, so that most vectors are the same:
    the rounding error of their mean would be as large as the deviations, and differ between runtimes.
    """

    def call(self, inputs: Any) -> Any:
        """Normalise (B, L, D) over L."""
        middle = inputs.shape[1] // 2
        return super().call(inputs - inputs[:, middle : middle + 1])


@keras.saving.register_keras_serializable("zoo")
class TanhGelu(layers.Layer):
    """The approximation of GELU by tanh, as in the original."""

    def call(self, inputs: Any) -> Any:
        """Return the values of any shape."""
        return keras.activations.gelu(inputs, approximate=True)


@register(
    data="file_folder",
    task=FileTypeClassification(),
    recipes={"default": Recipe(epochs=10, batch_size=32, learning_rate=1e-3, weight_decay=0.01, warmup=0.1)},
    tiny={"width": 8, "filters": 16, "task.size": 32},
    card=Card(
        paper="Fratantonio 2024, arXiv:2409.13768",
        notes="The answer is that of the network: the program `magika` replaces answers of low confidence by text or "
        "unknown, and does not ask the network about files of less than 8 bytes.",
    ),
    weights={"default": MAGIKA.weights()},
)
def magika(
    num_classes: int = 214, size: int = 1024, width: int = 64, filters: int = 512, dropout: float = 0.1
) -> keras.Model:
    """The type of a file, among 214, from the first and the last 1,024 bytes, with the weights of Magika.

    Shapes: tokens (B, 2 * size) int32 in [0, 256], 256 for no byte -> logits (B, num_classes) float32.
    """
    tokens = keras.Input((2 * size,), dtype="int32", name="tokens")
    x = layers.Embedding(PADDING + 1, width, name="bytes")(tokens)
    x = TanhGelu(name="gelu")(x)
    x = layers.Reshape((2 * size // JOINED, JOINED * width), name="joined")(x)
    x = PositionNormalization(axis=1, epsilon=1e-6, name="position_norm")(x)
    x = layers.SpatialDropout1D(dropout, name="channel_dropout")(x)
    x = TanhGelu(name="conv_gelu")(layers.Conv1D(filters, 5, name="conv")(x))
    x = layers.GlobalMaxPooling1D(name="max")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(tokens, layers.Dense(num_classes, dtype="float32", name="logits")(x), name="magika")
