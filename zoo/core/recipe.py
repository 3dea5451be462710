"""Training settings as data: the fields of a recipe, each with its default, help and check."""

import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zoobase.errors import UsageError, short, unknown

OF_TASKS = frozenset({"augment", "label_smoothing", "whiten"})  # fields that not every task uses
OPTIMIZERS = (
    *("adam", "adamw", "muon", "sgd", "rmsprop", "adagrad"),
    *("adadelta", "adafactor", "adamax", "ftrl", "lamb", "lion", "nadam"),
)
QAT = {  # quantization-aware training: the files that it is for, as the names of `export.formats.QUANTIZATIONS`
    "none": (),
    "int8": ("int8",),
    "int8_weights": ("dynamic",),
    "int4_weights": ("int4",),
}
SCHEDULES = ("constant", "step", "exponential", "linear", "cosine", "one_cycle")
WITHOUT_MOMENTUM = ("adadelta", "adafactor", "adagrad", "ftrl")

SPARSITY = re.compile(r"(0?\.\d+)(?: block (\d+)x(\d+))?|(\d+):(\d+)")

Check = tuple[Callable[[Any], bool], str]  # whether a value is valid, and what it must be

COUNT: Check = (lambda v: 0 < v < 2**31, "a positive whole number below 2**31")
FRACTION: Check = (lambda v: 0 <= v < 1, "in [0, 1)")
NOT_NEGATIVE: Check = (lambda v: v >= 0, "zero or more")
POSITIVE: Check = (lambda v: v > 0, "a positive number")


def setting(
    default: Any, help: str, *, check: Check | None = None, choices: tuple[str, ...] = (), **metadata: Any
) -> Any:
    """Declare a setting: a field from whose default, help and check options, files and documentation are made."""
    metadata |= {"help": help, "check": check, "choices": choices}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def default_of(declared: dataclasses.Field) -> Any:
    """Return the default of a setting."""
    return {} if declared.default is dataclasses.MISSING else declared.default


def check_value(declared: dataclasses.Field, value: Any, name: str) -> None:
    """Raise UsageError if a value of a setting is not valid; `name` is that of the message."""
    if declared.metadata["choices"] and value not in declared.metadata["choices"]:
        raise unknown(name, str(value), declared.metadata["choices"])
    if declared.metadata["check"] is not None:
        is_valid, requirement = declared.metadata["check"]
        if not is_valid(value) or (isinstance(value, float) and not math.isfinite(value)):
            raise UsageError(f"{name}={short(value)} is not valid: it must be {requirement}")


def convert_fields(settings: Any) -> None:
    """Convert the values of a new dataclass of settings to the types of their defaults, and check them."""
    # A text is the value of a command line; for a tuple, its parts are separated by commas.
    for declared in dataclasses.fields(settings):
        value, default = getattr(settings, declared.name), default_of(declared)
        if default is None:
            value = None if value is None else os.fspath(value)
        else:
            value = split(value) if isinstance(default, tuple) else value
            value = convert(value, default, declared.name)
        check_value(declared, value, declared.name)
        object.__setattr__(settings, declared.name, value)


