"""Single-label classification of texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import pipelines
from pipelines.sources import storage
from pipelines.text import delimited_words, words
from zoo.core.recipe import Recipe
from zoo.core.task import Prediction, SplitEvaluation
from zoo.tasks.classifier import ClassifierTask, softmax
from zoo.tasks.text import lengths, tokenizer_snippets, word_vectors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

SHORTEST, LONGEST = 48, 512  # of the lengths that are chosen


@dataclass(frozen=True)
class TextClassification(ClassifierTask):
    """Text classification with integer labels; the model takes word ids and returns logits.

    Attributes:
        length: Number of words, longer texts are cut; 0 is what 99 % of the training texts need, in [48, 512].
        tokens: Largest size of the vocabulary.
        vectors: Trained word vectors from which the layer `embedding` starts: glove or word2vec; empty for none.
        tokenizer: How texts are split: words, or delimited, which the libraries of devices can do.
    """

    length: int = 0
    tokens: int = 20_000
    vectors: str = ""
    tokenizer: Literal["words", "delimited"] = "words"

    title = "text classification"
    required_features = ("text", "label")
    accepts = "texts"

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the vocabulary, the length and the share of cut texts of its training texts."""
        texts = [self.splitter.split(example["text"]) for example in dataset.train.as_numpy_iterator()]
        vocabulary, _ = self.splitter.counted((word for text in texts for word in text), self.tokens, least=2)
        statistics = lengths.statistics(list(map(len, texts)), self.length, SHORTEST, LONGEST)
        storage.log.info("%s", lengths.describe(statistics, "words", "task.length"))
        info = dataclasses.replace(
            dataset.info, vocabulary=vocabulary, statistics={**dataset.info.statistics, **statistics}
        )
        return dataclasses.replace(dataset, info=info)

    @property
    def splitter(self) -> ModuleType:
        """The module that turns texts into ids."""
        return words if self.tokenizer == "words" else delimited_words

    def words_of(self, info: Info) -> int:
        """Return the number of words of a text that the model reads."""
        return self.length or info.statistics.get("length", SHORTEST)

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence about the texts that are cut."""
        return lengths.describe(info.statistics, "words", "task.length") if "length" in info.statistics else ""

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary and the number of classes."""
        return {"vocabulary_size": len(info.vocabulary), "num_classes": info.num_classes}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (word ids int32 (length,), label int64)."""

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return self.splitter.encode_tensor(example["text"][None], info.vocabulary, self.words_of(info))[0], example[
                "label"
            ]

        return pipelines.feed(split, decode=decode)

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Set the word vectors, and the statistics of layers with a method `observe` from the training texts."""
        if self.vectors:
            word_vectors.start_from(model, self.vectors, dataset.info.vocabulary)
        observers = [layer for layer in model.layers if hasattr(layer, "observe")]
        if not observers:
            return
        info, examples = dataset.info, list(dataset.train.as_numpy_iterator())
        index, labels = self.splitter.index(info.vocabulary), np.array([int(example["label"]) for example in examples])
        tokens = np.stack([self.splitter.encode(example["text"], index, self.words_of(info)) for example in examples])
        for layer in observers:
            layer.observe(tokens, labels, info.vocabulary)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (word ids -> logits) and `text` (strings -> logits, label, score)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint, text_endpoint

        tokens = Tensor("tokens", "int32", (None, self.words_of(info)), "token", low=0, high=len(info.vocabulary) - 1)
        if self.tokenizer == "delimited":
            found = delimited_words.index(info.vocabulary)
            forms = (
                " ".join(f for f in delimited_words.forms(w) if found[f] == i) for i, w in enumerate(info.vocabulary)
            )
            tokens = dataclasses.replace(tokens, words=tuple(forms), delimiter=delimited_words.DELIMITER)
        base = tensor_endpoint(served, [tokens], [Tensor("logits", "float32", (None, info.num_classes), "logits")])
        text = text_endpoint(
            base,
            lambda t: self.splitter.encode_tensor(t, info.vocabulary, self.words_of(info)),
            labels=info.class_names,
            vocabulary=info.vocabulary[2:],  # without padding and the unknown word
        )
        return Contract((base, text), labels=info.class_names)

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

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the id of a word."""
        if self.tokenizer == "delimited":  # the vocabulary is in the TFLite file
            return {}
        return tokenizer_snippets.assets(info, tokenizer_snippets.rules_of_words())

    def code_snippets(self, info: Info) -> dict[str, str]:
        """Return Python that tokenizes a text as the `text` endpoint does."""
        if self.tokenizer == "delimited":
            return {}
        return {"Token ids of a text": tokenizer_snippets.whole_words(self.words_of(info))}

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the confusion matrix."""
        from zoo.evaluation import plots

        matrix = np.array(evaluation.metrics["confusion_matrix"])
        yield "confusion_matrix", plots.confusion_matrix(matrix, evaluation.info.class_names)

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the word ids of a text."""
        return {
            endpoint.inputs[0].name: self.splitter.encode(
                argument, self.splitter.index(info.vocabulary), self.words_of(info)
            )
        }

    def explain(
        self,
        argument: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        info: Info,
        top_k: int,
    ) -> Prediction:
        """Return the prediction of `show`, and the words whose removal lowers the probability most.

        Args:
            argument: The text.
            inputs: The inputs that `parse` returned for it.
            outputs: The outputs of the model.
            call: (endpoint, inputs) -> outputs.
            info: Info of the dataset.
            top_k: Number of classes, and of words.
        """
        prediction = self.show(argument, outputs, info, top_k)
        (name, ids), tokens = next(iter(inputs.items())), self.splitter.split(argument)[: self.words_of(info)]
        if not tokens:
            return prediction
        ablated = np.stack([np.append(np.delete(ids, i), ids.dtype.type(0)) for i in range(len(tokens))])
        label = int(np.argmax(outputs["logits"]))
        ablated_logits = call("serving_default", {name: ablated})["logits"]
        drop = softmax(outputs["logits"])[label] - softmax(ablated_logits)[:, label]
        vocabulary = set(info.vocabulary)
        order = [int(i) for i in np.argsort(-np.abs(drop), kind="stable")[: max(1, top_k)]]
        effects = ", ".join(
            f"{tokens[i]}{'' if tokens[i] in vocabulary else ' (unknown)'} {drop[i]:+.1%}" for i in order
        )
        weights = [{"word": tokens[i], "weight": round(float(drop[i]), 6)} for i in order]
        rows = tuple({**row, "words": weights} for row in prediction.rows)
        return Prediction(lines=(*prediction.lines, f"largest effect: {effects}"), rows=rows)
