"""Sequence to sequence: translation of one text to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from export.contract import Contract, Endpoint
from pipelines.sources import storage
from pipelines.text import sequences
from pipelines.text.sequences import END, LEVELS, PADDING, SPECIAL, START, Tokenizer
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Prediction, Query, SplitEvaluation
from zoo.tasks.text import decoding, lengths, tokenizer_snippets
from zoo.tasks.text.translation_endpoints import endpoints
from zoobase.errors import MissingError, UsageError, unknown

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

SHOWN = 4  # attention maps in a figure


@dataclass(frozen=True)
class Translation(BaseTask):
    """Sequence to sequence; the model has `encode`, `step` and `greedy`, and returns logits under teacher forcing."""

    level: str = "characters"  # what a token is: "characters", "words", or "symbols" that spaces separate
    target_level: str = ""  # the same for the target; "" is `level`, with one vocabulary of source and target
    lowercase: bool = False  # whether A to Z of the source become lower case; words always do
    tokens: int = 8000  # size of the joint vocabulary of words of source and target
    most: int = 64  # largest number of tokens of a text; longer ones are truncated
    beam: int = 4  # beam width; 1 is greedy decoding
    searched: int = 200  # number of test examples on which beam search is evaluated
    length_penalty: float = 0.6  # exponent of the length normalisation of beam search

    title = "sequence to sequence"
    supports = frozenset({"label_smoothing"})
    required_features = ("source", "target")
    accepts = "texts"

    def __post_init__(self) -> None:
        """Raise UsageError for invalid settings."""
        for name, level in (("level", self.level), ("target_level", self.target_level or self.level)):
            if level not in LEVELS:
                raise unknown(f"task.{name}", level, LEVELS)
        if self.beam < 1 or self.most < 2:
            raise UsageError(f"task.beam={self.beam} must be at least 1, and task.most={self.most} at least 2")

    @property
    def monitor(self) -> str:
        """The sequence error rate, because cross-entropy rises where longer training still writes better."""
        # The cross-entropy for sentences of words, of which few or none are right as a whole.
        return "val_loss" if self._writes_words else "val_sequence_error_rate"

    @property
    def _writes_words(self) -> bool:
        return (self.target_level or self.level) == "words"

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the vocabulary and the lengths of its training pairs."""
        pairs = [(_text(e["source"]), _text(e["target"])) for e in dataset.train.as_numpy_iterator()]
        sources, targets = zip(*pairs, strict=True)
        statistics = dict(dataset.info.statistics)
        if self._one_vocabulary:
            vocabulary = sequences.vocabulary((*sources, *targets), self.level, self.tokens)
        else:
            vocabulary = sequences.vocabulary(sources, self.level, self.tokens)
            statistics["source_tokens"] = len(vocabulary)  # those of the target follow
            vocabulary += sequences.vocabulary(targets, self.target_level, self.tokens)[len(SPECIAL) :]
        info = dataclasses.replace(dataset.info, vocabulary=vocabulary, statistics=statistics)
        source, target = (
            min(self.most, max(len(tokenizer.split(text)) for text in texts))
            for tokenizer, texts in zip(self._tokenizers(info), (sources, targets), strict=True)
        )
        statistics |= {"source_length": max(source, 1), "target_length": target + 1}  # with the end token
        counts = [
            max(len(tokenizer.split(text)) for tokenizer, text in zip(self._tokenizers(info), pair, strict=True))
            for pair in pairs
        ]
        statistics |= lengths.statistics(counts, self.most, self.most, self.most)
        storage.log.info("%s", lengths.describe(statistics, "tokens", "task.most"))
        return dataclasses.replace(dataset, info=dataclasses.replace(info, statistics=statistics))

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence about the texts that are cut."""
        return lengths.describe(info.statistics, "tokens", "task.most") if "cut" in info.statistics else ""

    @property
    def _one_vocabulary(self) -> bool:
        return self.target_level in ("", self.level)

    def _tokenizers(self, info: Info) -> tuple[Tokenizer, Tokenizer]:
        """Return the tokenizers of sources and of targets."""
        if self._one_vocabulary:
            target = Tokenizer(info.vocabulary, self.level)
            return dataclasses.replace(target, lowercase=self.lowercase), target
        count = info.statistics["source_tokens"]
        source = Tokenizer(info.vocabulary, self.level, count=count - len(SPECIAL), lowercase=self.lowercase)
        return source, Tokenizer(info.vocabulary, self.target_level, first=count)

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary."""
        return {"vocabulary_size": len(info.vocabulary)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({"source": int32 (S,), "target": int32 (T,), shifted by one}, target int32 (T,) with end token)."""
        import tensorflow as tf

        source_length, target_length = _lengths(info)
        reader, writer = self._tokenizers(info)

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            target = sequences.with_end_token(writer.encode_tensor(example["target"][None], target_length - 1)[0])
            shifted = tf.concat([[START], target[:-1]], axis=0)
            source = reader.encode_tensor(example["source"][None], source_length)
            return {"source": source[0], "target": shifted}, target

        return pipelines.feed(
            split,
            decode=decode,
            augment=_without_common_padding if training else None,
            length=_total_length if training else None,
        )

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return cross-entropy on logits, in nats per token without padding, and the error rate of sequences."""
        from zoo.modeling.losses import SparseCategoricalCrossentropy
        from zoo.modeling.metrics import SequenceErrorRate

        loss = SparseCategoricalCrossentropy(recipe.label_smoothing, ignore_class=PADDING)
        return {"loss": loss, "metrics": [SequenceErrorRate()]}

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Set the bias of the logits to the logarithm of the frequency of each word of the training targets."""
        # Otherwise the first steps, which learn little but these frequencies, saturate the hidden units.
        if not self._writes_words:
            return
        writer = self._tokenizers(dataset.info)[1]
        counts = np.full(len(dataset.info.vocabulary), 0.1)
        for example in dataset.train.as_numpy_iterator():
            np.add.at(counts, [*writer.encode(_text(example["target"])), END], 1)
        model.logits.bias.assign(np.log(counts / counts.sum()))

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (teacher forcing), `greedy` (ids -> ids), `text` (strings), `encode` and `step`."""
        # `greedy` decodes in one call; `encode` and `step` are for custom decoding such as beam search.
        return endpoints(served, info, *self._tokenizers(info), *_lengths(info))

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return the most probable token of each position (N, T): the logits of a vocabulary of words are large."""
        return dataclasses.replace(batch, outputs={"predicted": batch.outputs["logits"].argmax(-1).astype(np.int32)})

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the accuracy of tokens under teacher forcing, of what `reduce` keeps."""
        # And the scores of greedy decoding, if the outputs have what `evaluate_extra` adds.
        from zoo.evaluation import sequence_metrics

        metrics: dict[str, Any] = {}
        if "reference" in outputs:
            metrics |= sequence_metrics.sentence_scores(outputs["text"], outputs["reference"])
        if "exact" in outputs:
            error_rate = np.nansum(outputs["errors"]) / max(1, np.nansum(outputs["tokens"]))
            metrics |= {"exact": float(np.nanmean(outputs["exact"])), "token_error_rate": float(error_rate)}
        return metrics | {"token_accuracy": float((outputs["predicted"] == truth)[truth != PADDING].mean())}

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add the exact match and the token error rate of greedy decoding, and the exact match of beam search."""
        # Translations into words are also scored by BLEU and chrF, if sacrebleu is installed: against the words of the
        # target as the tokenizer splits them, also those that are not in the vocabulary.
        from zoo.evaluation import outputs as inference
        from zoo.evaluation import sequence_metrics

        info, examples = dataset.info, feed(evaluation.split)
        greedy = inference.collect(contract["greedy"], examples, info).outputs
        reader, writer = self._tokenizers(info)
        sources = [reader.decode(row) for row in evaluation.inputs["source"]]
        predictions, targets = ([writer.decode(row) for row in rows] for rows in (greedy["tokens"], evaluation.truth))
        errors, tokens = sequence_metrics.token_errors(
            sources, *([writer.split(text) for text in texts] for texts in (predictions, targets))
        )
        outputs = {"exact": sequence_metrics.exact_matches(sources, predictions, targets)}
        outputs |= {"errors": errors, "tokens": tokens, "text": np.array(predictions, object), **evaluation.outputs}
        remarks, extra = [], {}
        if self._writes_words:
            words, examples = Tokenizer((), "words"), dataset[evaluation.split].as_numpy_iterator()
            outputs["reference"] = np.array([" ".join(words.split(_text(e["target"]))) for e in examples], object)
            try:
                sequence_metrics.sentence_scores(predictions[:1], outputs["reference"][:1])
            except MissingError as error:
                remarks.append(str(error))
                del outputs["reference"]
        call, searched = inference.caller(contract), min(self.searched, len(targets))
        if self.beam > 1 and searched:
            best = [self._search(call, contract, row[None], info)[0] for row in evaluation.inputs["source"][:searched]]
            decoded = {"beam": [writer.decode(h.tokens) for h in best], "same_examples": predictions[:searched]}
            for suffix, texts in decoded.items():
                matches = sequence_metrics.exact_matches(sources, texts, targets)
                scores = {"exact": float(np.nanmean(matches))}
                if "reference" in outputs:
                    scores = sequence_metrics.sentence_scores(texts, outputs["reference"][:searched]) | scores
                extra |= {f"{name}_{suffix}": value for name, value in scores.items()}
        metrics = self.metrics(outputs, evaluation.truth, info) | extra
        accepted = sequence_metrics.targets_of(sources, targets)
        mistakes = [  # "said" is a key of evaluation.json
            {"source": source, "said": prediction, "target": target}
            for source, prediction, target in zip(sources, predictions, targets, strict=True)
            if prediction not in accepted[source]
        ]
        arrays = {"tokens": greedy["tokens"][:SHOWN], "attention": greedy["attention"][:SHOWN]}
        metrics |= {"mistakes": mistakes[:20]} | ({"remarks": remarks} if remarks else {})
        return dataclasses.replace(evaluation, outputs=outputs, metrics=metrics, arrays=arrays)

    def bundle_assets(self, info: Info) -> dict[str, bytes]:
        """Return the vocabulary: a JSON list whose index is the token id."""
        return tokenizer_snippets.assets(info)

    def code_snippets(self, info: Info) -> dict[str, str]:
        """Return Python that tokenizes a source as the `text` endpoint does."""
        options = {"length": _lengths(info)[0], "tokens": info.statistics.get("source_tokens")}
        if self.level == "words":
            snippet = tokenizer_snippets.whole_words(**options)
        else:
            write = tokenizer_snippets.characters if self.level == "characters" else tokenizer_snippets.symbols
            snippet = write(**options, lowercase=self.lowercase)
        return {"Token ids of a text": snippet}

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield attention maps of some examples."""
        from zoo.evaluation import plots

        names, found = evaluation.info.vocabulary, evaluation.arrays
        maps = [
            _attention_map(source, tokens, weights, names)
            for source, tokens, weights in zip(
                evaluation.inputs["source"], found["tokens"], found["attention"], strict=False
            )
        ]
        yield "attention", plots.alignments(maps, "Where the model looks (across) as it writes (down)")

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the ids of a text, and a target with only the start token."""
        source_length, target_length = _lengths(info)
        ids = self._tokenizers(info)[0].encode(argument)[:source_length]
        target = np.array([START] + [PADDING] * (target_length - 1), np.int32)
        return {"source": np.pad(ids, (0, source_length - len(ids))), "target": target}

    def explain(self, query: Query) -> Prediction:
        """Return the most probable texts by beam search, and the attention map of the first."""
        from zoo.evaluation import plots

        argument, info, top_k = query.argument, query.info, query.top_k
        source = query.inputs["source"]
        best = self._search(query.call, query.contract, source[None], info, width=max(self.beam, top_k))[:top_k]
        writer = self._tokenizers(info)[1]
        rows = tuple(
            {
                "input": argument,
                "rank": rank,
                "output": writer.decode(h.tokens),
                "probability": round(float(np.exp(h.score)), 6),
            }
            for rank, h in enumerate(best, start=1)
        )
        maps = [_attention_map(source, best[0].tokens, np.array(best[0].attention), info.vocabulary)]
        image = plots.pixels(plots.alignments(maps, argument))
        return Prediction(tuple(f"{r['probability']:7.2%}  {r['output']}" for r in rows), rows, image)

    def _search(
        self, call: Callable, contract: Contract, source: np.ndarray, info: Info, width: int | None = None
    ) -> list[Any]:
        """Return the hypotheses of a beam search for one source (1, S)."""
        encoded = call("encode", {"source": source})
        (state,) = (tensor for tensor in contract["step"].inputs if tensor.name == "state")
        return decoding.beam_search(
            lambda inputs: call("step", inputs),
            {"memory": encoded["memory"], "source": source},
            encoded.get("state", np.zeros((1, *state.shape[1:]), np.float32)),
            start=START,
            end=END,
            width=width or self.beam,
            length=_lengths(info)[1],
            penalty=self.length_penalty,
        )


def _lengths(info: Info) -> tuple[int, int]:
    return info.statistics["source_length"], info.statistics["target_length"]


def _total_length(examples: Any) -> tf.Tensor:
    """Return the number of tokens (B,) of source and target."""
    import tensorflow as tf

    inputs, target = examples
    return sum(tf.math.count_nonzero(ids, axis=1) for ids in (inputs["source"], target))


def _without_common_padding(batch: Any, keys: tf.Tensor) -> Any:
    """Return a batch without the columns in which all its sources, or all its targets, are padding."""
    import tensorflow as tf

    inputs, target = batch

    def longest(ids: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.math.count_nonzero(ids, axis=1))

    written = longest(target)
    source = inputs["source"][:, : longest(inputs["source"])]
    return {"source": source, "target": inputs["target"][:, :written]}, target[:, :written]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _attention_map(
    source: np.ndarray, tokens: Any, weights: np.ndarray, names: Any
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return attention weights (target, source) with the tokens of both, without padding."""
    inputs, outputs = [int(i) for i in source if i != PADDING], [int(i) for i in tokens if i not in (PADDING, END)]
    return weights[: len(outputs), : len(inputs)], [names[i] for i in outputs], [names[i] for i in inputs]
