"""Texts as vectors by a pretrained encoder: their classification by a head on it, and the vectors themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.text import byte_pairs, wordpiece, words
from zoo.candidates import ngrams
from zoo.core.recipe import Recipe
from zoo.core.task import Candidate, Phase, Prediction, Query, SplitEvaluation, head_and_tune
from zoo.tasks.text import tokenizer_snippets
from zoo.tasks.text.classification import TextClassifier
from zoobase.errors import UsageError, unknown

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract, Tensor
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed
    from zoo.modeling.backbones import Backbone

PRETRAINED = ("minilm", "wordllama")
VOCABULARIES = (*PRETRAINED, "texts", "ngrams")
# the module that splits texts, the number of tokens that stand for no text, and the snippet of the card
WORD_PIECES = wordpiece, len(wordpiece.SPECIAL), tokenizer_snippets.word_pieces
TOKENIZERS = {  # of the vocabularies that do not consist of word pieces
    "ngrams": (ngrams, 2, tokenizer_snippets.ngrams_of_words),
    "wordllama": (byte_pairs, byte_pairs.FIRST, tokenizer_snippets.byte_pairs),
}


@dataclass(frozen=True)
class WordPieceTask(TextClassifier):
    """Base of tasks whose texts are pieces of words."""

    # vocabulary of pieces: "minilm" or "wordllama", those of its pretrained weights, or "texts", one of the training
    # texts, with which no pretrained weights fit; or "ngrams", those of the candidate "tfidf"
    vocabulary: str = "minilm"

    units = "pieces of words"

    @property
    def has_ngrams(self) -> bool:
        """Whether the tokens are n-grams."""
        return self.vocabulary == "ngrams"

    @property
    def _tokenizer(self) -> tuple[ModuleType, int, Callable[[int], str]]:
        return TOKENIZERS.get(self.vocabulary, WORD_PIECES)

    @property
    def splitter(self) -> ModuleType:
        """The module that turns texts into ids."""
        return self._tokenizer[0]

    @property
    def first(self) -> int:
        """Number of tokens at the start of the vocabulary that stand for no text."""
        return self._tokenizer[1]

    def __post_init__(self) -> None:
        """Raise UsageError for an unknown vocabulary."""
        if self.vocabulary not in VOCABULARIES:
            raise unknown("task.vocabulary", self.vocabulary, VOCABULARIES)

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the vocabulary, the length and the share of cut texts of its training texts."""
        if self.has_ngrams:
            return self.with_ngrams(dataset)
        texts = [example["text"] for example in dataset.train.as_numpy_iterator()]
        if self.vocabulary == "texts":
            pieces = wordpiece.vocabulary(texts, self.tokens)
        else:
            from zoo import weights

            pieces = tuple(weights.description(self.vocabulary)["info"]["vocabulary"])
        index = words.index(pieces)
        return self.with_vocabulary(dataset, pieces, [len(self.splitter.encode(text, index)) for text in texts])

    def tokens_of(self, info: Info) -> Tensor:
        """Return the input of the contract, with the way from a text to pieces."""
        from export.contract.preprocessing import TextPreprocessing

        tokens = super().tokens_of(info)
        if self.splitter is not wordpiece:
            return tokens
        index = words.index(info.vocabulary)
        unknown, start, end = (index[token] for token in wordpiece.SPECIAL[1:])
        recipe = TextPreprocessing(True, "bert", pieces=wordpiece.REST, start=start, end=end, unknown=unknown)
        return dataclasses.replace(tokens, preprocessing=recipe)

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the id of a piece."""
        return tokenizer_snippets.assets(info)

    def code_snippets(self, info: Info) -> dict[str, str]:
        """Return Python that tokenizes a text as the `text` endpoint does."""
        return {"Token ids of a text": self._tokenizer[2](self.words_of(info))}


@dataclass(frozen=True)
class SentenceClassification(WordPieceTask):
    """Classification of texts by a head on the frozen vectors of an encoder, optionally then with all its layers."""

    tune_epochs: int = 0  # epochs of a second phase, in which all layers are trained; 0 for none
    tune_rate: float = 1e-4  # learning rate of the second phase
    pretrained: bool = True  # False starts from random weights
    baseline: bool = True  # whether to evaluate a logistic regression on the same frozen features as a baseline
    # whether the temperature is corrected on validation, for the probabilities of the data
    calibrated: bool = True

    views = 1  # views of each training text: 1, because texts are not augmented

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return a constant and logistic regression on TF-IDF."""
        from zoo.candidates import texts

        return texts.ladder(info, "vocabulary", self.has_ngrams)

    def class_weights(self, info: Info) -> None:
        """Return None: all texts have the same weight."""

    def phases(self, recipe: Recipe, info: Info) -> tuple[Phase, ...]:
        """Return the phases in order."""
        return head_and_tune(recipe, info.counts["train"], self.tune_epochs or None, self.tune_rate)

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise UsageError for an unknown encoder, with the closest matches, or one of another vocabulary."""
        if "backbone" in arguments:
            name = arguments["backbone"]
            self.backbone(name)
            if {name, self.vocabulary} == set(PRETRAINED):
                raise UsageError(f"{name} reads tokens of its own: add --set task.vocabulary={name}")

    def backbone(self, name: str) -> Backbone:
        """Return an encoder by name; UsageError for an unknown one."""
        from zoo.modeling import sentence_encoder

        return sentence_encoder.get(name)

    def feature_settings(self, info: Info) -> list[Any]:
        """Return the number of pieces of a text; the vocabulary is a part of the info."""
        return [self.words_of(info)]

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return which layers are trained, and how many texts are cut."""
        then = f"then all layers for {self.tune_epochs} epochs" if self.tune_epochs else "no other layers"
        return (
            f"A head on the vectors of {arguments['backbone']}, {then} ({info.counts['train']:,} training texts; "
            f"--set task.tune_epochs=N). {super().describe_case(info, arguments)}"
        )


