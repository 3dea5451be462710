"""Causal Transformer language model of characters, which generates from a cache of keys and values.

Reference: Vaswani 2017, arXiv:1706.03762; Radford 2019 (GPT-2: normalisation before each part); Su 2021,
           arXiv:2104.09864 (rotary positions); Beltagy 2020, arXiv:2004.05150 (attention to a window); Kuhn, De Mori
           1990, doi:10.1109/34.56193 (a cache of the text before).
Train:     python -m zoo.train text_transformer
Use:       python -m zoo.sample text_transformer --prompt "HAMLET:" --length 400
"""

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.sequences.ngram_cache import ORDERS, NgramCache
from zoo.modeling.sequences.transformer import CausalBlock
from zoo.tasks.text.language_modeling import LanguageModeling
from zoobase.errors import UsageError


@register(
    data="shakespeare",
    task=LanguageModeling(served_window=1024, warm_up=768),
    recipes={
        "default": Recipe(epochs=2, batch_size=32, learning_rate=8e-3, warmup=0.1, optimizer="muon", clip_norm=1.0)
    },
    tiny={
        "width": 16,
        "heads": 2,
        "blocks": 2,
        "cache": 48,
        "task.window": 64,
        "task.served_window": 96,
        "task.warm_up": 8,
    },
    card=Card(
        paper="Vaswani 2017, arXiv:1706.03762",
        expect={"bits_per_character": 1.9350},
        command="python -m zoo.train text_transformer",
        measured_on="2 cores of an AMD EPYC with AVX-512 under other load: 44 minutes of training; rounded to 7 bits, "
        "with the cache of 1,024 tokens, which training does not use; without it 2.0638; a 7-gram model (modified "
        "Kneser-Ney) and the text before have 2.028",
    ),
)
def text_transformer(
    vocabulary_size: int = 96,
    width: int = 192,
    heads: int = 6,
    blocks: int = 4,
    window: int = 128,
    dropout: float = 0.0,
    cache: int = 1024,
) -> keras.Model:
    """Character-level Transformer of nanoGPT's kind, with a one-token step form for generation.

    Shapes: tokens (B, T) int32 in [0, vocabulary_size) -> logits (B, T, vocabulary_size) float32; with a cache,
    logarithms of probabilities, except while training.

    Args:
        vocabulary_size: Number of different tokens; determined by the data.
        width: Dimensions of embedding and blocks, a multiple of twice `heads`.
        heads: Number of heads of every attention.
        blocks: Number of blocks.
        window: Number of tokens that are attended to.
        dropout: Dropout rate of what each part of a block adds.
        cache: Number of tokens whose n-grams are mixed with the predictions (`NgramCache`); 0 is none.

    Raises:
        UsageError: `cache` is not 0, and not above 8.
    """
    if cache and cache <= max(ORDERS):
        raise UsageError(f"model.cache={cache} is not valid: it must be 0, or above {max(ORDERS)}")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, width, name="embedding")(tokens)
    for i in range(blocks):
        x = CausalBlock(heads, window, dropout, name=f"block{i}")(x)
    x = layers.LayerNormalization(name="norm")(x)
    logits = layers.Dense(vocabulary_size, dtype="float32", name="logits")(x)
    if cache:
        logits = NgramCache(cache, name="cache")([tokens, logits])
    return keras.Model(tokens, logits, name="text_transformer")
