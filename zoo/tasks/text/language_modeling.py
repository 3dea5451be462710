"""Language modelling: next-token prediction, optionally with stateful truncated backpropagation through time.

Reference: Williams, Peng 1990, doi:10.1162/neco.1990.2.4.490.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

import pipelines
from pipelines import stateless_random
from pipelines.text import words_and_characters
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Prediction, SplitEvaluation
from zoo.tasks.text import decoding, recurrent, tokenizer_snippets
from zoobase.errors import UsageError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

LEVELS = ("characters", "words")
OFFSET_STREAM = 0x3B1  # id of the random stream of the first window of an epoch
IGNORED = -1  # target of a context token, which is not evaluated


@dataclass(frozen=True)
class LanguageModeling(BaseTask):
    """Next-token prediction over windows of a text; the model returns logits at every position.

    Its layers are a stack, some of them with states, of which `zoo.tasks.text.recurrent` makes the step form.
    """

    window: int = 128  # tokens per training example
    served_window: int = 0  # tokens per example of validation and test and of the served model; 0 is `window`
    # overlap of the examples of validation and test: the first tokens of an example are context and are not evaluated,
    # because they were evaluated at the end of the previous example
    warm_up: int = 64
    # stateful truncated backpropagation through time: a batch starts with the final states of the last one
    carry: bool = False
    level: str = "characters"  # "characters", or "words": a tokenizer of frequent words, with characters for the others
    tokens: int = 2000  # size of the vocabulary of the word tokenizer

    title = "language modelling"
    required_features = ("text",)
    generates = ("prompt", "length", "temperature", "top_p")
    sequential = True

    def __post_init__(self) -> None:
        """Raise UsageError for invalid settings."""
        if self.level not in LEVELS:
            raise unknown("task.level", self.level, LEVELS)
        if not 0 <= self.warm_up < self.length:
            name = "task.served_window" if self.served_window else "task.window"
            raise UsageError(f"task.warm_up={self.warm_up} must be below {name}={self.length}, and not negative")

    @property
    def length(self) -> int:
        """Tokens per example of validation and test, and of the served model."""
        return self.served_window or self.window

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with a vocabulary of this level."""
        if self.level == "characters":
            return dataset
        vocabulary = words_and_characters.vocabulary(_texts(dataset.train), self.tokens)
        return dataclasses.replace(dataset, info=dataclasses.replace(dataset.info, vocabulary=vocabulary))

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary."""
        return {"vocabulary_size": len(info.vocabulary)}

    def encode(self, text: str, info: Info) -> np.ndarray:
        """Return the ids of a text, int32."""
        return (pipelines.text if self.level == "characters" else words_and_characters).encode(text, info.vocabulary)

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (tokens int32 (window,), the next token at each position int32 (window,))."""
        # For training, the windows of each epoch start at another offset, which seed and epoch determine; after the
        # last token the first follows. For evaluation, windows overlap by `warm_up`, and tokens that were evaluated
        # before have the target -1.
        ids = np.concatenate([self.encode(text, info) for text in _texts(split)])
        if training:
            starts = np.arange(len(ids), dtype=np.int32)
            of_pairs = (
                pipelines.text.streams(starts, self.window, recipe.batch_size)
                if self.carry
                else pipelines.text.windows(starts, self.window)
            )
            first = of_pairs.map(lambda x, y: x[0])
            return pipelines.feed(first, augment=_windows_at(ids, self.window), ordered=self.carry)
        pairs = pipelines.text.windows(ids, self.length, self.length - self.warm_up)
        evaluated = np.arange(self.length) >= self.warm_up

        def mask_context(i: tf.Tensor, pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return pair[0], tf.where(tf.logical_or(tf.equal(i, 0), evaluated), pair[1], IGNORED)

        return pipelines.feed(pairs.enumerate(), decode=mask_context)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return cross-entropy on logits, in nats per token."""
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)}

    def carry_state(self, model: keras.Model, recipe: Recipe, steps: int) -> None:
        """Carry the recurrent state from window to window if the settings say so."""
        if self.carry:
            recurrent.enable_stateful_training(model, max(1, steps // recipe.epochs))

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (tokens -> logits), `step` (token, state... -> logits, next_state...) and `text`."""
        # `text` (strings -> logits) takes the first `length` characters; shorter texts are padded with U+FFFD.
        from export.contract import Contract, Tensor
        from export.contract.endpoints import step_endpoint, tensor_endpoint, text_endpoint

        size = len(info.vocabulary)
        tokens = Tensor("tokens", "int32", (None, self.length), "token", low=0, high=size - 1)
        whole = tensor_endpoint(served, [tokens], [Tensor("logits", "float32", (None, self.length, size), "logits")])
        shapes = recurrent.state_shapes(served)

        def call(token: Any, *states: Any) -> list[Any]:
            logits, next_states = recurrent.advance(served, token, states)
            return [logits, *next_states]

        one = step_endpoint(
            call,
            Tensor("token", "int32", (1,), "token", low=0, high=size - 1),
            [Tensor(name, "float32", (1, *shape), "state") for name, shape in shapes.items()],
            Tensor("logits", "float32", (1, size), "logits"),
        )
        if self.level != "characters":  # the word tokenizer has no graph implementation
            return Contract((whole, one))
        unknown_id = info.vocabulary.index(pipelines.text.UNKNOWN)

        def encode(texts: tf.Tensor) -> tf.Tensor:
            ids = pipelines.text.encode_tensor(texts, info.vocabulary)
            return ids.to_tensor(unknown_id, shape=(None, self.length))

        return Contract((whole, one, text_endpoint(whole, encode)))

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return the cross-entropy in bits of each target, float32 (N, L), and whether it leads."""
        # Tokens that were evaluated before have those of the next input, if inputs are given.
        targets = batch.truth.copy()
        if batch.inputs:  # every target but the last is the next input
            targets[:, :-1] = batch.inputs["tokens"][:, 1:]
        targets = np.where(batch.truth == IGNORED, targets, batch.truth)
        logits = batch.outputs["logits"]
        outputs = {"bits": _bits(logits, targets).astype(np.float32), "correct": logits.argmax(-1) == targets}
        return dataclasses.replace(batch, inputs={}, outputs=outputs)

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return bits per character, and perplexity and accuracy per token, of what `reduce` keeps."""
        mask = truth != IGNORED
        bits = outputs["bits"][mask].astype(np.float64)
        lengths = np.array([len(token) for token in info.vocabulary])[truth[mask]]
        metrics = {"bits_per_character": float(bits.sum() / lengths.sum()), "perplexity": float(2 ** bits.mean())}
        return metrics | ({"accuracy": float(outputs["correct"][mask].mean())} if "correct" in outputs else {})

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with n-gram models, without and with those of the text before, and with xz."""
        # The metric `adaptive_bits_per_character` is that of a mixture of this model with both, as a reader would be
        # who learns from the text that he reads; its weights are fitted on validation.
        from zoo.evaluation import outputs as inference
        from zoo.evaluation import text_baselines

        train, validation, test = ("".join(_texts(dataset[n])) for n in ("train", "validation", evaluation.split))
        vocabulary = pipelines.text.vocabulary([train])
        counted = train[-text_baselines.SHORT_TEXTS :]
        ids = [pipelines.text.encode(text, vocabulary) for text in (counted, validation, test)]
        order, *ngrams = text_baselines.best_ngram(*ids, len(vocabulary))
        known = [np.column_stack([p, text_baselines.cache(i, p)]) for i, p in zip(ids[1:], ngrams, strict=True)]
        adaptive = known[1] @ text_baselines.mixture_weights(known[0])
        of_part = f", of the last {len(counted):,} characters" if len(counted) < len(train) else ""
        name = f"{order}-gram model (modified Kneser-Ney){of_part}"
        bits = {name: -np.log2(ngrams[1]), f"{name} and the text before": -np.log2(adaptive)}
        compared = {
            "xz": text_baselines.xz_bits(b"", test.encode(), len(test)),
            "xz after the training text": text_baselines.xz_bits(train.encode(), test.encode(), len(test)),
        }
        baselines, extra, mask = {}, {}, evaluation.truth != IGNORED
        if self.level == "characters":  # the targets are the characters of the text after the first, in order
            for row, values in bits.items():
                baselines[row] = {"bits": np.zeros(mask.shape)}
                baselines[row]["bits"][mask] = values[1 : 1 + mask.sum()]
            own = inference.collect(contract["serving_default"], feed("validation"), dataset.info, self.reduce)
            beside = [_beside(part, rest) for part, rest in ((own, known[0]), (evaluation, known[1]))]
            mixed = beside[1] @ text_baselines.mixture_weights(beside[0])
            extra = {"adaptive_bits_per_character": float(-np.log2(mixed).mean())}
        else:
            own_bits = evaluation.metrics["bits_per_character"]
            compared = {"this model": own_bits} | {row: values.mean() for row, values in bits.items()} | compared
        table = {method: {"bits_per_character": float(value)} for method, value in compared.items()}
        metrics = {**evaluation.metrics, **extra, "compared": table}
        return dataclasses.replace(evaluation, metrics=metrics, baselines=baselines)

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the token id."""
        unknown = info.vocabulary.index(pipelines.text.UNKNOWN)
        rules = tokenizer_snippets.rules_of_characters(unknown, with_words=self.level != "characters")
        return tokenizer_snippets.assets(info, rules)

    def code_snippets(self, info: Info) -> dict[str, str]:
        """Return Python that does what `encode` does; shorter texts are padded with the unknown character."""
        characters = self.level == "characters"
        snippet = tokenizer_snippets.characters if characters else tokenizer_snippets.words_and_characters
        return {"Token ids of a text": snippet(self.length, info.vocabulary.index(pipelines.text.UNKNOWN))}

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the cross-entropy in bits by position in the window."""
        from zoo.evaluation import plots

        by_place = evaluation.outputs["bits"].mean(axis=0)
        yield "context", plots.line(by_place, "tokens read before", "bits per token", "What a longer past is worth")

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Prediction:
        """Return the prompt and its continuation, generated by the `step` endpoint."""
        # Options: prompt, length (200 tokens), temperature (1; 0 is greedy), top_p (1).
        prompt = options.get("prompt") or "\n"
        states = {t.name: np.zeros(t.shape, np.float32) for t in contract["step"].inputs if t.meaning == "state"}
        given = {name: options[name] for name in ("temperature", "top_p") if name in options}
        choose = decoding.sampler(seed, excluded=[info.vocabulary.index(pipelines.text.UNKNOWN)], **given)
        ids = decoding.generate(
            lambda inputs: call("step", inputs), states, self.encode(prompt, info), options.get("length", 200), choose
        )
        text = pipelines.text.decode(ids, info.vocabulary)
        return Prediction(lines=tuple((prompt + text).split("\n")), rows=({"prompt": prompt, "text": text},))


def _texts(split: tf.data.Dataset) -> Iterator[str]:
    return (example["text"].decode("utf-8", "replace") for example in split.as_numpy_iterator())


def _bits(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each target in bits, float64 (N, L); ignored ones count as id 0."""
    bits = np.empty(truth.shape)
    for i in range(0, len(truth), 512):
        part = logits[i : i + 512].astype(np.float64)
        part -= part.max(axis=-1, keepdims=True)
        part -= np.log(np.exp(part).sum(axis=-1, keepdims=True))
        targets = np.maximum(truth[i : i + 512], 0)[..., None].astype(np.int64)
        bits[i : i + 512] = -np.take_along_axis(part, targets, axis=-1)[..., 0] / np.log(2)
    return bits


def _beside(part: SplitEvaluation, probabilities: np.ndarray) -> np.ndarray:
    """Return the probabilities of the targets by a model, beside those of the characters of the text by others."""
    own = 2.0 ** -part.outputs["bits"][part.truth != IGNORED].astype(np.float64)
    return np.column_stack([own, probabilities[1 : 1 + len(own)]])


def _windows_at(ids: np.ndarray, window: int) -> Callable[[Any, Any], Any]:
    """Return the augmentation (first positions (B,), keys (B, 3)) -> (tokens, next tokens), (B, window) each."""
    tokens = tf.constant(ids, tf.int32)

    def cut(first: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_epoch = keys * [1, 1, 0]  # the same for all examples of an epoch
        offset = stateless_random.integers(of_epoch, OFFSET_STREAM, 1, 0, window - 1)
        positions = (first[:, None] + tf.cast(offset, tf.int32) + tf.range(window + 1)) % len(ids)
        rows = tf.gather(tokens, positions)
        return rows[:, :-1], rows[:, 1:]

    return cut
