"""Training settings as data: the fields of a recipe, validated when it is created."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoobase.errors import UsageError, short, unknown


def _positive(value: float) -> bool:
    return value > 0


def _fraction(value: float) -> bool:
    return 0 <= value < 1


def _not_negative(value: float) -> bool:
    return value >= 0


_CHOICES = {
    "optimizer": (
        *("adam", "adamw", "muon", "sgd", "rmsprop", "adagrad"),
        *("adadelta", "adafactor", "adamax", "ftrl", "lamb", "lion", "nadam"),
    ),
    "schedule": ("constant", "step", "exponential", "linear", "cosine", "one_cycle"),
}
OF_TASKS = frozenset({"augment", "label_smoothing", "whiten"})  # fields that not every task uses
WITHOUT_MOMENTUM = ("adadelta", "adafactor", "adagrad", "ftrl")
_RANGES = {
    "epochs": (lambda v: 0 < v < 2**31, "a positive whole number below 2**31"),
    "batch_size": (lambda v: 0 < v < 2**31, "a positive whole number below 2**31"),
    "learning_rate": (_positive, "a positive number"),
    "momentum": (_fraction, "in [0, 1)"),
    "warmup": (_fraction, "a fraction of the steps, in [0, 1)"),
    "decay": (lambda v: 0 < v <= 1, "in (0, 1]"),
    "decay_epochs": (_positive, "a positive number of epochs"),
    "weight_decay": (_not_negative, "zero or more"),
    "dropout": (
        lambda v: v is None or (isinstance(v, int | float) and 0 <= v < 1),
        "in [0, 1), or null for the builder's default",
    ),
    "l1": (_not_negative, "zero or more"),
    "l2": (_not_negative, "zero or more"),
    "clip_norm": (_not_negative, "zero (off) or more"),
    "label_smoothing": (_fraction, "in [0, 1)"),
    "ema": (_fraction, "zero (off) or a momentum in (0, 1)"),
    "patience": (_not_negative, "zero (off) or a number of epochs"),
    "limit": (_not_negative, "zero (all) or a number of examples"),
    "restarts": (lambda v: 0 < v <= 1000, "a whole number from 1 to 1000"),
    "minutes": (_not_negative, "zero (off) or a number of minutes"),
}


@dataclass(frozen=True)
class Recipe:
    """Training settings. Every field can be set by `--set recipe.FIELD=VALUE`.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples per step.
        learning_rate: Peak of the schedule.
        optimizer: The name of one in `keras.optimizers`, in lower case; muon (Jordan 2024) also updates convolutions.
        momentum: Momentum of sgd (Nesterov) and rmsprop; beta1 of adam and its variants, and of what muon updates by
            adam.
        schedule: constant, step, exponential, linear (constant for the first half, then to zero; Isola 2017), cosine or
            one_cycle (Smith 2018, arXiv:1803.09820).
        warmup: Fraction of all steps over which the learning rate rises linearly from zero.
        decay: Factor of the step and exponential schedules.
        decay_epochs: Epochs between two applications of `decay`.
        weight_decay: Decoupled weight decay (Loshchilov, Hutter 2019, arXiv:1711.05101) of kernels and embeddings.
        dropout: The builder argument `dropout`, for builders that have it; None is the builder's default.
        l1: L1 penalty on kernels, added to the loss.
        l2: L2 penalty on kernels, added to the loss.
        clip_norm: Maximum global norm of the gradient; 0 is off.
        label_smoothing: Label smoothing (Szegedy 2016, arXiv:1512.00567).
        ema: Momentum of the exponential moving average of the weights, which is validated and saved; 0 is off. Of an
            adversarial model, that of the generators.
        whiten: Whether the first convolution starts from principal components of patches of training images (Jordan
            2024, arXiv:2404.00498).
        patience: Early stopping: epochs without a better validation loss; 0 is off.
        augment: A policy of `pipelines.augment`, or "none".
        split: "official", or percentages of the training set such as "60/20/20".
        limit: Largest number of examples a split, a fixed random choice with every class; 0 is all.
        restarts: Number of trainings with different seeds; the best by validation loss is kept.
        candidates: Builder arguments of several architectures to train; the best by validation loss is kept.
        minutes: Time budget of one training, validation included: `epochs` is lowered according to the measured speed,
            the last epoch ends with the budget, and the schedule with it; 0 is off.
        model: Builder arguments of the recipe; those of the user take precedence.
        data: Name of the dataset, if it is another than the model's default; `--set data=NAME` takes precedence.
        task: Settings of the task; those of the user take precedence.
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
    dropout: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    whiten: bool = False
    patience: int = 0
    augment: str = "none"
    split: str = "official"
    limit: int = 0
    restarts: int = 1
    candidates: tuple[Mapping[str, Any], ...] = ()
    minutes: float = 0.0
    model: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    task: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return the builder arguments of the recipe for every architecture."""
        return {**self.model, **({} if self.dropout is None else {"dropout": self.dropout})}

    def unused(self) -> dict[str, str]:
        """Return the fields that have no effect, with the setting that is the reason."""
        reasons = {}
        if self.schedule not in ("step", "exponential"):
            reasons |= dict.fromkeys(("decay", "decay_epochs"), f"recipe.schedule={self.schedule}")
        if self.optimizer in WITHOUT_MOMENTUM:
            reasons["momentum"] = f"recipe.optimizer={self.optimizer}"
        return reasons

    def __post_init__(self) -> None:
        """Raise UsageError for an invalid value."""
        for name, (is_valid, requirement) in _RANGES.items():
            value = getattr(self, name)
            if not is_valid(value) or (value is not None and not math.isfinite(value)):
                raise UsageError(f"recipe.{name}={short(value)} is not valid: it must be {requirement}")
        if not all(isinstance(candidate, Mapping) for candidate in self.candidates):
            raise UsageError('recipe.candidates is a list of builder arguments, such as [{"dropout": 0.1}, {}]')
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(f"recipe.{name}", str(getattr(self, name)), choices)
        for name in ("candidates", "model", "task"):  # the same value from code, a command line or a config.json
            object.__setattr__(self, name, lists_to_tuples(getattr(self, name)))


def lists_to_tuples(value: Any) -> Any:
    """Return `value` with every list replaced by a tuple, so that a recipe equals the one read back from JSON."""
    if isinstance(value, Mapping):
        return {key: lists_to_tuples(inner) for key, inner in value.items()}
    return tuple(map(lists_to_tuples, value)) if isinstance(value, list | tuple) else value


def override(target: Any, values: Mapping[str, Any], kind: str) -> Any:
    """Return the dataclass `target` with `values` set, each converted to the type of the field it replaces.

    Raises:
        UsageError: An unknown field (with the closest matches), or a value of the wrong type.
    """
    fields = {f.name for f in dataclasses.fields(target)}
    for name in values:
        if name not in fields:
            raise unknown(f"{kind} field", name, fields)
    converted = {n: convert(v, getattr(target, n), f"{kind}.{n}") for n, v in values.items()}
    return dataclasses.replace(target, **converted)


def convert(value: Any, like: Any, name: str) -> Any:
    """Return `value`, which may be a string from the command line, as the type of `like`.

    Raises:
        UsageError: It cannot be converted to that type.
    """
    if isinstance(value, str) and not isinstance(like, str):
        try:
            value = json.loads(value.lower() if value in ("True", "False", "None") else value)
        except (ValueError, RecursionError):
            if like is not None:
                raise _wrong_type(name, value, like) from None
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
        value = lists_to_tuples(value) if fits else value
    else:
        fits = isinstance(value, type(like))
    if not fits:
        raise _wrong_type(name, value, like)
    return value


def _wrong_type(name: str, value: Any, like: Any) -> UsageError:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a list", str: "a string"}
    kind = kinds.get(type(like), f"a {type(like).__name__}")
    return UsageError(f"{name}={short(value)} is not {kind}, such as {json.dumps(like)}")
