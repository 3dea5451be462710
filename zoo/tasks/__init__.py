"""The tasks: one file per kind of problem, each a subclass of `BaseTask`.

The task classes, for models of your own: `from zoo.tasks import Classification`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.tasks.generative.autoencoding import Autoencoding
    from zoo.tasks.generative.gan import ImageGeneration
    from zoo.tasks.generative.image_translation import PairedImageTranslation
    from zoo.tasks.generative.style_transfer import StyleTransfer
    from zoo.tasks.generative.unpaired_image_translation import UnpairedImageTranslation
    from zoo.tasks.image.classification import Classification, PhotoClassification
    from zoo.tasks.image.medical import MedicalClassification
    from zoo.tasks.image.segmentation import Segmentation
    from zoo.tasks.image.transfer_learning import LandmarkClassification, TransferLearning
    from zoo.tasks.tabular.binary_classification import BinaryClassification
    from zoo.tasks.tabular.classification import TabularClassification
    from zoo.tasks.tabular.regression import Regression
    from zoo.tasks.tabular.table import Table
    from zoo.tasks.text.classification import TextClassification
    from zoo.tasks.text.language_modeling import LanguageModeling
    from zoo.tasks.text.translation import Translation
    from zoo.tasks.text.word_embeddings import WordEmbeddings

MODULES = {
    "ImageGeneration": "zoo.tasks.generative.gan",
    "Autoencoding": "zoo.tasks.generative.autoencoding",
    "BinaryClassification": "zoo.tasks.tabular.binary_classification",
    "Classification": "zoo.tasks.image.classification",
    "LandmarkClassification": "zoo.tasks.image.transfer_learning",
    "LanguageModeling": "zoo.tasks.text.language_modeling",
    "MedicalClassification": "zoo.tasks.image.medical",
    "PairedImageTranslation": "zoo.tasks.generative.image_translation",
    "PhotoClassification": "zoo.tasks.image.classification",
    "Regression": "zoo.tasks.tabular.regression",
    "Segmentation": "zoo.tasks.image.segmentation",
    "StyleTransfer": "zoo.tasks.generative.style_transfer",
    "Table": "zoo.tasks.tabular.table",
    "TabularClassification": "zoo.tasks.tabular.classification",
    "TextClassification": "zoo.tasks.text.classification",
    "TransferLearning": "zoo.tasks.image.transfer_learning",
    "Translation": "zoo.tasks.text.translation",
    "UnpairedImageTranslation": "zoo.tasks.generative.unpaired_image_translation",
    "WordEmbeddings": "zoo.tasks.text.word_embeddings",
}

__all__ = [
    "Autoencoding",
    "BinaryClassification",
    "Classification",
    "ImageGeneration",
    "LandmarkClassification",
    "LanguageModeling",
    "MedicalClassification",
    "PairedImageTranslation",
    "PhotoClassification",
    "Regression",
    "Segmentation",
    "StyleTransfer",
    "Table",
    "TabularClassification",
    "TextClassification",
    "TransferLearning",
    "Translation",
    "UnpairedImageTranslation",
    "WordEmbeddings",
]


def __getattr__(name: str) -> Any:
    """Import a task on first access, because some import TensorFlow (PEP 562)."""
    if name in MODULES:
        return getattr(importlib.import_module(MODULES[name]), name)
    raise AttributeError(f"module 'zoo.tasks' has no attribute {name!r}")