@dataclass(frozen=True)
class SentenceEmbedding(WordPieceTask):
    """Vectors of texts of length 1; in training, texts of one class are drawn together."""

    length: int = 128
    temperature: float = 0.1  # divisor of the cosines in the loss

    title = "sentence embedding"
    supports = frozenset()
    monitor = "val_loss"
    output = "embedding"
    probabilities = None  # vectors are no classes

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary."""
        return {"vocabulary_size": len(info.vocabulary)}

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the contrastive loss of labels."""
        from zoo.modeling.losses import SupervisedContrastive

        return {"loss": SupervisedContrastive(self.temperature)}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (token ids -> embedding) and `text` (strings -> embedding)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint, text_endpoint

        base = tensor_endpoint(
            served, [self.tokens_of(info)], [Tensor("embedding", "float32", (None, served.output.shape[-1]))]
        )
        text = text_endpoint(
            base,
            lambda t: self.splitter.encode_tensor(t, info.vocabulary, self.words_of(info)),
            vocabulary=info.vocabulary[self.first :],
        )
        return Contract((base, text))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the share of texts whose nearest other text has their class."""
        vectors = outputs["embedding"]
        nearest = []
        for start in range(0, len(vectors), 1000):
            cosines = vectors[start : start + 1000] @ vectors.T
            cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
            nearest.append(cosines.argmax(axis=1))
        return {"neighbour_accuracy": float(np.mean(truth[np.concatenate(nearest)] == truth))}

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Return the evaluation unchanged: the vectors of a linear classifier are not comparable."""
        return evaluation

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield nothing."""
        return iter(())

    def explain(self, query: Query) -> Prediction:
        """Return the vector; `--nearest` compares it with those of other texts."""
        vector = [round(float(value), 6) for value in query.outputs["embedding"]]
        shown = ", ".join(f"{value:.3f}" for value in vector[:4])
        line = f"{len(vector)} numbers: {shown}, ... (--nearest FILE: the nearest of other texts)"
        return Prediction(lines=(line,), rows=({"input": query.argument, "embedding": vector},))
