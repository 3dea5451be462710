"""What the zoo knows about a model: frozen data, no code that trains."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from zoo.errors import UsageError, unknown

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


def _positive(value: float) -> bool:
    return value > 0


def _fraction(value: float) -> bool:
    return 0 <= value < 1


def _not_negative(value: float) -> bool:
    return value >= 0


_CHOICES = {
    "optimizer": ("adam", "adamw", "sgd", "rmsprop"),
    "schedule": ("constant", "step", "exponential", "cosine", "one_cycle"),
}
_RANGES = {
    "epochs": (_positive, "a positive whole number"),
    "batch_size": (_positive, "a positive whole number"),
    "learning_rate": (_positive, "a positive number"),
    "momentum": (_fraction, "in [0, 1)"),
    "warmup": (_fraction, "a share of the steps, in [0, 1)"),
    "decay": (lambda v: 0 < v <= 1, "in (0, 1]"),
    "decay_epochs": (_positive, "a positive number of epochs"),
    "weight_decay": (_not_negative, "zero or more"),
    "l1": (_not_negative, "zero or more"),
    "l2": (_not_negative, "zero or more"),
    "clip_norm": (_not_negative, "zero (off) or more"),
    "label_smoothing": (_fraction, "in [0, 1)"),
    "ema": (_fraction, "zero (off) or a momentum in (0, 1)"),
    "patience": (_not_negative, "zero (off) or a number of epochs"),
    "restarts": (_positive, "a positive whole number"),
    "minutes": (_not_negative, "zero (off) or a number of minutes"),
}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Data, not code; every field is reached by `--set recipe.FIELD=VALUE`.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples a step.
        learning_rate: The peak of the schedule.
        optimizer: adam, adamw, sgd or rmsprop.
        momentum: Of sgd (Nesterov) and rmsprop.
        schedule: constant, step, exponential, cosine or one_cycle (Smith 2018, arXiv:1803.09820).
        warmup: Share of all steps over which the rate climbs linearly from zero.
        decay: Factor of the step and exponential schedules.
        decay_epochs: Epochs between two applications of `decay`.
        weight_decay: Decoupled (Loshchilov, Hutter 2019, arXiv:1711.05101); kernels only.
        l1: L1 penalty on kernels, added to the loss.
        l2: L2 penalty on kernels, added to the loss.
        clip_norm: Largest global norm of the gradient; 0 is off.
        label_smoothing: Szegedy 2016, arXiv:1512.00567.
        ema: Momentum of the exponential moving average of the weights that is validated and kept; 0 is off.
        patience: Epochs without a better validation loss before training stops; 0 is off.
        augment: A policy of `pipelines.augment`, or "none".
        split: "official", or percentages of the training set such as "60/20/20".
        restarts: Trainings from different seeds, of which the best by validation loss is kept.
        minutes: Time budget: the machine's speed is measured first and `epochs` lowered to fit; 0 is off.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.0
    decay: float = 0.5
    decay_epochs: float = 1.0
    weight_decay: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    patience: int = 0
    augment: str = "none"
    split: str = "official"
    restarts: int = 1
    minutes: float = 0.0

    def __post_init__(self) -> None:
        """Raise UsageError for a value no training could use."""
        for name, (holds, words) in _RANGES.items():
            value = getattr(self, name)
            if not math.isfinite(value) or not holds(value):
                raise UsageError(f"recipe.{name}={value} is not usable: it must be {words}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(f"recipe.{name}", str(getattr(self, name)), choices)


def override(target: Any, values: Mapping[str, Any], kind: str) -> Any:
    """Return the dataclass `target` with `values` set, each converted to the type of the field it replaces.

    Raises:
        UsageError: An unknown field (with the nearest names), or a value of the wrong type.
    """
    known = {f.name for f in dataclasses.fields(target)}
    for name in values:
        if name not in known:
            raise unknown(f"{kind} field", name, known)
    converted = {n: convert(v, getattr(target, n), f"{kind}.{n}") for n, v in values.items()}
    return dataclasses.replace(target, **converted)


def convert(value: Any, like: Any, name: str) -> Any:
    """Return `value` (perhaps a string from a command line) as the type of `like`.

    Raises:
        UsageError: It cannot be read as that type.
    """
    if isinstance(value, str) and not isinstance(like, str):
        try:
            value = json.loads(value.lower() if value in ("True", "False", "None") else value)
        except ValueError:
            if like is not None:
                raise UsageError(f"{name}={value!r} is not a {type(like).__name__}") from None
    if isinstance(like, bool) or like is None:
        fits = like is None or isinstance(value, bool)
    elif isinstance(like, int):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        value = int(value) if fits else value
    elif isinstance(like, float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        value = float(value) if fits else value
    elif isinstance(like, tuple):
        fits = isinstance(value, list | tuple)
        value = tuple(value) if fits else value
    else:
        fits = isinstance(value, type(like))
    if not fits:
        raise UsageError(f"{name}={value!r} is not a {type(like).__name__}")
    return value


@dataclass(frozen=True)
class Card:
    """What a person should know before using a model.

    Attributes:
        paper: Reference, with arXiv number where there is one.
        licence: Of the code and of our weights.
        expect: Metric name -> the figure that `command` gives.
        command: The command that gives it.
        measured_on: Machine and time of that measurement.
        notes: What it is not good for.
    """

    paper: str
    licence: str = "Apache-2.0"
    expect: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    measured_on: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Weights:
    """Where trained weights come from.

    Attributes:
        source: File name under `zoo/weights/files/`, or a description of the place.
        sha256: Digest of the file.
        licence: Of the weights.
        model: Builder arguments of the model that they were trained in.
    """

    source: str
    sha256: str
    licence: str = "Apache-2.0"
    model: Mapping[str, Any] = field(default_factory=dict)


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
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    truth: np.ndarray | None
    info: Info
    metrics: Mapping[str, Any] = field(default_factory=dict)


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


@runtime_checkable
class Predicts(Protocol):
    """A task whose models answer questions about one input."""

    accepts: str  # what an argument is: "images" (files or folders of them), "texts"

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> Mapping[str, np.ndarray]:
        """Return the inputs of one question, without batch dimension."""

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Shown:
        """Return the answer; outputs come without batch dimension."""


@runtime_checkable
class Samples(Protocol):
    """A task whose models make something new."""

    def sample(self, call: Any, options: Mapping[str, Any], seed: int, info: Info) -> Shown:
        """Make something with `call[endpoint](**inputs)`, in whatever runtime `call` runs."""


def first_metrics(metrics: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Yield the scalar metrics in order, headline first."""
    return ((k, v) for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool))
