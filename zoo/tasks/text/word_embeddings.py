"""Vectors of words that tell which words stand beside them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines.text import words
from zoo.core.errors import UsageError, unknown
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Evaluation, Prediction
from zoo.evaluation import word_similarity
from zoo.tasks.text import tokenizer_snippets

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

REACH, NOISE = 0x3A1, 0x3A2  # streams of random numbers, next to those of the augmentations
JUDGED = 50_000  # places of a held-out text that are judged
SHOWN = (
    *("king", "queen", "man", "woman", "father", "mother", "day", "night", "love", "death"),
    *("good", "bad", "money", "doctor", "car", "computer", "god", "church", "war", "film"),
)


@dataclass(frozen=True)
class WordEmbeddings(BaseTask):
    """Skip-gram over running text; the model has `similarity` and its own `train_step`.

    Attributes:
        tokens: Size of the vocabulary.
        least: Times that a word must occur to be in it.
        window: Neighbours on each side at most; how many count is drawn anew for each place and epoch.
        sample: Frequent words are left out at random above this share of the text (subsampling).
        power: Words of the noise are drawn by their count to this power.
        shown: Words whose nearest ones `evaluate` tells.
        word_list_from: Words in a vocabulary that is judged by lists of rated pairs: a smaller one knows too few.
    """

    tokens: int = 20_000
    least: int = 5
    window: int = 5
    sample: float = 1e-4
    power: float = 0.75
    shown: tuple[str, ...] = SHOWN
    word_list_from: int = 5000

    title = "word vectors"
    accepts = "texts"

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the vocabulary of its training texts, and how often each word is there."""
        split = [words.split(text) for text in _texts(dataset.train)]
        vocabulary, counts = words.counted((word for text in split for word in text), self.tokens, self.least)
        if len(vocabulary) < 4:
            raise UsageError(f"no two words occur {self.least} times in this text: give more, or --set task.least=1")
        statistics = {**dataset.info.statistics, "word_counts": counts}
        return dataclasses.replace(
            dataset, info=dataclasses.replace(dataset.info, vocabulary=vocabulary, statistics=statistics)
        )

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary."""
        return {"vocabulary_size": len(info.vocabulary)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (word int32 (), [the word, a word of the noise, neighbours (2 * window)] int32, where 0 is none).

        Words outside the vocabulary are left out first, then frequent ones (by a fixed seed), and what is left moves
        together. Outside of training, places that are spread evenly.
        """
        import tensorflow as tf

        from pipelines import stateless_random

        rows = self._places(split, info)
        rows = rows if training else rows[:: -(-len(rows) // JUDGED)]
        share = np.array(info.statistics["word_counts"], np.float64) ** self.power
        until = tf.constant(np.cumsum(share) / share.sum(), tf.float32)
        away = tf.constant([abs(i) for i in range(-self.window, self.window + 1) if i], tf.int32)

        def draw(batch: tuple[tf.Tensor, tf.Tensor], keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            word, beside = batch
            near = away <= stateless_random.integers(keys, REACH, 1, 1, self.window)
            noise = tf.searchsorted(until, stateless_random.uniform(keys, NOISE, 1)[:, 0], side="right")
            noise = tf.minimum(noise, len(share) - 1)
            return word, tf.concat([word[:, None], noise[:, None], tf.where(near, beside, 0)], axis=1)

        around = np.delete(rows, self.window, axis=1)
        return pipelines.feed(tf.data.Dataset.from_tensor_slices((rows[:, self.window], around)), augment=draw)

    def _places(self, split: tf.data.Dataset, info: Info) -> np.ndarray:
        """Return what stands around each word that is kept: int32 (N, 2 * window + 1), 0 beyond the ends of a text."""
        whole = _whole(split, info.vocabulary, self.window)
        counts = np.maximum(info.statistics["word_counts"], 1)
        kept = np.sqrt(self.sample * counts.sum() / counts)  # Mikolov 2013, section 2.3
        kept[0] = 1.0
        whole = whole[np.random.default_rng(0).random(len(whole)) < kept[whole]]
        rows = np.lib.stride_tricks.sliding_window_view(whole, 2 * self.window + 1)
        return rows[rows[:, self.window] > 0]

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Give the model its optimizer; the loss is its own."""
        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        model.compile(optimizer=make_optimizer(recipe, steps), jit_compile=False)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (id -> vector), `text` (a word -> vector), `similarity` (vector -> cosines)."""
        from export.contract import Contract, Endpoint, Tensor
        from export.contract.endpoints import tensor_endpoint, text_endpoint

        size, width = len(info.vocabulary), served.embedding_dim
        vector = Tensor("vector", "float32", (None, width))
        word = Tensor("word", "int32", (None,), "token", low=0, high=size - 1)
        base = tensor_endpoint(served, [word], [vector], structure="tensor")
        similarity = Endpoint(
            "similarity",
            (dataclasses.replace(vector, low=-1.0, high=1.0),),
            (Tensor("similarity", "float32", (None, size)),),
            call=lambda x: {"similarity": served.similarity(x["vector"])},
            formats=("saved_model", "tflite", "onnx"),
        )
        return Contract(
            (base, text_endpoint(base, lambda t: words.encode_tensor(t, info.vocabulary, 1)[:, 0]), similarity)
        )

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return how often a word is more like one that stands beside it than like a word of the noise."""
        return {"neighbour_auc": word_similarity.auc(outputs["vector"], truth)}

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Find the nearest words of those that are to be shown, and hold the vectors against what people say."""
        import tensorflow as tf

        info, call = dataset.info, contract["serving_default"].call
        table = word_similarity.unit(call({"word": tf.range(len(info.vocabulary))})["vector"].numpy())
        index = words.index(info.vocabulary)
        shown = [word for word in self.shown if word in index]
        near = {word: word_similarity.nearest(table @ table[index[word]], 10, {index[word]}) for word in shown}
        names = {w: {"nearest": ", ".join(info.vocabulary[i] for i in found)} for w, found in near.items()}
        metrics = {**evaluation.metrics, "neighbours": names}
        if len(index) >= self.word_list_from:
            metrics |= word_similarity.against_people(table, index)
        places = [index[word] for word in shown]
        places += [i for found in near.values() for i in found[:3] if i not in places]
        found = {"vectors": table[places], "ids": np.array(places), "stated": np.array(len(shown))}
        return dataclasses.replace(evaluation, metrics=metrics, arrays=found)

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the id of a word."""
        return tokenizer_snippets.assets(info)

    def code_snippets(self, info: Info) -> dict[str, str]:
        """Return Python that does what the `text` endpoint does to a word."""
        return {"Token ids of a text": tokenizer_snippets.whole_words(1)}

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the stated words and their nearest in the plane in which they vary most."""
        from sklearn.decomposition import PCA

        from zoo.evaluation import plots

        if len(evaluation.arrays["ids"]) > 2:
            names = [evaluation.info.vocabulary[i] for i in evaluation.arrays["ids"]]
            points = PCA(2).fit_transform(evaluation.arrays["vectors"])
            stated = int(evaluation.arrays["stated"])
            yield "words", plots.words(points, names, stated, "Stated words (bold) and the three nearest of each")

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the id of the first word of `king` or `king - man + woman`; UsageError for one that is not known."""
        return {endpoint.inputs[0].name: np.int32(_terms(argument, info.vocabulary)[0][1])}

    def explain(
        self,
        question: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        info: Info,
        top_k: int,
    ) -> Prediction:
        """Return the words nearest to a word, or to the sum of several, those of the question left out."""
        terms = _terms(question, info.vocabulary)
        vectors = [call("serving_default", {"word": np.array([i], np.int32)})["vector"] for _, i in terms]
        total = sum(sign * word_similarity.unit(v) for (sign, _), v in zip(terms, vectors, strict=True))
        cosines = call("similarity", {"vector": word_similarity.unit(total)})["similarity"][0]
        best = word_similarity.nearest(cosines, top_k, {i for _, i in terms})
        rows = tuple(
            {"input": question, "rank": n, "word": info.vocabulary[i], "similarity": round(float(cosines[i]), 6)}
            for n, i in enumerate(best, start=1)
        )
        return Prediction(lines=tuple(f"{r['similarity']:6.3f}  {r['word']}" for r in rows), rows=rows)


def _terms(question: str, vocabulary: Sequence[str]) -> list[tuple[int, int]]:
    """Return (sign, id) of each word of a sum such as `king - man + woman`."""
    known, terms = words.index(vocabulary), []
    for sign, part in re.findall(r"(^|\s[+-]\s)\s*(.*?)(?=\s[+-]\s|$)", f"{question.strip()} "):
        found = words.split(part)
        if len(found) != 1 or part[0] in "+-":
            raise UsageError(f"{question!r} is not a word, or words with + and - between them, such as a - b + c")
        if known.get(found[0], 0) < 2:
            raise unknown("word", found[0], vocabulary[2:])
        terms.append((-1 if "-" in sign else 1, known[found[0]]))
    return terms


@functools.lru_cache(maxsize=3)  # one training asks for its split several times, and millions of words take a minute
def _whole(split: tf.data.Dataset, vocabulary: tuple[str, ...], gap: int) -> np.ndarray:
    """Return the ids of the known words of all texts in order, int32 (N,), with `gap` zeros around each text."""
    index = words.index(vocabulary)
    parts = [np.zeros(gap, np.int32)]
    for text in _texts(split):
        parts += [np.array([i for i in map(index.get, words.split(text)) if i], np.int32), parts[0]]
    return np.concatenate(parts)


def _texts(split: tf.data.Dataset) -> Iterator[bytes]:
    return (text for batch in split.batch(1024).as_numpy_iterator() for text in batch["text"])
