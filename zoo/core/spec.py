"""What the zoo knows about a model: frozen data, no code that trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.core.errors import unknown
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask


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
    task: BaseTask
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