def split(value: Any) -> Any:
    """Return the parts of a text that are separated by commas; other values as they are."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def check_names(settings: type, names: Iterable[str], kind: str = "setting") -> None:
    """Raise UsageError, with the closest matches, for a name that is not one of the fields of a dataclass."""
    known = {declared.name for declared in dataclasses.fields(settings)}
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)


@dataclass(frozen=True)
class Optimization:
    """How the weights are updated, and until when."""

    epochs: int = setting(10, "Passes over the training split.", check=COUNT, option=True)
    batch_size: int = setting(128, "Examples per step.", check=COUNT, option=True)
    learning_rate: float = setting(1e-3, "Peak of the schedule.", check=POSITIVE, option=True)
    optimizer: str = setting(
        "adamw",
        "The name of one in `keras.optimizers`, in lower case; muon (Jordan 2024) also updates convolutions.",
        choices=OPTIMIZERS,
    )
    momentum: float = setting(
        0.9,
        "Momentum of sgd (Nesterov) and rmsprop; beta1 of adam and its variants, and of what muon updates by adam.",
        check=FRACTION,
    )
    schedule: str = setting(
        "cosine",
        "constant, step, exponential, linear (constant for the first half, then to zero; Isola 2017), cosine or "
        "one_cycle (Smith 2018, arXiv:1803.09820).",
        choices=SCHEDULES,
    )
    warmup: float = setting(
        0.0, "Fraction of all steps over which the learning rate rises linearly from zero.", check=FRACTION
    )
    decay: float = setting(
        0.5, "Factor of the step and exponential schedules.", check=(lambda v: 0 < v <= 1, "in (0, 1]")
    )
    decay_epochs: float = setting(1.0, "Epochs between two applications of `decay`.", check=POSITIVE)
    weight_decay: float = setting(
        0.0,
        "Decoupled weight decay (Loshchilov, Hutter 2019, arXiv:1711.05101) of kernels and embeddings.",
        check=NOT_NEGATIVE,
    )
    clip_norm: float = setting(0.0, "Maximum global norm of the gradient; 0 is off.", check=NOT_NEGATIVE)
    ema: float = setting(
        0.0,
        "Momentum of the exponential moving average of the weights, which is validated and saved; 0 is off. Of an "
        "adversarial model, that of the generators.",
        check=FRACTION,
    )
    whiten: bool = setting(
        False,
        "Whether the first convolution starts from principal components of patches of training images (Jordan 2024, "
        "arXiv:2404.00498).",
    )
    patience: int = setting(0, "Early stopping: epochs without a better validation loss; 0 is off.", check=NOT_NEGATIVE)
    minutes: float = setting(
        0.0,
        "Time budget of one training, validation included: `epochs` is lowered according to the measured speed, the "
        "last epoch ends with the budget, and the schedule with it; 0 is off.",
        check=NOT_NEGATIVE,
        option=True,
    )


@dataclass(frozen=True)
class Regularization:
    """What keeps a model from learning its training examples by heart."""

    dropout: float | None = setting(
        None,
        "The builder argument `dropout`, for builders that have it; None is the builder's default.",
        check=(
            lambda v: v is None or (isinstance(v, int | float) and 0 <= v < 1),
            "in [0, 1), or null for the builder's default",
        ),
    )
    l1: float = setting(0.0, "L1 penalty on kernels, added to the loss.", check=NOT_NEGATIVE)
    l2: float = setting(0.0, "L2 penalty on kernels, added to the loss.", check=NOT_NEGATIVE)
    label_smoothing: float = setting(0.0, "Label smoothing (Szegedy 2016, arXiv:1512.00567).", check=FRACTION)
    augment: str = setting("none", 'A policy of `pipelines.augment`, or "none".')


@dataclass(frozen=True)
class ModelCompression:
    """Training for smaller files."""

    sparsity: str = setting(
        "0",
        'Magnitude pruning: zeros in every large kernel, as a share such as "0.8"; "2:4", two of four consecutive '
        'inputs; or "0.8 block 1x16", blocks of 1 output and 16 inputs. They increase in the first half of the '
        "training (Zhu, Gupta 2017, arXiv:1710.01878). 0 is off.",
        check=(
            lambda v: v == "0" or ((match := SPARSITY.fullmatch(v)) and _is_possible(*match.groups())),
            'a share such as "0.8", "0.8 block 1x16" or "2:4"',
        ),
    )
    clusters: int = setting(
        0,
        "At most so many different weights in every large kernel, found by k-means after half of the training and then "
        "trained (Han, Mao, Dally 2016, arXiv:1510.00149); 0 is off.",
        check=(lambda v: v == 0 or 2 <= v <= 4096, "0, or a whole number from 2 to 4096"),
    )
    qat: str = setting(
        "none",
        "Quantization-aware training: int8 rounds weights and activations as the int8 file does, which is exported "
        "with the ranges of the training; int8_weights and int4_weights round the weights only.",
        choices=tuple(QAT),
        option=True,
    )
    teacher: str = setting(
        "",
        "Knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531): a run, or the name of a model with "
        "default weights, whose outputs count as much as the labels. Empty is off.",
    )


@dataclass(frozen=True)
class DataChoice:
    """Which examples are used."""

    data: str = setting(
        "", "Name of the dataset, if it is another than the model's default; `--set data=NAME` takes precedence."
    )
    split: str = setting(
        "official",
        '"official", or percentages of the training set such as "60/20/20". Of your own files, " by folder" or " by '
        'name REGEX" behind it, of texts of a table " by column NAME" or " by time COLUMN", keeps groups in one split.',
    )
    limit: int = setting(
        0,
        "Largest number of examples a split, a fixed random choice with every class; 0 is all.",
        check=NOT_NEGATIVE,
        option=True,
    )


@dataclass(frozen=True)
class ModelChoice:
    """Which models are trained, of which the best is kept."""

    model: Mapping[str, Any] = setting({}, "Builder arguments of the recipe; those of the user take precedence.")
    task: Mapping[str, Any] = setting({}, "Settings of the task; those of the user take precedence.")
    candidates: tuple[Mapping[str, Any], ...] = setting(
        (),
        "Builder arguments of several architectures to train; the best by validation loss is kept.",
        check=(
            lambda v: all(isinstance(candidate, Mapping) for candidate in v),
            'a list of builder arguments, such as [{"dropout": 0.1}, {}]',
        ),
    )
    restarts: int = setting(
        1,
        "Number of trainings with different seeds; the best by validation loss is kept.",
        check=(lambda v: 0 < v <= 1000, "a whole number from 1 to 1000"),
    )


@dataclass(frozen=True)
class Recipe(ModelChoice, DataChoice, ModelCompression, Regularization, Optimization):
    """Training settings, in groups. Every field can be set by `--set recipe.FIELD=VALUE`; a page describes them.

    Example:
        >>> Recipe(epochs=3, optimizer="sgd", momentum=0.8).epochs
        3
    """

    def arguments(self) -> dict[str, Any]:
        """Return the builder arguments of the recipe for every architecture."""
        return {**self.model, **({} if self.dropout is None else {"dropout": self.dropout})}

    def compression(self) -> list[str]:
        """Return the fields of `ModelCompression` that are set."""
        names = [declared.name for declared in dataclasses.fields(ModelCompression)]
        return [name for name in names if getattr(self, name) != getattr(ModelCompression, name)]

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
        for declared in dataclasses.fields(self):
            check_value(declared, getattr(self, declared.name), f"recipe.{declared.name}")
        for name in ("candidates", "model", "task"):  # the same value from code, a command line or a config.json
            object.__setattr__(self, name, lists_to_tuples(getattr(self, name)))


def _is_possible(share: str | None, outputs: str | None, inputs: str | None, kept: str | None, of: str | None) -> bool:
    """Return whether the parts of `SPARSITY` leave some weights and some zeros."""
    if of:
        return 0 < int(kept or 0) < int(of)
    return float(share or 0) > 0 and "0" not in (outputs, inputs)


def lists_to_tuples(value: Any) -> Any:
    """Return `value` with every list replaced by a tuple, so that a recipe equals the one read back from JSON."""
    if isinstance(value, Mapping):
        return {key: lists_to_tuples(inner) for key, inner in value.items()}
    return tuple(map(lists_to_tuples, value)) if isinstance(value, list | tuple) else value


def override(target: Any, values: Mapping[str, Any], kind: str) -> Any:
    """Return the dataclass `target` with `values` set, each converted to the type of the field it replaces."""
    check_names(type(target), values, f"{kind} field")
    converted = {n: convert(v, getattr(target, n), f"{kind}.{n}") for n, v in values.items()}
    return dataclasses.replace(target, **converted)


def convert(value: Any, like: Any, name: str) -> Any:
    """Return `value`, which may be a string from the command line, as the type of `like`."""
    if isinstance(value, str) and not isinstance(like, str):
        try:
            value = json.loads(value.lower() if value in ("True", "False", "None") else value)
        except (ValueError, RecursionError):
            if like is not None:
                raise _wrong_type(name, value, like) from None
    if isinstance(like, bool) or like is None:
        fits = like is None or isinstance(value, bool)
    elif isinstance(like, int):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
        value = int(value) if fits else value
    elif isinstance(like, float):
        fits = isinstance(value, float) or (type(value) is int and abs(value) <= sys.float_info.max)
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
