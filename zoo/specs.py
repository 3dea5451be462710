"""What the zoo knows about a model: frozen data, no code that trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zoo.errors import unknown
from zoo.recipes import Recipe

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class Card:
    """What a person should know before using a model.

    Attributes:
        paper: Reference, with arXiv number where there is one.
        licence: Of the code and of our weights.
        expect: Metric name -> the figure that `command` gives.
        command: The command that gives it.
        test_data: The data that it was measured on, where that is not the test split of the model's default dataset.
        measured_on: Machine and time of that measurement.
        notes: What it is not good for.
    """

    paper: str
    licence: str = "Apache-2.0"
    expect: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    test_data: str = ""
    measured_on: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Weights:
    """Where trained weights come from.

    Attributes:
        source: File name under `zoo/weights/files/`, or a description of the place.
        sha256: Digest of the file.
        licence: Of the weights.
        model: Builder arguments of the model that they were trained in; empty where the .json beside the file, which
            `python -m zoo.weights` writes, says them.
        fetch: Returns our weights file where it is not shipped: found, checked against `sha256` and converted once.
    """

    source: str
    sha256: str
    licence: str = "Apache-2.0"
    model: Mapping[str, Any] = field(default_factory=dict)
    fetch: Callable[[], Path] | None = None


@dataclass(frozen=True)
class Spec:
    """One entry of the zoo."""

    name: str
    data: str
    task: Task
    recipes: Mapping[str, Recipe]
    tiny: Mapping[str, Any]
    card: Card
    weights: Mapping[str, Weights] = field(default_factory=dict)

    def tiny_settings(self) -> dict[str, Any]:
        """Return what makes a training test-sized, as of `--set`; a bare name in `tiny` is a builder argument."""
        return {key if "." in key else f"model.{key}": value for key, value in self.tiny.items()}

    def recipe(self, name: str) -> Recipe:
        """Return a recipe by name; UsageError with the nearest names for any other."""
        if name not in self.recipes:
            raise unknown(f"recipe of {self.name}", name, self.recipes)
        return self.recipes[name]


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
