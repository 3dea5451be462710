"""The language of a text, or another class that its words and parts of words tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.tasks.text import hashed_ngrams
from zoo.tasks.text.classification import TextClassifier

if TYPE_CHECKING:
    from pipelines.dataset import Dataset, Info
    from zoo.core.task import Prediction, Query


@dataclass(frozen=True)
class LanguageIdentification(TextClassifier):
    """Classification of texts by words and hashed n-grams; the model takes their ids and returns logits.

    Attributes:
        length: Number of words and n-grams; the 160 characters that are read have at most so many.
        tokens: Largest size of the vocabulary of a training without `--init`.
    """

    length: int = 512
    tokens: int = 50_000

    title = "language identification"
    splitter = hashed_ngrams
    units = "words and n-grams"
    first = 1
    has_ngrams = True

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with a vocabulary of words and buckets of n-grams of the training texts."""
        texts = [hashed_ngrams.features(example["text"]) for example in dataset.train.as_numpy_iterator()]
        vocabulary = hashed_ngrams.counted((token for text in texts for token in text), self.tokens)
        return self.with_vocabulary(dataset, vocabulary, list(map(len, texts)))

    def explain(self, query: Query) -> Prediction:
        """Return the classes with their probabilities."""
        return self.show(query.argument, query.outputs, query.info, query.top_k)

    def bundle_assets(self, info: Info) -> Mapping[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the id of a word or of a bucket."""
        from zoo.tasks.text import tokenizer_snippets

        return tokenizer_snippets.assets(info, None)
