"""One file per kind of problem, each a subclass of `BaseTask`.

The task classes, for models of your own: `from zoo.tasks import Classification`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.tasks.generative.autoencoding import Autoencoding
    from zoo.tasks.generative.gan import Adversarial
    from zoo.tasks.generative.image_translation import PairedPictures
    from zoo.tasks.generative.style_transfer import Stylisation
    from zoo.tasks.generative.unpaired_image_translation import UnpairedPictures
    from zoo.tasks.image.classification import Classification, Photographs
    from zoo.tasks.image.medical import Medical
    from zoo.tasks.image.transfer_learning import Landmarks, Transfer
    from zoo.tasks.tabular.binary_classification import BinaryClassification
    from zoo.tasks.tabular.regression import Regression
    from zoo.tasks.text.classification import TextClassification
    from zoo.tasks.text.language_modeling import LanguageModel
    from zoo.tasks.text.translation import Translation
    from zoo.tasks.text.word_embeddings import WordVectors

_HOMES = {
    "Adversarial": "generative.gan",
    "Autoencoding": "generative.autoencoding",
    "BinaryClassification": "tabular.binary_classification",
    "Classification": "image.classification",
    "Landmarks": "image.transfer_learning",
    "LanguageModel": "text.language_modeling",
    "Medical": "image.medical",
    "PairedPictures": "generative.image_translation",
    "Photographs": "image.classification",
    "Regression": "tabular.regression",
    "Stylisation": "generative.style_transfer",
    "TextClassification": "text.classification",
    "Transfer": "image.transfer_learning",
    "Translation": "text.translation",
    "UnpairedPictures": "generative.unpaired_image_translation",
    "WordVectors": "text.word_embeddings",
}

__all__ = [
    "Adversarial",
    "Autoencoding",
    "BinaryClassification",
    "Classification",
    "Landmarks",
    "LanguageModel",
    "Medical",
    "PairedPictures",
    "Photographs",
    "Regression",
    "Stylisation",
    "TextClassification",
    "Transfer",
    "Translation",
    "UnpairedPictures",
    "WordVectors",
]


def __getattr__(name: str) -> Any:
    """Import a task when it is first asked for: some import TensorFlow (PEP 562)."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"zoo.tasks.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'zoo.tasks' has no attribute {name!r}")
