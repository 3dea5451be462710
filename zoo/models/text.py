"""Texts of your classes: a head on the vectors of a pretrained sentence encoder.

Reference: Reimers, Gurevych 2019, arXiv:1908.10084.
Train:     python -m zoo.train text --data-dir texts.csv               (columns text and label; or a folder per class)
           python -m zoo.train text --recipe finetune                  (then all layers)
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.text.sentences import SentenceClassification

if TYPE_CHECKING:
    import keras

RECIPE = Recipe(epochs=30, batch_size=64, learning_rate=1e-3, weight_decay=1e-2, patience=6)


@register(
    data="movie_reviews",
    task=SentenceClassification(),
    recipes={"default": RECIPE, "finetune": dataclasses.replace(RECIPE, task={"tune_epochs": 1})},
    tiny={"backbone": "minilm_tiny", "task.length": 16, "task.tokens": 300, "task.vocabulary": "texts"},
    card=Card(
        paper="Reimers, Gurevych 2019, arXiv:1908.10084",
        expect={"accuracy": 0.8253},
        command="python -m zoo.train text --recipe finetune",
        measured_on="2 busy cores: three minutes for the head, seven for an epoch of all layers; the head alone 0.7491",
        notes="English. Frozen vectors say what a text is about, less whether it is praise: for opinions, `finetune`.",
    ),
)
def text(
    num_classes: int = 2, vocabulary_size: int = 30_522, backbone: str = "minilm", dropout: float = 0.3
) -> keras.Model:
    """Texts of your classes, by a head on the vectors of a pretrained sentence encoder.

    Shapes: tokens (B, L) int32 in [0, vocabulary_size), padded with 0 -> logits (B, num_classes) float32.
    """
    from zoo.modeling import sentence_encoder

    return sentence_encoder.classifier("text", num_classes, vocabulary_size, backbone, dropout)
