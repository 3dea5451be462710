"""Words in a second of sound: a small network of depthwise-separable convolutions on mel-frequency cepstra.

Reference: Zhang, Suda, Lai, Chandra 2017, arXiv:1711.07128 (DS-CNN of "Hello Edge").
Train:     python -m zoo.train keywords                         (spoken numbers)
           python -m zoo.train keywords --data-dir FOLDER       (a folder per word, as Speech Commands has them)
Use:       python -m zoo.predict keywords word.wav
"""

from typing import Any

import keras
from keras import layers

from pipelines.sound.folders import LENGTH
from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.layers import CepstralCoefficients
from zoo.tasks.keywords import KeywordClassification

# === Functional Model ===


def _norm_relu(x: Any, name: str) -> Any:
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x))


@register(
    data="spoken_numbers",
    task=KeywordClassification(),
    recipes={
        "default": Recipe(
            epochs=20,
            batch_size=64,
            learning_rate=2e-3,
            warmup=0.1,
            weight_decay=0.01,
            augment="words",
            label_smoothing=0.1,
        )
    },
    tiny={"filters": 8, "blocks": 1},
    card=Card(
        paper="Zhang, Suda, Lai, Chandra 2017, arXiv:1711.07128",
        expect={"accuracy": 0.7083},
        command="python -m zoo.train keywords",
        measured_on="2 cores of an AMD EPYC (AVX-512), shared with others, float32: 6 minutes; seed 0",
        published="0.944 on the twelve classes of Speech Commands (Zhang 2017), whose training data are people",
        notes="One word in one second: it does not find words in a conversation. Frequencies above 4 kHz are not used.",
        data_notes="Trained on 24 numbers spoken by two synthesisers, on no person. The test is one recording of each "
        "word by each of two people: 48, so that the interval is wide. Another word gets one of their names.",
    ),
)
def keywords(
    num_classes: int = 24,
    filters: int = 64,
    blocks: int = 4,
    coefficients: int = 10,
    dropout: float = 0.2,
    masks: int = 0,
) -> keras.Model:
    """The word in a second of sound, with the small DS-CNN of Hello Edge on cepstra computed in the graph.

    Shapes: samples (B, 16000) float32 in [-1, 1], at 16 kHz -> logits (B, num_classes) float32.

    Args:
        num_classes: Number of words; determined by the data.
        filters: Filters of each convolution: 64, 172 or 276 in the paper.
        blocks: Number of depthwise-separable convolutions: 4 or 5 in the paper.
        coefficients: Cepstral coefficients of a window, at most 40.
        dropout: Share of the pooled features that are set to zero in a training step.
        masks: Masks of frequencies, and of time, in a training step (SpecAugment, Park 2019): 1 or 2 in its paper.
    """
    samples = keras.Input((LENGTH,), name="samples")
    x = CepstralCoefficients(coefficients, masks, name="cepstra")(samples)
    x = layers.BatchNormalization(momentum=0.9, name="cepstra_norm")(x)
    x = layers.Reshape((*x.shape[1:], 1), name="image")(x)
    x = layers.Conv2D(filters, (10, 4), (2, 2), padding="same", use_bias=False, name="conv")(x)
    x = _norm_relu(x, "conv")
    for i in range(1, blocks + 1):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise{i}")(x)
        x = _norm_relu(x, f"depthwise{i}")
        x = _norm_relu(layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise{i}")(x), f"pointwise{i}")
    x = layers.Dropout(dropout, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(samples, layers.Dense(num_classes, dtype="float32", name="logits")(x), name="keywords")
