"""Vectors of sentences without a network: the mean of the vectors of their pieces.

Reference: Lee Miller 2024, github.com/dleemiller/WordLlama; the pieces: Touvron 2023, arXiv:2307.09288 (Llama 2).
Use:       python -m zoo.predict wordllama "how do I cook rice" --nearest texts.txt
           zoo.load("wordllama").predict("how do I cook rice")
Train:     python -m zoo.train wordllama --init default --data-dir texts.csv     (texts of one class are drawn together)
           python -m zoo.train text --set model.backbone=wordllama --set task.vocabulary=wordllama --data-dir texts.csv
"""

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.layers import MaskedAveragePooling1D
from zoo.modeling.sentence_encoder import PaddingMask, UnitLength
from zoo.tasks.text.sentences import SentenceEmbedding
from zoo.weights.wordllama import WORDLLAMA


@register(
    data="movie_reviews",
    task=SentenceEmbedding(length=256, vocabulary="wordllama"),
    recipes={"default": Recipe(epochs=1, batch_size=32, learning_rate=1e-3, warmup=0.1)},
    tiny={"width": 16, "task.length": 16, "task.tokens": 300, "task.vocabulary": "texts"},
    card=Card(
        paper="Miller 2024, github.com/dleemiller/WordLlama",
        licence="MIT",
        published="Its makers state a Spearman correlation of 0.679 on the similarity of sentences of MTEB with 256 "
        "numbers (all-MiniLM-L6-v2 0.789, GloVe 0.619), and a V-measure of 0.333 of clusters (0.424 and 0.277).",
        notes="English. The order of words is not read: 'dog bites man' and 'man bites dog' have one vector.",
        data_notes="It knows what a text is about, and hardly whether it is positive.",
    ),
    weights={"default": WORDLLAMA.weights()},
)
def wordllama(vocabulary_size: int = 32_000, width: int = 256) -> keras.Model:
    """Vectors of sentences in a fraction of a millisecond: means of the vectors of WordLlama.

    Shapes: tokens (B, L) int32 in [0, vocabulary_size), padded with 0 -> embedding (B, width) float32 of length 1.
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, width, name="vectors")(tokens)
    x = MaskedAveragePooling1D(name="mean")(x, mask=PaddingMask(name="mask")(tokens))
    return keras.Model(tokens, UnitLength(name="embedding")(x), name="wordllama")
