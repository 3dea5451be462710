"""The base class of tasks, and what its methods take and return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.core.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class Evaluation:
    """What a model returned for a split, in memory, for metrics and figures.

    Attributes:
        inputs: Input name -> array (N, ...).
        outputs: Output name -> array (N, ...).
        truth: Array (N, ...), or None where there is none.
        info: Of the dataset.
        metrics: Once computed.
        split: Its name.
        arrays: What the task's `evaluate_extra` leaves for its `figures`, by name.
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    truth: np.ndarray | None
    info: Info
    metrics: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """An answer in the forms a person may want it: text lines, table rows, an image.

    Attributes:
        lines: Text for a terminal.
        rows: JSON-able dictionaries with the same keys, for --json and CSV.
        image: uint8 array (H, W, 1 or 3), or None.
    """

    lines: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    image: np.ndarray | None = None


@dataclass(frozen=True)
class Phase:
    """One part of a training.

    Attributes:
        name: "head" or "tune".
        recipe: How it is trained.
        frozen: Whether the backbone stays as it is, so that its features are computed once.
        statistics: Whether batch statistics move.
    """

    name: str
    recipe: Recipe
    frozen: bool
    statistics: bool = False


class BaseTask:
    """What makes one kind of problem different from another; no verb of the zoo knows more of a problem than this.

    A task fills the eight methods of the first part. The hooks of the second part do nothing by default. Tasks are
    frozen dataclasses: their fields are the settings `task.FIELD` of the command line.

    Attributes:
        title: The problem in the words of the field, such as "image classification".
        accepts: What `predict` takes: "images" (files, or folders of them) or "texts"; empty where a model answers no
            questions about one input. A task that sets it fills `parse` and `show`.
        generates: Whether models make something new, by `sample`.
        output: The name of the output, where the model has one and its layer is called otherwise; else empty.
        monitor: The validation quantity by which the best epoch is chosen, as the logs call it; less is better.
    """

    title: str
    accepts = ""
    generates = False
    output = ""
    monitor = "val_loss"

    # === What every task fills ===

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the JSON-able builder arguments that the data decides."""
        raise NotImplementedError

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return the feed of (x, y[, weight]) for feature dicts; x is a tensor, or a dict by input name.

        `arguments` are all of the builder's, defaults included: noise, for one, has the model's size.
        """
        raise NotImplementedError

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile for `steps` optimizer steps in all."""
        raise NotImplementedError

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return what is exported, by the suffix of its bundle."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return the contract of one served model."""
        raise NotImplementedError

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the metrics of outputs of any runtime; the first value is the headline."""
        raise NotImplementedError

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield (file name without ending, figure)."""
        raise NotImplementedError

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> Mapping[str, np.ndarray]:
        """Return the inputs of one question, without batch dimension."""
        raise NotImplementedError

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the answer; outputs come without batch dimension."""
        raise NotImplementedError

    # === Hooks ===

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with what is learned from its training split before a model is built in its `info`.

        Such as a vocabulary.
        """
        return dataset

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Set weights of a fresh model that can be counted in the training split.

        It is called again before a resumed run restores its state.
        """

    def phases(self, recipe: Recipe, info: Info) -> tuple[Phase, ...]:
        """Return the phases of a training from a pretrained backbone, in order (`zoo.training.transfer`); else none."""
        return ()

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray] | None:
        """Return what draws uint8 (H, W, 1 or 3) after each epoch: the same questions, answered by the model then."""
        return None

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Return the evaluation with metrics that take more than outputs and truth, and what `figures` needs of them.

        Baselines of the training split, for one, or other endpoints. Where several models are served, the endpoints of
        the contract are called as these are. A metric that is a mapping of mappings is shown as a table:
        {row: {column: number}}.

        Args:
            evaluation: With the metrics of `metrics`.
            contract: Of what was evaluated.
            dataset: The splits.
            feed: The name of a split -> its feed.
        """
        return evaluation

    def explain(
        self,
        question: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        info: Info,
        top_k: int,
    ) -> Prediction:
        """Return the answer where it takes more than one call: its reasons, or a search. By default what `show` gives.

        Args:
            question: What was asked.
            inputs: What `parse` made of it.
            outputs: What `serving_default` returned, without batch dimension.
            call: (endpoint, inputs with batch dimension) -> outputs.
            info: Of the data.
            top_k: How many answers, where answers are ranked.
        """
        return self.show(question, outputs, info, top_k)

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Prediction:
        """Generate something with `call(endpoint, inputs)`, in whatever runtime `call` runs."""
        raise NotImplementedError

    def bundle_assets(self, info: Info) -> Mapping[str, bytes]:
        """Return what a bundle holds beside artifacts, such as a vocabulary: {file name: content}."""
        return {}

    def code_snippets(self, info: Info) -> Mapping[str, str]:
        """Return Python for the model card, by heading: how a client makes the ids that artifacts take."""
        return {}

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence about how a pretrained backbone is used for this data; empty where there is none."""
        return ""


def first_metrics(metrics: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Yield the scalar metrics in order, headline first."""
    return ((k, v) for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool))
