"""Spelling to pronunciation: a small Transformer from letters to phonemes.

Reference: Yolchuyeva, Nemeth, Gyires-Toth 2019, doi:10.21437/Interspeech.2019-1954 (a Transformer for this task).
Train:     python -m zoo.train grapheme_to_phoneme
"""

import dataclasses

import keras

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.sequences.transformer import Transformer
from zoo.tasks.text.translation import Translation
from zoobase.errors import UsageError

_RECIPE = Recipe(
    epochs=12, batch_size=256, learning_rate=4e-3, warmup=0.02, optimizer="muon", clip_norm=1.0, label_smoothing=0.1
)


@register(
    data="cmudict",
    task=Translation(level="characters", target_level="symbols", lowercase=True),
    recipes={"default": _RECIPE, "full": dataclasses.replace(_RECIPE, epochs=44, ema=0.999)},
    tiny={"width": 16, "heads": 2, "blocks": 1},
    card=Card(
        paper="Yolchuyeva, Nemeth, Gyires-Toth 2019, doi:10.21437/Interspeech.2019-1954",
        expect={"exact": 0.7640, "token_error_rate": 0.0577},
        command="python -m zoo.train grapheme_to_phoneme --recipe full --precision float32",
        measured_on="one core of an AMD EPYC with AVX-512 beside other work: 81 minutes",
        baselines={"Phonetisaurus (joint n-grams)": 0.7435},
        published="0.714 and 0.764 of LSTMs (Yao, Zweig 2015, arXiv:1506.00196), 0.698 of a Transformer "
        "(cmusphinx/g2p-seq2seq), on other versions and splits",
        data_notes="American English. `exact` is 1 minus the word error rate, `token_error_rate` the phoneme error "
        "rate. The shipped weights are rounded to 6 bits; the figures are theirs.",
    ),
)
def grapheme_to_phoneme(
    vocabulary_size: int = 70,
    width: int = 128,
    heads: int = 4,
    blocks: int = 3,
    window: int = 64,
    dropout: float = 0.15,
) -> keras.Model:
    """Transformer encoder and decoder from the letters of a word to its phonemes.

    Shapes: {"source": (B, S), "target": (B, T)} int32 -> logits (B, T, vocabulary_size) float32.

    Args:
        vocabulary_size: Number of letters and phonemes; determined by the data.
        width: Dimensions of embeddings and blocks, a multiple of twice `heads`.
        heads: Number of heads of every attention.
        blocks: Number of blocks of the encoder, and of the decoder.
        window: Largest number of phonemes.
        dropout: Dropout rate of embeddings and of what each part of a block adds.

    Raises:
        UsageError: `width` is not a multiple of twice `heads`.
    """
    if width % (2 * heads):
        raise UsageError(f"model.width={width} is not valid: it must be a multiple of {2 * heads}, twice model.heads")
    model = Transformer(vocabulary_size, width, heads, blocks, window, dropout, name="grapheme_to_phoneme")
    model({name: keras.Input((None,), dtype="int32", name=name) for name in ("source", "target")})
    return model
