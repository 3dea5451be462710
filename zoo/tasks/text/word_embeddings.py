"""Word embeddings by the skip-gram objective."""

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
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Prediction, Query, SplitEvaluation
from zoo.evaluation import word_similarity
from zoo.tasks.text import tokenizer_files
from zoobase.errors import UsageError, unknown

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

WINDOW_STREAM, NEGATIVE_STREAM = 0x3A1, 0x3A2  # ids of random streams: window sizes and negative samples
CHUNK = 16  # consecutive words of a training example, which share the vectors of their neighbours
EVALUATED = 50_000  # positions of a held-out text that are evaluated
SHOWN = (
    *("king", "queen", "man", "woman", "father", "mother", "day", "night", "love", "death"),
    *("good", "bad", "money", "doctor", "car", "computer", "god", "church", "war", "film"),
)


@dataclass(frozen=True)
class WordEmbeddings(BaseTask):
    """Skip-gram over running text; the model has `similarity` and its own `train_step`."""

    tokens: int = 20_000  # largest size of the vocabulary
    least: int = 5  # smallest number of occurrences of a word of the vocabulary
    window: int = 5  # largest number of neighbours on each side; the number is sampled for each position and epoch
    sample: float = 1e-4  # threshold of the subsampling of frequent words, as a fraction of the text
    power: float = 0.75  # exponent of the word counts in the distribution of negative samples
    shown: tuple[str, ...] = SHOWN  # words whose nearest neighbours are reported by `evaluate`
    word_list_from: int = 5000  # smallest vocabulary that is evaluated on the lists of rated word pairs

    title = "word vectors"
    required_features = ("text",)
    accepts = "texts"

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the vocabulary of its training texts and the counts of its words."""
        split = [words.split(text) for text in _texts(dataset.train)]
        vocabulary, counts = words.counted((word for text in split for word in text), self.tokens, self.least)
        if len(vocabulary) < 4:
            raise UsageError(f"fewer than two words occur {self.least} times: use more text, or --set task.least=1")
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
        """Return windows of text with negative samples: of `CHUNK` words for training, of one for evaluation."""
        # For evaluation (word int32 (), [the word, a negative sample, neighbours] int32 (2 + 2 * window,)), of evenly
        # spaced positions. For training (the first word, {"ids" (window + CHUNK + window,), "radius" (CHUNK,): how many
        # neighbours each word has on each side, "negatives" (CHUNK,)}), all int32. 0 is none.
        # Words outside the vocabulary and, at random with a fixed seed, frequent words are removed before neighbours
        # are determined: once, where word2vec.c removes other words in each epoch.
        import tensorflow as tf

        from pipelines import stateless_random

        length = CHUNK if training else 1
        rows = self._windows(split, info, length)
        rows = rows if training else rows[:: -(-len(rows) // EVALUATED)]
        weights = np.array(info.statistics["word_counts"], np.float64) ** self.power
        cumulative = tf.constant(np.cumsum(weights) / weights.sum(), tf.float32)
        distance = tf.constant([abs(i) for i in range(-self.window, self.window + 1) if i], tf.int32)

        def sample(ids: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, Any]:
            radius = stateless_random.integers(keys, WINDOW_STREAM, length, 1, self.window)
            uniform = stateless_random.uniform(keys, NEGATIVE_STREAM, length)
            negatives = tf.reshape(tf.searchsorted(cumulative, tf.reshape(uniform, [-1]), side="right"), [-1, length])
            negatives = tf.minimum(negatives, len(weights) - 1)
            word = ids[:, self.window]
            if training:
                return word, {"ids": ids, "radius": radius, "negatives": negatives}
            neighbours = tf.concat([ids[:, : self.window], ids[:, self.window + 1 :]], axis=1)
            return word, tf.concat([word[:, None], negatives, tf.where(distance <= radius, neighbours, 0)], axis=1)

        return pipelines.feed(tf.data.Dataset.from_tensor_slices(rows), augment=sample)

    def _windows(self, split: tf.data.Dataset, info: Info, length: int) -> np.ndarray:
        """Return windows of `length` words of the text after subsampling: int32 (N, window + length + window)."""
        # Each word is in the middle of one window. 0 is beyond the ends of a text.
        ids = _all_ids(split, info.vocabulary, self.window)
        counts = np.maximum(info.statistics["word_counts"], 1)
        probability = np.sqrt(self.sample * counts.sum() / counts)  # Mikolov 2013, section 2.3
        probability[0] = 1.0
        ids = ids[np.random.default_rng(0).random(len(ids)) < probability[ids]]
        ids = np.pad(ids, (0, -(len(ids) - 2 * self.window) % length))
        rows = np.lib.stride_tricks.sliding_window_view(ids, 2 * self.window + length)[::length]
        return rows[(rows[:, self.window : self.window + length] > 0).any(axis=1)]

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
        )
        return Contract(
            (base, text_endpoint(base, lambda t: words.encode_tensor(t, info.vocabulary, 1)[:, 0]), similarity)
        )

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the probability that a word is more similar to a neighbour than to a negative sample."""
        return {"neighbour_auc": word_similarity.auc(outputs["vector"], truth)}

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add the nearest neighbours of selected words, and the agreement with human similarity ratings."""
        import tensorflow as tf

        info, call = dataset.info, contract["serving_default"].call
        table = word_similarity.unit(call({"word": tf.range(len(info.vocabulary))})["vector"].numpy())
        index = words.index(info.vocabulary)
        selected = [word for word in self.shown if word in index]
        nearest = {word: word_similarity.nearest(table @ table[index[word]], 10, {index[word]}) for word in selected}
        names = {w: {"nearest": ", ".join(info.vocabulary[i] for i in ids)} for w, ids in nearest.items()}
        metrics = {**evaluation.metrics, "neighbours": names}
        if len(index) >= self.word_list_from:
            metrics |= word_similarity.human_ratings(table, index)
        ids = [index[word] for word in selected]
        ids += [i for neighbours in nearest.values() for i in neighbours[:3] if i not in ids]
        arrays = {"vectors": table[ids], "ids": np.array(ids), "stated": np.array(len(selected))}
        return dataclasses.replace(evaluation, metrics=metrics, arrays=arrays)

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the id of a word."""
        return tokenizer_files.assets(info)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the stated words and their nearest in the plane in which they vary most."""
        from sklearn.decomposition import PCA

        from zoo.evaluation import plots

        if len(evaluation.arrays["ids"]) > 2:
            names = [evaluation.info.vocabulary[i] for i in evaluation.arrays["ids"]]
            points = PCA(2).fit_transform(evaluation.arrays["vectors"])
            stated = int(evaluation.arrays["stated"])
            yield (
                "words",
                plots.words(
                    points,
                    names,
                    stated,
                    "Stated words (bold) and three neighbours of each: first two components of PCA",
                ),
            )

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the id of the first word of `king` or `king - man + woman`; UsageError for an unknown word."""
        return {endpoint.inputs[0].name: np.int32(_terms(argument, info.vocabulary)[0][1])}

    def explain(self, query: Query) -> Prediction:
        """Return the words nearest to a word, or to a sum of several, without the words of the query."""
        argument, call, info = query.argument, query.call, query.info
        terms = _terms(argument, info.vocabulary)
        vectors = [call("serving_default", {"word": np.array([i], np.int32)})["vector"] for _, i in terms]
        total = sum(sign * word_similarity.unit(v) for (sign, _), v in zip(terms, vectors, strict=True))
        cosines = call("similarity", {"vector": word_similarity.unit(total)})["similarity"][0]
        best = word_similarity.nearest(cosines, query.top_k, {i for _, i in terms})
        rows = tuple(
            {"input": argument, "rank": n, "word": info.vocabulary[i], "similarity": round(float(cosines[i]), 6)}
            for n, i in enumerate(best, start=1)
        )
        return Prediction(lines=tuple(f"{r['similarity']:6.3f}  {r['word']}" for r in rows), rows=rows)


