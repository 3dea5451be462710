"""A Transformer that encodes a text as one vector: BERT with the mean of its outputs.

Reference: Vaswani 2017, arXiv:1706.03762; Devlin 2018, arXiv:1810.04805; the mean: Reimers, Gurevych 2019,
           arXiv:1908.10084; MiniLM: Wang 2020, arXiv:2002.10957.
"""

from typing import Any

import keras
from keras import layers, ops

from zoo.core import registry
from zoo.modeling.backbones import Backbone, on_backbone
from zoo.modeling.layers import MaskedAveragePooling1D
from zoobase.errors import unknown

EPSILON = 1e-12  # of the layer normalisations, as BERT's

# === Layers ===


@keras.saving.register_keras_serializable("zoo")
class PaddingMask(layers.Layer):
    """Token ids (B, L), 0 for padding -> bool (B, L): whether there is a token."""

    def call(self, tokens: Any) -> Any:
        """Return the mask."""
        return ops.not_equal(tokens, 0)

    def compute_output_spec(self, tokens: Any) -> Any:
        """Return the spec of the mask."""
        return keras.KerasTensor(tokens.shape, "bool")


@keras.saving.register_keras_serializable("zoo")
class PositionEmbedding(layers.Layer):
    """Adds a learned vector to each position: (B, L, D) -> (B, L, D), L at most `length`."""

    def __init__(self, length: int, **kwargs: Any) -> None:
        """Learn the vectors of `length` positions."""
        super().__init__(**kwargs)
        self.length = length

    def build(self, shape: Any) -> None:
        """Create the vectors."""
        self.vectors = self.add_weight(shape=(self.length, shape[-1]), initializer="glorot_uniform", name="vectors")

    def call(self, x: Any) -> Any:
        """Return the sum."""
        return x + ops.cast(self.vectors, x.dtype)[: ops.shape(x)[1]]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable("zoo")
class UnitLength(layers.Layer):
    """Divides each vector (B, D) by its length; zeros stay zeros.

    Keras' `UnitNormalization` becomes an operator of TFLite that returns NaN for them.
    """

    def call(self, x: Any) -> Any:
        """Return vectors of length 1."""
        return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-24)


# === Functional Model ===


def _block(x: Any, mask: Any, heads: int, hidden: int, dropout: float, name: str) -> Any:
    """Attention and a dense network, each added to its input and normalised: (B, L, D) -> (B, L, D)."""
    width = x.shape[-1]
    attention = layers.MultiHeadAttention(heads, width // heads, dropout=dropout, name=f"{name}_attention")
    attended = layers.Dropout(dropout, name=f"{name}_dropout")(attention(x, x, attention_mask=mask))
    x = layers.Add(name=f"{name}_add")([x, attended])
    x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_attention_norm")(x)
    y = layers.Dense(hidden, activation="gelu", name=f"{name}_hidden")(x)
    y = layers.Dropout(dropout, name=f"{name}_output_dropout")(layers.Dense(width, name=f"{name}_output")(y))
    return layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm")(
        layers.Add(name=f"{name}_output_add")([x, y])
    )


def encoder(
    name: str, vocabulary_size: int, width: int, blocks: int, heads: int, positions: int = 512, dropout: float = 0.1
) -> keras.Model:
    """Return the encoder: tokens (B, L) int32, padded with 0 -> embedding (B, width) of length 1; L <= `positions`."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = PaddingMask(name="mask")(tokens)
    x = layers.Embedding(vocabulary_size, width, name="token_embedding")(tokens)
    x = PositionEmbedding(positions, name="position_embedding")(x)
    x = layers.LayerNormalization(epsilon=EPSILON, name="embedding_norm")(x)
    x = layers.Dropout(dropout, name="embedding_dropout")(x)
    attended = layers.Reshape((1, -1), name="attended")(mask)  # (B, 1, L): of each token, all tokens
    for i in range(blocks):
        x = _block(x, attended, heads, 4 * width, dropout, f"block{i}")
    x = MaskedAveragePooling1D(name="mean")(x, mask=mask)
    return keras.Model(tokens, UnitLength(name="embedding")(x), name=name)


# === Backbones ===

TINY = "minilm_tiny"  # for fast tests; has no pretrained weights
_TINY = {"width": 16, "blocks": 1, "heads": 2, "positions": 64}


def get(name: str) -> Backbone:
    """Return an encoder by name, whose `build` takes the size of the vocabulary."""
    encoders = {entry.name for entry in registry.entries().values() if entry.task == "SentenceEmbedding"}
    if name == TINY:
        return Backbone(lambda size: encoder("backbone", size, **_TINY), None, "")
    if name not in encoders:
        raise unknown("backbone", name, (*encoders, TINY))

    def build(size: int) -> keras.Model:
        model = registry.get_builder(name)(vocabulary_size=size)
        model.name = "backbone"
        return model

    def pretrain(model: keras.Model) -> None:
        model.load_weights(registry.get_spec(name).weights["default"].fetch())

    return Backbone(build, pretrain, registry.get_spec(name).weights["default"].trained_on)


def classifier(name: str, num_classes: int, vocabulary_size: int, backbone: str, dropout: float) -> keras.Model:
    """Return a classifier on an encoder: tokens (B, L) int32, padded with 0 -> logits (B, num_classes) float32."""
    return on_backbone(name, get(backbone).build(vocabulary_size), num_classes, dropout)
