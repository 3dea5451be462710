"""The tasks: one file per kind of problem, each a subclass of `BaseTask`.

The task classes, for models of your own: `from zoo.tasks import Classification`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoobase.importing import lazy_attributes

if TYPE_CHECKING:
    from zoo.tasks.file_types import FileTypeClassification as FileTypeClassification
    from zoo.tasks.generative.autoencoding import Autoencoding as Autoencoding
    from zoo.tasks.generative.image_generation import ClassImageGeneration as ClassImageGeneration
    from zoo.tasks.generative.image_generation import ImageGeneration as ImageGeneration
    from zoo.tasks.generative.image_translation import PairedImageTranslation as PairedImageTranslation
    from zoo.tasks.generative.style_transfer import StyleTransfer as StyleTransfer
    from zoo.tasks.generative.unpaired_image_translation import UnpairedImageTranslation as UnpairedImageTranslation
    from zoo.tasks.image.classification import Classification as Classification
    from zoo.tasks.image.classification import PhotoClassification as PhotoClassification
    from zoo.tasks.image.detection import Detection as Detection
    from zoo.tasks.image.medical import MedicalClassification as MedicalClassification
    from zoo.tasks.image.segmentation import Segmentation as Segmentation
    from zoo.tasks.image.transfer_learning import LandmarkClassification as LandmarkClassification
    from zoo.tasks.image.transfer_learning import TransferLearning as TransferLearning
    from zoo.tasks.pitch import PitchEstimation as PitchEstimation
    from zoo.tasks.speech import SpeechDetection as SpeechDetection
    from zoo.tasks.tabular.binary_classification import BinaryClassification as BinaryClassification
    from zoo.tasks.tabular.classification import TabularClassification as TabularClassification
    from zoo.tasks.tabular.forecasting import Forecasting as Forecasting
    from zoo.tasks.tabular.regression import Regression as Regression
    from zoo.tasks.tabular.table import Table as Table
    from zoo.tasks.text.classification import TextClassification as TextClassification
    from zoo.tasks.text.language_modeling import LanguageModeling as LanguageModeling
    from zoo.tasks.text.sentences import SentenceClassification as SentenceClassification
    from zoo.tasks.text.sentences import SentenceEmbedding as SentenceEmbedding
    from zoo.tasks.text.translation import Translation as Translation
    from zoo.tasks.text.word_embeddings import WordEmbeddings as WordEmbeddings

_lazy = lazy_attributes(__name__, __file__)

if not TYPE_CHECKING:  # a type checker reports names that are not imported above
    __getattr__, __all__, __dir__ = _lazy, sorted(_lazy.modules), _lazy.names
