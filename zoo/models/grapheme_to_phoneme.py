"""Spelling to pronunciation: the encoder and decoder with attention of `attention`, from letters to phonemes.

Reference: Toshniwal, Livescu 2016, doi:10.1109/SLT.2016.7846248 (attention for this task).
Train:     python -m zoo.train grapheme_to_phoneme
"""

import dataclasses
from typing import Literal

import keras

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.models.attention import Translator
from zoo.tasks.text.translation import Translation

_RECIPE = Recipe(epochs=10, batch_size=256, learning_rate=3e-3, optimizer="adam", clip_norm=1.0)


@register(
    data="cmudict",
    task=Translation(level="characters", target_level="symbols", lowercase=True),
    recipes={"default": _RECIPE, "full": dataclasses.replace(_RECIPE, epochs=25, dropout=0.3, ema=0.999)},
    tiny={"units": 16, "embedding_dim": 8},
    card=Card(
        paper="Toshniwal, Livescu 2016, doi:10.1109/SLT.2016.7846248",
        expect={"exact": 0.7377, "token_error_rate": 0.0620},
        command="python -m zoo.train grapheme_to_phoneme --recipe full",
        measured_on="2 cores of an AMD EPYC with AVX-512 under other load, bfloat16: 71 minutes; default recipe in 23 "
        "minutes 0.7317, 0.0637",
        baselines={"Phonetisaurus (joint n-grams)": 0.7435},
        published="0.714 and 0.764 of LSTMs (Yao, Zweig 2015, arXiv:1506.00196), 0.698 of a Transformer "
        "(cmusphinx/g2p-seq2seq), on other versions and splits",
        data_notes="American English. `exact` is 1 minus the word error rate, `token_error_rate` the phoneme error "
        "rate. The shipped weights are rounded to 8 bits, which costs 0.0009 of `exact`; the figures are theirs.",
    ),
)
def grapheme_to_phoneme(
    vocabulary_size: int = 70,
    attention: Literal["bahdanau", "luong"] = "bahdanau",
    units: int = 256,
    embedding_dim: int = 64,
    dropout: float = 0.2,
) -> keras.Model:
    """Encoder-decoder with attention from the letters of a word to its phonemes.

    Shapes: {"source": (B, S), "target": (B, T)} int32 -> logits (B, T, vocabulary_size) float32.

    Args:
        vocabulary_size: Number of letters and phonemes; determined by the data.
        attention: Additive ("bahdanau") or multiplicative ("luong").
        units: Units of each GRU.
        embedding_dim: Dimensions of the embedding.
        dropout: Dropout rate of embeddings and of the inputs of the logits.
    """
    model = Translator(vocabulary_size, attention, units, embedding_dim, dropout, name="grapheme_to_phoneme")
    model({name: keras.Input((None,), dtype="int32", name=name) for name in ("source", "target")})
    return model
