"""Single-label classification of texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

import pipelines
from pipelines.sources import storage
from pipelines.text import delimited_words, words
from zoo.candidates import ngrams
from zoo.core.recipe import Recipe
from zoo.core.task import Candidate, Prediction, Query, SplitEvaluation
from zoo.tasks.classifier import ClassifierTask, softmax
from zoo.tasks.text import hashed_ngrams, lengths, tokenizer_snippets

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract, Endpoint, Tensor
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

SHORTEST, LONGEST, LONGEST_NGRAMS = 48, 512, 8192  # of the lengths that are chosen


@dataclass(frozen=True)
class TextClassifier(ClassifierTask):
    """Base of the classification of texts; the model takes token ids and returns logits."""

    length: int = 0  # number of tokens, longer texts are cut; 0 is what 99 % of the training texts need, in [48, 512]
    tokens: int = 20_000  # largest size of the vocabulary

    title = "text classification"
    required_features = ("text", "label")
    accepts = "texts"
    splitter: ClassVar[ModuleType] = words  # module with `split`, `index`, `encode` and `encode_tensor`
    units = "words"  # what its tokens are
    first = 2  # number of tokens at the start of the vocabulary that stand for no text
    has_ngrams = False  # whether these are words, pairs of words and parts of words; a text has many of them

    def with_vocabulary(self, dataset: Dataset, vocabulary: tuple[str, ...], counts: list[int]) -> Dataset:
        """Return the dataset with a vocabulary, and the length and the share of cut texts by the tokens of each."""
        longest = LONGEST_NGRAMS if self.has_ngrams else LONGEST
        statistics = lengths.statistics(counts, self.length, SHORTEST, longest)
        storage.log.info("%s", lengths.describe(statistics, self.units, "task.length"))
        info = dataclasses.replace(
            dataset.info, vocabulary=vocabulary, statistics={**dataset.info.statistics, **statistics}
        )
        return dataclasses.replace(dataset, info=info)

    def with_ngrams(self, dataset: Dataset) -> Dataset:
        """Return the dataset with a vocabulary of words, pairs of words and parts of words."""
        texts = [example["text"] for example in dataset.train.as_numpy_iterator()]
        features = (ngram for text in texts for ngram in self.splitter.features(text))
        vocabulary, _ = self.splitter.counted(features, self.tokens, least=2)
        index = self.splitter.index(vocabulary)
        return self.with_vocabulary(dataset, vocabulary, [len(self.splitter.encode(text, index)) for text in texts])

    def words_of(self, info: Info) -> int:
        """Return the number of tokens of a text that the model reads."""
        return self.length or info.statistics.get("length", SHORTEST)

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence about the texts that are cut."""
        return lengths.describe(info.statistics, self.units, "task.length") if "length" in info.statistics else ""

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary and the number of classes."""
        return {"vocabulary_size": len(info.vocabulary), "num_classes": info.num_classes}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (token ids int32 (length,), label int64)."""

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            ids = self.splitter.encode_tensor(example["text"][None], info.vocabulary, self.words_of(info))
            return ids[0], example["label"]

        return pipelines.feed(split, decode=decode)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (token ids -> logits) and `text` (strings -> logits, label, score)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint, text_endpoint

        tokens = self.tokens_of(info)
        base = tensor_endpoint(served, [tokens], [Tensor("logits", "float32", (None, info.num_classes), "logits")])
        text = text_endpoint(
            base,
            lambda t: self.splitter.encode_tensor(t, info.vocabulary, self.words_of(info)),
            labels=info.class_names,
            vocabulary=info.vocabulary[self.first :],
        )
        return Contract((base, text), labels=info.class_names)

    def tokens_of(self, info: Info) -> Tensor:
        """Return the input of the contract."""
        from export.contract import Tensor

        high = len(info.vocabulary) - 1
        return Tensor("tokens", "int32", (None, self.words_of(info)), "token", low=0, high=high)

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with a linear SVM on TF-IDF features of the same texts."""
        from zoo.evaluation import text_baselines

        parts = []
        for name in ("train", evaluation.split):
            examples = list(dataset[name].as_numpy_iterator())
            texts = [example["text"].decode("utf-8", "replace") for example in examples]
            parts.append((texts, [int(example["label"]) for example in examples]))
        train, (texts, _) = parts
        predicted = text_baselines.fit_tfidf(*train).predict(texts)
        return dataclasses.replace(
            evaluation, baselines={"TF-IDF of words and characters, linear SVM": {"predicted": predicted}}
        )

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the token ids of a text."""
        ids = self.splitter.encode(argument, self.splitter.index(info.vocabulary), self.words_of(info))
        return {endpoint.inputs[0].name: ids}

    def explain(self, query: Query) -> Prediction:
        """Return the prediction of `show`, and the words whose removal lowers the probability most."""
        argument, outputs, info, top_k = query.argument, query.outputs, query.info, query.top_k
        prediction = self.show(argument, outputs, info, top_k)
        index, length = self.splitter.index(info.vocabulary), self.words_of(info)
        tokens = self.splitter.split(argument)[:length]
        if not tokens:
            return prediction
        without = (" ".join(tokens[:i] + tokens[i + 1 :]) for i in range(len(tokens)))
        (name,), ablated = query.inputs, np.stack([self.splitter.encode(text, index, length) for text in without])
        label = int(np.argmax(outputs["logits"]))
        ablated_logits = query.call("serving_default", {name: ablated})["logits"]
        drop = softmax(outputs["logits"])[label] - softmax(ablated_logits)[:, label]
        unknown = {token for token in tokens if index.get(words.UNKNOWN) in self.splitter.encode(token, index)}
        order = [int(i) for i in np.argsort(-np.abs(drop), kind="stable")[: max(1, top_k)]]
        effects = ", ".join(f"{tokens[i]}{' (unknown)' if tokens[i] in unknown else ''} {drop[i]:+.1%}" for i in order)
        weights = [{"word": tokens[i], "weight": round(float(drop[i]), 6)} for i in order]
        rows = tuple({**row, "words": weights} for row in prediction.rows)
        return Prediction(lines=(*prediction.lines, f"largest effect: {effects}"), rows=rows)


