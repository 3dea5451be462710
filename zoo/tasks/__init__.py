"""The tasks: one file per kind of problem, each a subclass of `BaseTask`.

The task classes, for models of your own: `from zoo.tasks import Classification`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoobase.importing import lazy_attributes

if TYPE_CHECKING:
    from zoo.tasks.file_types import FileTypeClassification
    from zoo.tasks.generative.autoencoding import Autoencoding
    from zoo.tasks.generative.gan import ImageGeneration
    from zoo.tasks.generative.image_translation import PairedImageTranslation
    from zoo.tasks.generative.style_transfer import StyleTransfer
    from zoo.tasks.generative.unpaired_image_translation import UnpairedImageTranslation
    from zoo.tasks.image.classification import Classification, PhotoClassification
    from zoo.tasks.image.detection import Detection
    from zoo.tasks.image.medical import MedicalClassification
    from zoo.tasks.image.segmentation import Segmentation
    from zoo.tasks.image.transfer_learning import LandmarkClassification, TransferLearning
    from zoo.tasks.pitch import PitchEstimation
    from zoo.tasks.speech import SpeechDetection
    from zoo.tasks.tabular.binary_classification import BinaryClassification
    from zoo.tasks.tabular.classification import TabularClassification
    from zoo.tasks.tabular.forecasting import Forecasting
    from zoo.tasks.tabular.regression import Regression
    from zoo.tasks.tabular.table import Table
    from zoo.tasks.text.classification import TextClassification
    from zoo.tasks.text.language_modeling import LanguageModeling
    from zoo.tasks.text.sentences import SentenceClassification, SentenceEmbedding
    from zoo.tasks.text.translation import Translation
    from zoo.tasks.text.word_embeddings import WordEmbeddings

__all__ = [
    "Autoencoding",
    "BinaryClassification",
    "Classification",
    "Detection",
    "FileTypeClassification",
    "Forecasting",
    "ImageGeneration",
    "LandmarkClassification",
    "LanguageModeling",
    "MedicalClassification",
    "PairedImageTranslation",
    "PhotoClassification",
    "PitchEstimation",
    "Regression",
    "Segmentation",
    "SentenceClassification",
    "SentenceEmbedding",
    "SpeechDetection",
    "StyleTransfer",
    "Table",
    "TabularClassification",
    "TextClassification",
    "TransferLearning",
    "Translation",
    "UnpairedImageTranslation",
    "WordEmbeddings",
]

__getattr__ = lazy_attributes(__name__, __file__)
