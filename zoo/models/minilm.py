"""A sentence encoder: texts of similar meaning get similar vectors.

Reference: Wang 2020, arXiv:2002.10957 (MiniLM); Reimers, Gurevych 2019, arXiv:1908.10084 (vectors of sentences).
Use:       python -m zoo.predict minilm "how do I cook rice" --nearest texts.txt
           zoo.build("minilm", weights="default")
Train:     python -m zoo.train minilm --init default --data-dir texts.csv     (texts of one class are drawn together)
"""

import keras

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.sentence_encoder import encoder
from zoo.tasks.text.sentences import SentenceEmbedding
from zoo.weights.minilm import MINILM


@register(
    data="movie_reviews",
    task=SentenceEmbedding(),
    recipes={"default": Recipe(epochs=1, batch_size=32, learning_rate=5e-5, weight_decay=0.01, warmup=0.1)},
    tiny={
        "width": 32,
        "blocks": 1,
        "heads": 2,
        "positions": 64,
        "dropout": 0.0,
        "task.length": 16,
        "task.tokens": 300,
        "task.vocabulary": "texts",
    },
    card=Card(
        paper="Wang 2020, arXiv:2002.10957",
        notes="English. Its training texts were up to 128 wordpiece tokens long; of longer texts the start is read.",
        data_notes="all-MiniLM-L6-v2 knows what a text is about better than whether it is positive.",
    ),
    weights={"default": MINILM.weights()},
)
def minilm(
    vocabulary_size: int = 30_522,
    width: int = 384,
    blocks: int = 6,
    heads: int = 12,
    positions: int = 512,
    dropout: float = 0.1,
) -> keras.Model:
    """Vectors of sentences: a Transformer of 6 blocks with the weights of all-MiniLM-L6-v2.

    Shapes: tokens (B, L) int32 in [0, vocabulary_size), padded with 0, L at most `positions` -> embedding (B, width)
    float32 of length 1.
    """
    return encoder("minilm", vocabulary_size, width, blocks, heads, positions, dropout)
