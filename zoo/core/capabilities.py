"""What only some tasks do, as protocols: a verb asks `isinstance(task, Generates)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Candidate, Phase, Prediction, Query, SplitEvaluation

if TYPE_CHECKING:
    import keras
    import numpy as np

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


# === Training ===


@runtime_checkable
class Untrained(Protocol):
    """Models that are not trained here."""

    not_trained: str  # why, in one sentence


@runtime_checkable
class Initializes(Protocol):
    """Training starts from more than random weights."""

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Set initial weights: statistics of the training split, or trained weights of a part of the model.

        Also called before a resumed run restores its state.
        """


@runtime_checkable
class Phased(Protocol):
    """Training in phases from a pretrained backbone."""

    def phases(self, recipe: Recipe, info: Info) -> tuple[Phase, ...]:
        """Return the phases in order."""


@runtime_checkable
class Streams(Protocol):
    """Recurrent models that may carry their state from one window of a text to the next."""

    def carry_state(self, model: keras.Model, recipe: Recipe, steps: int) -> None:
        """Change a compiled model that is trained for `steps` optimizer steps in all, if the settings say so."""


@runtime_checkable
class Previews(Protocol):
    """Images of the progress of a training."""

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return a function that draws uint8 (H, W, 1 or 3): the model's outputs for fixed inputs after each epoch."""


# === Evaluation and export ===


@runtime_checkable
class Reduces(Protocol):
    """Outputs of a split that do not fit into memory, such as those of every pixel."""

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return what is kept of a batch of outputs for `metrics` and `figures`, such as a confusion matrix each.

        Arrays with one row for each example, as the intervals of the metrics need; the inputs of the batch are {} for a
        quantised file.
        """


@runtime_checkable
class ScoresExamples(Protocol):
    """Metrics that are costly to compute again for a part of the examples, as their intervals need."""

    def per_example(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> Mapping[str, np.ndarray]:
        """Return numbers for each example, (N, ...) each, that `metrics` takes in place of the outputs."""


@runtime_checkable
class Classifies(Protocol):
    """The outputs are classes."""

    def probabilities(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the probabilities of the classes (N, classes), or None by the settings."""


@runtime_checkable
class Regresses(Protocol):
    """The outputs are numbers."""

    def residuals(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray | None:
        """Return the predicted minus the true number of each example (N,), or None by the settings."""


@runtime_checkable
class HasCandidates(Protocol):
    """Simpler models that can take the place of a named one; in an evaluation they are its baselines."""

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return the candidates by name, the cheapest first; none where they would not be fitted in seconds."""


@runtime_checkable
class HasLosses(Protocol):
    """Outputs that are neither the logits of one class nor numbers, by which candidates are compared."""

    def losses(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
        """Return a loss of each example (N,), lower is better, of what the task keeps of the outputs."""


@runtime_checkable
class WritesResults(Protocol):
    """Further files of an evaluation."""

    def result_files(self, evaluation: SplitEvaluation) -> Mapping[str, bytes]:
        """Return the files of an evaluation of the test split, for the run folder: {file name: content}."""


@runtime_checkable
class GivesGoldenInputs(Protocol):
    """Endpoints that generated inputs do not exercise."""

    def golden_inputs(self, samples: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return real inputs for the golden cases, of `serving_default` and others, for samples of the test split."""


@runtime_checkable
class DescribesData(Protocol):
    """What the model card says about the data at hand."""

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence about the use of a pretrained part for this data; empty if there is none."""


# === Inference ===


@runtime_checkable
class Predicts(Protocol):
    """Predictions on single inputs; the task's `accepts` says which."""

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> Mapping[str, np.ndarray]:
        """Return the model inputs of one command-line argument, without batch dimension."""

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the prediction for one command-line argument from its outputs, which have no batch dimension."""


@runtime_checkable
class Explains(Protocol):
    """Predictions that need further calls, such as an explanation or a search; used in place of `Predicts.show`."""

    def explain(self, query: Query) -> Prediction:
        """Return the prediction for one input."""


@runtime_checkable
class Generates(Protocol):
    """Samples of a generative model."""

    generates: tuple[str, ...]  # the options that `sample` takes

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Prediction:
        """Generate a sample by `call`, (endpoint, inputs) -> outputs, with those of `generates` that are given."""


@runtime_checkable
class Rows(Protocol):
    """Models that take rows of named columns."""

    def read_rows(
        self, cells: Mapping[str, Sequence[Any]], info: Info, strict: bool = False
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        """Return the inputs for the rows of a table, cells by the file's column names, and sentences about unknowns.

        With `strict`, DataError for a cell that is not of the kind of its column, and a misspelled column.
        """

    def encode_rows(self, inputs: Mapping[str, np.ndarray], info: Info) -> dict[str, np.ndarray]:
        """Return inputs with ids in place of categories, for formats without strings."""


def reduction(task: BaseTask) -> Callable[[SplitEvaluation], SplitEvaluation]:
    """Return what a task keeps of a batch of outputs: everything unless it `Reduces`."""
    return task.reduce if isinstance(task, Reduces) else lambda batch: batch
