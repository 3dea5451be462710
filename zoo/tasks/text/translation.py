"""One text made of another, and the endpoints of a model that makes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from export.contract import Contract, Endpoint, Tensor
from export.contract.endpoints import tensor_endpoint, text_endpoint
from pipelines.text import sequences, words
from pipelines.text.sequences import END, LEVELS, PADDING, START
from zoo.core.errors import UsageError, unknown
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Evaluation, Prediction
from zoo.tasks.text import decoding, tokenizer_snippets

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

LOGITS = 2**29  # bytes of logits that a judgement may hold; examples beyond are left out
SHOWN = 4  # attention maps in a figure
BESIDE_KERAS = ("saved_model", "tflite", "onnx")  # a Keras file holds the model's own call only


@dataclass(frozen=True)
class Translation(BaseTask):
    """Sequence to sequence; the model has `encode`, `step` and `greedy`, and returns logits under teacher forcing.

    Attributes:
        level: "characters" or "words".
        tokens: Size of the vocabulary of words, of both sides together.
        most: Tokens of a text at most; what is longer is cut.
        beam: Hypotheses of a beam search; 1 is greedy.
        searched: Held-out examples that `evaluate` tries the beam search on, too.
    """

    level: str = "characters"
    tokens: int = 8000
    most: int = 64
    beam: int = 4
    searched: int = 200

    title = "sequence to sequence"
    accepts = "texts"

    def __post_init__(self) -> None:
        """Raise UsageError for settings that no model could use."""
        if self.level not in LEVELS:
            raise unknown("task.level", self.level, LEVELS)
        if self.beam < 1 or self.most < 2:
            raise UsageError(f"task.beam={self.beam} must be 1 at least, and task.most={self.most} 2")

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the vocabulary of its training pairs, and how long they are."""
        pairs = [(_text(e["source"]), _text(e["target"])) for e in dataset.train.as_numpy_iterator()]
        vocabulary = sequences.vocabulary((text for pair in pairs for text in pair), self.level, self.tokens)
        split = len if self.level == "characters" else lambda text: len(words.split(text))
        source, target = (min(self.most, max(map(split, side))) for side in zip(*pairs, strict=True))
        statistics = {"source_length": max(source, 1), "target_length": target + 1}  # one more for the end
        info = dataclasses.replace(
            dataset.info, vocabulary=vocabulary, statistics={**dataset.info.statistics, **statistics}
        )
        return dataclasses.replace(dataset, info=info)

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary."""
        return {"vocabulary_size": len(info.vocabulary)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({"source": int32 (S,), "target": int32 (T,), one token late}, target int32 (T,) with its end)."""
        import tensorflow as tf

        source_length, target_length = _lengths(info)

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            target = sequences.encode_tensor(example["target"][None], info.vocabulary, self.level, target_length - 1)
            target = sequences.with_end_token(target[0])
            before = tf.concat([[START], target[:-1]], axis=0)
            source = sequences.encode_tensor(example["source"][None], info.vocabulary, self.level, source_length)
            return {"source": source[0], "target": before}, target

        feed = pipelines.feed(split, decode=decode)
        return feed if training else feed.take(max(1, LOGITS // (4 * target_length * len(info.vocabulary))))

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile with cross-entropy on logits, in nats per token; what follows the end does not count."""
        import keras

        from zoo.training.optimizers import make_optimizer, regularize

        if recipe.label_smoothing:
            raise UsageError("recipe.label_smoothing is not for sequences of token ids")
        regularize(model, recipe)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)
        model.compile(make_optimizer(recipe, steps), loss, jit_compile=False)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (teacher forcing), `greedy` (ids -> ids), `text` (strings), `encode` and `step`.

        `greedy` is the one to use; `encode` and `step` are what a search of one's own is made of.
        """
        return _contract(served, info, self.level, *_lengths(info))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the share of tokens that are right when those before them are told."""
        counted = truth != PADDING
        return {"token_accuracy": float((outputs["logits"].argmax(-1) == truth)[counted].mean())}

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Write without being told: the share of targets that come out exactly, greedily and by beam search."""
        from zoo.evaluation import outputs as inference

        info, examples = dataset.info, feed(evaluation.split)
        written = inference.collect(contract["greedy"], examples, info).outputs
        targets = [sequences.decode(row, info.vocabulary, self.level) for row in evaluation.truth]
        said = [sequences.decode(row, info.vocabulary, self.level) for row in written["tokens"]]
        exact = {"exact": _share(said, targets)}
        call, searched = inference.caller(contract), min(self.searched, len(targets))
        if self.beam > 1 and searched:
            best = [self._search(call, row[None], info)[0] for row in evaluation.inputs["source"][:searched]]
            found = [sequences.decode(h.tokens, info.vocabulary, self.level) for h in best]
            exact |= {"exact_beam": _share(found, targets), "exact_same_examples": _share(said[:searched], targets)}
        wrong = [
            {"source": sequences.decode(row, info.vocabulary, self.level), "said": ours, "target": theirs}
            for row, ours, theirs in zip(evaluation.inputs["source"], said, targets, strict=True)
            if ours != theirs
        ]
        found = {"tokens": written["tokens"][:SHOWN], "attention": written["attention"][:SHOWN]}
        return dataclasses.replace(
            evaluation, metrics={**exact, **evaluation.metrics, "mistakes": wrong[:20]}, arrays=found
        )

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the token id."""
        return tokenizer_snippets.assets(info)

    def tokeniser(self, info: Info) -> str:
        """Return Python that does what the `text` endpoint does to a source."""
        length = _lengths(info)[0]
        return (tokenizer_snippets.characters if self.level == "characters" else tokenizer_snippets.whole_words)(length)

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield where the model looked as it wrote."""
        from zoo.evaluation import plots

        names, found = evaluation.info.vocabulary, evaluation.arrays
        maps = [
            _map(source, tokens, looked, names)
            for source, tokens, looked in zip(
                evaluation.inputs["source"], found["tokens"], found["attention"], strict=False
            )
        ]
        yield "attention", plots.alignments(maps, "Where the model looks (across) as it writes (down)")

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the ids of a text, and a target of which only the begin is told."""
        long, short = _lengths(info)
        ids = sequences.encode(argument, info.vocabulary, self.level)[:long]
        target = np.array([START] + [PADDING] * (short - 1), np.int32)
        return {"source": np.pad(ids, (0, long - len(ids))), "target": target}

    def explain(
        self,
        question: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        info: Info,
        top_k: int,
    ) -> Prediction:
        """Return the likeliest texts by beam search, and a picture of where the model looked for the first."""
        from zoo.evaluation import plots

        source = inputs["source"]
        best = self._search(call, source[None], info, width=max(self.beam, top_k))[:top_k]
        rows = tuple(
            {
                "input": question,
                "rank": rank,
                "output": sequences.decode(h.tokens, info.vocabulary, self.level),
                "probability": round(float(np.exp(h.score)), 6),
            }
            for rank, h in enumerate(best, start=1)
        )
        drawn = [_map(source, best[0].tokens, np.array(best[0].looked), info.vocabulary)]
        image = plots.pixels(plots.alignments(drawn, question))
        return Prediction(tuple(f"{r['probability']:7.2%}  {r['output']}" for r in rows), rows, image)

    def _search(self, call: Callable, source: np.ndarray, info: Info, width: int | None = None) -> list[Any]:
        """Return the hypotheses for one source (1, S)."""
        read = call("encode", {"source": source})
        return decoding.beam_search(
            lambda inputs: call("step", inputs),
            {"memory": read["memory"], "source": source},
            read["state"],
            start=START,
            end=END,
            width=width or self.beam,
            length=_lengths(info)[1],
        )


def _lengths(info: Info) -> tuple[int, int]:
    return info.statistics["source_length"], info.statistics["target_length"]


def _share(said: list[str], targets: list[str]) -> float:
    return float(np.mean([a == b for a, b in zip(said, targets, strict=False)]))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _map(source: np.ndarray, tokens: Any, looked: np.ndarray, names: Any) -> tuple[np.ndarray, list[str], list[str]]:
    """Return shares (written, read) with the names of both, without padding."""
    read, written = [int(i) for i in source if i != PADDING], [int(i) for i in tokens if i not in (PADDING, END)]
    return looked[: len(written), : len(read)], [names[i] for i in written], [names[i] for i in read]


def _contract(served: keras.Model, info: Info, level: str, read: int, written: int) -> Contract:
    """Return the contract of a model with `encode`, `step`, `greedy` and `units`, as `zoo.models.attention` makes it.

    Args:
        served: The model.
        info: Of the data, with its vocabulary.
        level: Of `pipelines.text.sequences`.
        read: Tokens of a source.
        written: Tokens of a target.
    """
    token = {"dtype": "int32", "meaning": "token", "low": 0, "high": len(info.vocabulary) - 1}
    source, target = Tensor("source", shape=(None, read), **token), Tensor("target", shape=(None, written), **token)
    logits = Tensor("logits", "float32", (None, written, len(info.vocabulary)), "logits")
    memory = Tensor("memory", "float32", (None, read, 2 * served.units), low=-1.0, high=1.0)
    state = Tensor("state", "float32", (None, served.units), "state")
    shares = Tensor("attention", "float32", (None, written, read))

    def step(x: Mapping[str, Any]) -> dict[str, Any]:
        return _named(after, served.step(x["token"], x["state"], x["memory"], x["source"]))

    before = (Tensor("token", shape=(None,), **token), state, memory, source)
    after = (
        Tensor("logits", "float32", (None, len(info.vocabulary)), "logits"),
        dataclasses.replace(state, name="next_state"),
        Tensor("attention", "float32", (None, read)),
    )
    tokens = (Tensor("tokens", "int32", (None, written)), shares)
    greedy = Endpoint(
        "greedy", (source,), tokens, lambda x: _named(tokens, served.greedy(x["source"], written)), BESIDE_KERAS
    )
    encoded = (memory, state)
    encode = Endpoint("encode", (source,), encoded, lambda x: _named(encoded, served.encode(x["source"])), BESIDE_KERAS)
    text = text_endpoint(greedy, lambda t: sequences.encode_tensor(t, info.vocabulary, level, read))
    return Contract(
        (
            tensor_endpoint(served, [source, target], [logits], structure="dict"),
            greedy,
            _spelled(text, info, level),
            encode,
            Endpoint("step", before, after, step, BESIDE_KERAS),
        )
    )


def _named(tensors: tuple[Tensor, ...], values: Any) -> dict[str, Any]:
    return {tensor.name: value for tensor, value in zip(tensors, values, strict=True)}


def _spelled(endpoint: Endpoint, info: Info, level: str) -> Endpoint:
    """Return an endpoint that also says its tokens as text: `translation` (B,) string."""

    def call(x: Mapping[str, Any]) -> dict[str, Any]:
        outputs = endpoint.call(x)
        return {**outputs, "translation": sequences.decode_tensor(outputs["tokens"], info.vocabulary, level)}

    outputs = (*endpoint.outputs, Tensor("translation", "string", (None,)))
    return dataclasses.replace(endpoint, outputs=outputs, call=call)