def _terms(argument: str, vocabulary: Sequence[str]) -> list[tuple[int, int]]:
    """Return (sign, id) of each word of a sum such as `king - man + woman`."""
    index, terms = words.index(vocabulary), []
    for sign, part in re.findall(r"(^|\s[+-]\s)\s*(.*?)(?=\s[+-]\s|$)", f"{argument.strip()} "):
        parts = words.split(part)
        if len(parts) != 1 or part[0] in "+-":
            raise UsageError(f"{argument!r} is not a word, or words with + and - between them, such as a - b + c")
        if index.get(parts[0], 0) < 2:
            raise unknown("word", parts[0], vocabulary[2:])
        terms.append((-1 if "-" in sign else 1, index[parts[0]]))
    return terms


@functools.lru_cache(maxsize=3)  # a training uses its split several times, and millions of words take a minute
def _all_ids(split: tf.data.Dataset, vocabulary: tuple[str, ...], gap: int) -> np.ndarray:
    """Return the ids of all texts without unknown words, int32 (N,), with `gap` zeros around each text."""
    index = words.index(vocabulary)
    parts = [np.zeros(gap, np.int32)]
    for text in _texts(split):
        parts += [np.array([i for i in map(index.get, words.split(text)) if i], np.int32), parts[0]]
    return np.concatenate(parts)


def _texts(split: tf.data.Dataset) -> Iterator[bytes]:
    return (text for batch in split.batch(1024).as_numpy_iterator() for text in batch["text"])
