"""Sequence to sequence: a GRU encoder and a GRU decoder with attention.

Reference: Bahdanau, Cho, Bengio 2015, arXiv:1409.0473 (additive); Luong, Pham, Manning 2015, arXiv:1508.04025
           (multiplicative, "general").
Train:     python -m zoo.train attention
           python -m zoo.train attention --recipe verses    (English to Spanish; data=ted_hrlr_translate, online)
"""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import layers, ops

from pipelines.text.sequences import PADDING
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.sequences.sequence_to_sequence import SequenceToSequence
from zoo.tasks.text.translation import Translation

# === Subclassed Model ===


@keras.saving.register_keras_serializable("zoo")
class Translator(SequenceToSequence):
    """GRU encoder and decoder with attention; source and target share one vocabulary and one embedding.

    The attention context is combined with the output of the recurrence for both kinds, as in Luong's paper (Bahdanau's
    combines it with the input), so that a whole target is one call of a GRU layer, which a GPU runs by cuDNN.

    Inputs: {"source": (B, S) int32, padded with 0; "target": (B, T) int32, shifted by one token: teacher forcing}.
    Output: logits (B, T, vocabulary_size) float32 of the tokens of the target.
    """

    def __init__(
        self, vocabulary_size: int, attention: str, units: int, embedding_dim: int, dropout: float, **base: Any
    ) -> None:
        """Create the layers; `attention` is "bahdanau" or "luong"."""
        super().__init__(**base)
        self.arguments = {
            "vocabulary_size": vocabulary_size,
            "attention": attention,
            "units": units,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
        }
        self.units, self.memory_size, self.state_size = units, 2 * units, units
        self.embedding = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")
        reader = layers.GRU(units, return_sequences=True, return_state=True, name="reader")
        self.encoder = layers.Bidirectional(reader, name="encoder")
        self.start = layers.Dense(units, activation="tanh", name="start")
        self.decoder = layers.GRU(units, return_sequences=True, return_state=True, name="decoder")
        self.key = layers.Dense(units, use_bias=False, name="key")
        if attention == "bahdanau":
            self.query, self.attend = layers.Dense(units, name="query"), layers.AdditiveAttention(name="attend")
        else:
            self.query, self.attend = None, layers.Attention(name="attend")
        self.combine = layers.Dense(units, activation="tanh", name="combine")
        self.drop = layers.Dropout(dropout, name="drop")
        self.logits = layers.Dense(vocabulary_size, dtype="float32", name="logits")
        self.build()  # here, because loading a whole-model .h5 requires built layers

    def build(self, input_shape: Any = None) -> None:
        """Build every layer."""
        units, memory = self.units, 2 * self.units
        self.embedding.build((None, None))
        for layer in (self.encoder, self.decoder):
            layer.build((None, None, self.arguments["embedding_dim"]))
        self.start.build((None, memory))
        self.key.build((None, None, memory))
        if self.query is not None:
            self.query.build((None, None, units))
        self.attend.build([(None, None, units), (None, None, memory), (None, None, units)])
        self.combine.build((None, None, units + memory))
        self.logits.build((None, None, units))
        self.built = True

    def encode(self, source: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Return the encoder outputs (B, S, 2 * units), and the initial state (B, units) of the decoder."""
        x = self.drop(self.embedding(source), training=training)
        memory, forward, backward = self.encoder(x, mask=ops.not_equal(source, PADDING), training=training)
        return memory, self.start(ops.concatenate([forward, backward], axis=-1))

    def attention_output(self, hidden: Any, memory: Any, source: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Return logits (B, T, vocabulary_size) and attention weights over the source (B, T, S).

        Shapes: hidden states of the decoder (B, T, units), memory (B, S, 2 * units), source (B, S).
        """
        query = hidden if self.query is None else self.query(hidden)
        mask = [None, ops.not_equal(source, PADDING)]
        inputs = [query, memory, self.key(memory)]
        context, weights = self.attend(inputs, mask=mask, return_attention_scores=True, training=training)
        x = self.combine(ops.concatenate([hidden, context], axis=-1))
        return self.logits(self.drop(x, training=training)), weights

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """Return the logits of each target token given the previous ones (teacher forcing)."""
        memory, state = self.encode(inputs["source"], training)
        x = self.drop(self.embedding(inputs["target"]), training=training)
        hidden, _ = self.decoder(x, initial_state=state, training=training)
        return self.attention_output(hidden, memory, inputs["source"], training)[0]

    def step(self, token: Any, state: Any, memory: Any, source: Any) -> tuple[Any, Any, Any]:
        """Decode one token: token (B,), state (B, units) -> logits (B, V), next state, attention weights (B, S)."""
        hidden, (state,) = self.decoder.cell(self.embedding(token), [state], training=False)
        logits, weights = self.attention_output(ops.expand_dims(hidden, 1), memory, source)
        return ops.squeeze(logits, 1), state, ops.squeeze(weights, 1)


@register(
    data="dates",
    task=Translation(),
    recipes={
        "default": Recipe(epochs=6, batch_size=128, learning_rate=3e-3, optimizer="adam", clip_norm=1.0),
        "verses": Recipe(
            epochs=8,
            batch_size=64,
            learning_rate=2e-3,
            optimizer="adam",
            warmup=0.05,
            clip_norm=1.0,
            data="verses",
            task={"level": "words", "tokens": 8000},
            model={"attention": "luong", "units": 256, "embedding_dim": 256, "dropout": 0.2},
        ),
    },
    tiny={"units": 16, "embedding_dim": 8},
    card=Card(
        of_course=True,
        paper="Bahdanau, Cho, Bengio 2015, arXiv:1409.0473; Luong, Pham, Manning 2015, arXiv:1508.04025",
        expect={"exact": 1.0},
        command="python -m zoo.train attention --precision float32",
        measured_on="2 cores under other load: 3.7 minutes of CPU time, 6 epochs",
        baselines={"python-dateutil": 0.8945},
        data_notes="`exact` is the exact match of 2,000 test dates that are not in the training data, in the same "
        "formats; the shipped weights are of dates. The recipe `verses` (English to Spanish, 12 minutes of CPU time) "
        "has BLEU 20.95 and chrF 44.7 on 1,122 verses, a translation memory 14.05 and 32.9; what it writes is "
        "often wrong.",
    ),
)
def attention(
    vocabulary_size: int = 64,
    attention: Literal["bahdanau", "luong"] = "bahdanau",
    units: int = 64,
    embedding_dim: int = 32,
    dropout: float = 0.1,
) -> keras.Model:
    """Encoder-decoder with attention for text to text: dates to ISO 8601, or translation.

    Shapes: {"source": (B, S), "target": (B, T)} int32 -> logits (B, T, vocabulary_size) float32.

    Args:
        vocabulary_size: Size of the vocabulary; determined by the data.
        attention: Additive ("bahdanau") or multiplicative ("luong").
        units: Units of each GRU.
        embedding_dim: Dimensions of the embedding.
        dropout: Dropout rate of embeddings and of the inputs of the logits.
    """
    model = Translator(vocabulary_size, attention, units, embedding_dim, dropout, name="attention")
    model({name: keras.Input((None,), dtype="int32", name=name) for name in ("source", "target")})
    return model
