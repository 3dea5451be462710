"""Transfer learning for photographs: four cases by size and similarity of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.recipe import Recipe
from zoo.core.task import Phase, Prediction, head_and_tune
from zoo.tasks.image.classification import PhotoClassification
from zoobase.errors import unknown

if TYPE_CHECKING:
    from pipelines.dataset import Info
    from zoo.modeling.backbones import Backbone


@dataclass(frozen=True)
class Case:
    """How a pretrained network is used."""

    description: str  # when the case applies, and what is trained
    level: str = "last"  # features below the head: "last", or "middle" for those of an earlier block
    tune: bool = False  # whether all layers are trained after the head
    statistics: bool = False  # whether the moving statistics of batch normalisation are then updated


CASES = {
    "head": Case("few images, similar to the original data: a new head on frozen features"),
    "earlier": Case("few images, different from the original data: a new head on an earlier block", "middle"),
    "finetune": Case(
        "many images, similar to the original data: a new head, then all layers at a low learning rate", tune=True
    ),
    "full": Case(
        "many images, different from the original data: a new head, then all layers and their batch statistics, from "
        "pretrained weights",
        tune=True,
        statistics=True,
    ),
}
SIMILARITIES = ("similar", "different")


@dataclass(frozen=True)
class TransferLearning(PhotoClassification):
    """Classification of photographs, trained from a pretrained backbone in one or two phases."""

    similarity: str = "similar"  # similarity of the data to ImageNet: "similar" or "different"
    policy: str = "auto"  # "auto" (by size and similarity), or one of `CASES`
    large: int = 5000  # number of training images from which a dataset counts as large
    views: int = 4  # views of each training image for the frozen features: the image itself and augmented ones
    tune_epochs: int = 4  # epochs of the second phase, if there is one
    tune_rate: float = 2e-4  # learning rate of the second phase
    pretrained: bool = True  # False starts from random weights
    baseline: bool = True  # whether to evaluate a logistic regression on the same frozen features as a baseline
    # whether temperature and class weights are corrected on validation, for the probabilities of the data
    calibrated: bool = True

    supports = frozenset({"augment", "label_smoothing"})

    def __post_init__(self) -> None:
        """Raise UsageError for an unknown policy or similarity."""
        if self.policy not in ("auto", *CASES):
            raise unknown("task.policy", self.policy, ("auto", *CASES))
        if self.similarity not in SIMILARITIES:
            raise unknown("task.similarity", self.similarity, SIMILARITIES)

    def case(self, info: Info) -> str:
        """Return the name of the case for a dataset."""
        if self.policy != "auto":
            return self.policy
        large, similar = info.counts["train"] >= self.large, self.similarity == "similar"
        return {(False, True): "head", (False, False): "earlier", (True, True): "finetune", (True, False): "full"}[
            large, similar
        ]

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes, the shape of the images, and the level of the case."""
        return {**super().model_args(info), "level": CASES[self.case(info)].level}

    def phases(self, recipe: Recipe, info: Info) -> tuple[Phase, ...]:
        """Return the phases in order."""
        case = CASES[self.case(info)]
        epochs = self.tune_epochs if case.tune else None
        return head_and_tune(recipe, info.counts["train"], epochs, self.tune_rate, case.statistics)

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise UsageError for an unknown backbone, with the closest matches."""
        if "backbone" in arguments:
            self.backbone(arguments["backbone"])

    def backbone(self, name: str) -> Backbone:
        """Return a backbone by name; UsageError for an unknown one."""
        from zoo.modeling import backbones

        return backbones.get(name)

    def feature_settings(self, info: Info) -> list[Any]:
        """Return the size of the images, how they get it, and the exponent of the class weights."""
        return [*self.shape(info), self.fit, self.balance]

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence: which case applies, and how to change it."""
        case = self.case(info)
        return (
            f"Backbone {arguments['backbone']}, policy {case}: {CASES[case].description} "
            f"({info.counts['train']:,} training images, {self.similarity}; change it with --set task.similarity= or "
            "task.policy=)."
        )


@dataclass(frozen=True)
class LandmarkClassification(TransferLearning):
    """Classification with tags."""

    tag: float = 0.2  # probability from which a class is a tag of the image

    title = "landmark classification and tagging"

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the `top_k` classes and whether they are tags, and all tags."""
        ranking = super().show(argument, outputs, info, len(outputs["logits"]))
        rows = tuple({**row, "tag": row["probability"] >= self.tag} for row in ranking.rows)
        tags = [str(row["label"]) for row in rows if row["tag"]]
        shown = max(1, top_k)
        return Prediction(lines=(*ranking.lines[:shown], f"tags: {', '.join(tags) or 'none'}"), rows=rows[:shown])
