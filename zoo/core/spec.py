"""The specification of a model: immutable data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask
from zoobase.errors import unknown


@dataclass(frozen=True)
class Card:
    """The model card: reference, licence, expected metrics and limitations.

    Attributes:
        paper: Reference, with arXiv number where there is one.
        describes_data: Whether the paper is about the default data, not about the model: the card of a model of other
            data leaves it out.
        licence: Licence of the code and of the trained weights.
        expect: Metric name -> the value that `command` gives.
        quoted: What tables quote in place of the first of these, where one test says little, such as a mean of several.
        command: The command that reproduces `expect`.
        test_data: The data on which it was measured, if that is not the test split of the default dataset.
        measured_on: Machine and time of the measurement.
        baselines: Method -> its headline metric on the same test data, measured by another command than `command`,
            which the page of the model names.
        published: Figures of publications, with their reference and how their data differs.
        notes: Limitations of the model, whatever it is trained on.
        data_notes: Limitations that follow from the default data or from the shipped weights.
        of_course: Whether the model is an exercise of the course, not one to use.
    """

    paper: str
    licence: str = "Apache-2.0"
    expect: Mapping[str, float] = field(default_factory=dict)
    quoted: str = ""
    command: str = ""
    test_data: str = ""
    measured_on: str = ""
    baselines: Mapping[str, float] = field(default_factory=dict)
    published: str = ""
    notes: str = ""
    data_notes: str = ""
    describes_data: bool = False
    of_course: bool = False

    @property
    def limitations(self) -> str:
        """All limitations, as they hold for the default data and the shipped weights."""
        return " ".join(filter(None, [self.data_notes, self.notes]))


@dataclass(frozen=True)
class Weights:
    """The source of trained weights.

    Attributes:
        source: File name under `zoo/weights/files/`, or a description of the source.
        sha256: SHA-256 digest of the file.
        licence: Licence of the weights.
        model: Builder arguments of the model that was trained; empty if they are in the .json next to the file, which
            `python -m docs.ship` writes, with their digest in `shipped.json`.
        fetch: For weights that are not shipped: returns the weights file, verified against `sha256` and converted once.
        size: Bytes of the file that is downloaded.
        trained_on: The data that weights of others were trained on.
    """

    source: str
    sha256: str
    licence: str = "Apache-2.0"
    model: Mapping[str, Any] = field(default_factory=dict)
    fetch: Callable[[], Path] | None = None
    size: int = 0
    trained_on: str = ""

    @property
    def shipped(self) -> bool:
        """Whether the file is part of the package."""
        return self.fetch is None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A model of the same builder with other arguments, under a name of its own.

    Attributes:
        summary: The model in one line.
        arguments: Builder arguments, which become the defaults of this model.
        task: Its task, if it is another.
        card: Its card, if it is another.
        weights: Its trained weights, by name.
    """

    summary: str
    arguments: Mapping[str, Any]
    task: BaseTask | None = None
    card: Card | None = None
    weights: Mapping[str, Weights] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """The specification of one model; the fields are the arguments of `zoo.register`."""

    name: str
    data: str
    task: BaseTask
    recipes: Mapping[str, Recipe]
    tiny: Mapping[str, Any]
    card: Card
    weights: Mapping[str, Weights] = field(default_factory=dict)
    candidates: str = ""

    @property
    def headline_data(self) -> str:
        """The data on which the metrics of the card were measured; empty if the card has none."""
        return (self.card.test_data or self.data) if self.card.expect else ""

    def tiny_settings(self) -> dict[str, Any]:
        """Return the settings of a test-sized training; a name without a dot in `tiny` is a builder argument."""
        return {key if "." in key else f"model.{key}": value for key, value in self.tiny.items()}

    def recipe(self, name: str) -> Recipe:
        """Return a recipe by name; UsageError with the closest matches for an unknown name."""
        if name not in self.recipes:
            raise unknown(f"recipe of {self.name}", name, self.recipes)
        return self.recipes[name]