@dataclass(frozen=True)
class TextClassification(TextClassifier):
    """Text classification with integer labels; the model takes word ids and returns logits."""

    # how texts are split: words; delimited, which the libraries of devices can do; ngrams, words, pairs of words and
    # parts of words, which the candidate "tfidf" has; or hashed, words and hashed parts of words, as fastText has them
    tokenizer: Literal["words", "delimited", "ngrams", "hashed"] = "words"

    @property
    def splitter(self) -> ModuleType:
        """The module that turns texts into ids."""
        modules = {"words": words, "delimited": delimited_words, "ngrams": ngrams, "hashed": hashed_ngrams}
        return modules[self.tokenizer]

    @property
    def has_ngrams(self) -> bool:
        """Whether the tokens are n-grams."""
        return self.tokenizer in ("ngrams", "hashed")

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return a constant and logistic regression on TF-IDF."""
        from zoo.candidates import texts

        return texts.ladder(info, "tokenizer", self.has_ngrams)

    def tokens_of(self, info: Info) -> Tensor:
        """Return the input of the contract, with the words by which the libraries of devices find the ids."""
        tokens = super().tokens_of(info)
        if self.tokenizer == "words":
            from export.contract.preprocessing import from_json

            rules = tokenizer_snippets.rules_of_words()
            return dataclasses.replace(tokens, preprocessing=from_json({"kind": "text"} | rules))
        if self.tokenizer != "delimited":
            return tokens
        found = delimited_words.index(info.vocabulary)
        forms = (" ".join(f for f in delimited_words.forms(w) if found[f] == i) for i, w in enumerate(info.vocabulary))
        return dataclasses.replace(tokens, words=tuple(forms), delimiter=delimited_words.DELIMITER)

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the vocabulary, the length and the share of cut texts of its training texts."""
        if self.has_ngrams:
            return self.with_ngrams(dataset)
        texts = [self.splitter.split(example["text"]) for example in dataset.train.as_numpy_iterator()]
        vocabulary, _ = self.splitter.counted((word for text in texts for word in text), self.tokens, least=2)
        return self.with_vocabulary(dataset, vocabulary, list(map(len, texts)))

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Set the statistics of layers with a method `observe` from the training texts."""
        observers = [layer for layer in model.layers if hasattr(layer, "observe")]
        if not observers:
            return
        info, examples = dataset.info, list(dataset.train.as_numpy_iterator())
        index, labels = self.splitter.index(info.vocabulary), np.array([int(example["label"]) for example in examples])
        tokens = np.stack([self.splitter.encode(example["text"], index, self.words_of(info)) for example in examples])
        for layer in observers:
            layer.observe(tokens, labels, info.vocabulary)

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the id of a word."""
        if self.tokenizer == "delimited":  # it is in the TFLite file
            return {}
        return tokenizer_snippets.assets(info, None if self.has_ngrams else tokenizer_snippets.rules_of_words())

    def code_snippets(self, info: Info) -> dict[str, str]:
        """Return Python that tokenizes a text as the `text` endpoint does."""
        if self.tokenizer in ("delimited", "hashed"):
            return {}
        if self.has_ngrams:
            return {"Token ids of a text": tokenizer_snippets.ngrams_of_words(self.words_of(info))}
        return {"Token ids of a text": tokenizer_snippets.whole_words(self.words_of(info))}
