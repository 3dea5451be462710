"""What makes one kind of problem different from another: what every task does, and what a task may also be able to do.

A verb that needs what is not there says so in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

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
    """What a model said about a split, in memory, for metrics and figures.

    Attributes:
        inputs: Input name -> array (N, ...).
        outputs: Output name -> array (N, ...).
        truth: Array (N, ...), or None where there is none.
        info: Of the dataset.
        metrics: Once computed.
        split: Its name.
        found: What the task's `study` found, by name, for its figures.
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    truth: np.ndarray | None
    info: Info
    metrics: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"
    found: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
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


class Task(Protocol):
    """What makes one kind of problem different from another; `train`, `evaluate` and `export` know nothing of it."""

    title: str

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the JSON-able builder arguments that the data decides."""

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return the feed of (x, y[, weight]) for feature dicts; x is a tensor, or a dict by input name.

        `arguments` are all of the builder's, defaults included: noise, for one, has the model's size.
        """

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile for `steps` optimizer steps in all."""

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return what is exported, by the suffix of its bundle; usually `{"": model}`."""

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return the contract of one served model."""

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Judge outputs of any runtime; the first value is the headline."""

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield (file name without ending, figure)."""


def first_metrics(metrics: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Yield the scalar metrics in order, headline first."""
    return ((k, v) for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool))


@runtime_checkable
class Studies(Protocol):
    """A task that judges by more than outputs and truth: baselines of the training split, probes, other endpoints."""

    def study(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Return the evaluation with more metrics and with what was `found`; `feed` gives the feed of a split.

        Where several models are served, the endpoints of the contract are called as these are.

        A metric that is a mapping of mappings is shown as a table: {row: {column: number}}.
        """


@runtime_checkable
class Predicts(Protocol):
    """A task whose models answer questions about one input."""

    accepts: str  # what an argument is: "images" (files or folders of them), "texts"

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> Mapping[str, np.ndarray]:
        """Return the inputs of one question, without batch dimension."""

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Shown:
        """Return the answer; outputs come without batch dimension."""


@runtime_checkable
class Explains(Protocol):
    """A task whose answer takes more than one call: the reasons of it, or a search. `predict` then shows what it says.

    It has `accepts` and `parse` too, as of `Predicts`.
    """

    def explain(
        self,
        question: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        info: Info,
        top_k: int,
    ) -> Shown:
        """Return the answer.

        Args:
            question: What was asked.
            inputs: What `parse` made of it.
            outputs: What `serving_default` said, without batch dimension.
            call: (endpoint, inputs with batch dimension) -> outputs.
            info: Of the data.
            top_k: How many answers, where answers are ranked.
        """


@runtime_checkable
class Phased(Protocol):
    """A task whose models are trained in phases, from a pretrained backbone: see `zoo.training.transfer`."""

    def phases(self, recipe: Recipe, info: Info) -> tuple[Any, ...]:
        """Return the phases, in order."""

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence: how the backbone is used for this data, why, and how to have it otherwise."""


@runtime_checkable
class Samples(Protocol):
    """A task whose models make something new."""

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Shown:
        """Make something with `call(endpoint, inputs)`, in whatever runtime `call` runs."""


@runtime_checkable
class Prepares(Protocol):
    """A task that learns something of its own from the training split before a model is built, such as a vocabulary."""

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with what was learned in its `info`."""


@runtime_checkable
class Begins(Protocol):
    """A task that gives a fresh model what can be counted in the training split before the first step."""

    def begin(self, model: keras.Model, dataset: Dataset) -> None:
        """Set weights of the model. It is called again before a resumed run takes up its state."""


@runtime_checkable
class Ships(Protocol):
    """A task whose bundles hold more than artifacts, such as a vocabulary."""

    def assets(self, info: Info) -> Mapping[str, bytes]:
        """Return {file name: content}."""


@runtime_checkable
class Tokenises(Protocol):
    """A task whose artifacts take token ids where a person has a text."""

    def tokeniser(self, info: Info) -> str:
        """Return ten lines of Python or so for the card: `tokens(UTF-8 bytes) -> int32 ids` by vocabulary.json."""


@runtime_checkable
class Encodes(Protocol):
    """A task whose TFLite file takes ids where a SavedModel takes strings."""

    def encoder(self, info: Info) -> str:
        """Return lines of Python for the card: `encoded(row)` by manifest.json; empty where no column is a string."""


@runtime_checkable
class Watches(Protocol):
    """A task whose training is judged by more than its loss: by looking, and by the validation quantity `monitor`."""

    monitor: str  # as the logs of an epoch call it; less is better

    def watch(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return what draws uint8 (H, W, 1 or 3): the same questions, answered by the model as it is at that moment."""
