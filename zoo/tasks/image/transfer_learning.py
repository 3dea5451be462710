"""Classification of photographs by a network that was trained on others: the course's four cases as a policy.

Landmarks are answered with the most likely few, and the tags that a picture gets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.errors import unknown
from zoo.core.recipe import Recipe
from zoo.core.task import Phase, Prediction
from zoo.tasks.image.classification import PhotoClassification

if TYPE_CHECKING:
    from pipelines.dataset import Info


@dataclass(frozen=True)
class Case:
    """What is done with the pretrained network.

    Attributes:
        words: The reasoning, for people.
        level: Whose features the head stands on: "last", or "middle" for an earlier block.
        tune: Whether all layers are trained after the head.
        statistics: Whether batch normalisation then follows the new pictures, or keeps what it learned.
    """

    words: str
    level: str = "last"
    tune: bool = False
    statistics: bool = False


CASES = {
    "head": Case("few pictures, like the original's: a new head on frozen features"),
    "earlier": Case("few pictures, unlike the original's: a new head on the features of an earlier block", "middle"),
    "finetune": Case("many pictures, like the original's: a new head, then all layers at a low rate", tune=True),
    "full": Case(
        "many pictures, unlike the original's: a new head, then all layers and their batch statistics, from the "
        "pretrained start",
        tune=True,
        statistics=True,
    ),
}
SIMILARITIES = ("similar", "different")


@dataclass(frozen=True)
class TransferLearning(PhotoClassification):
    """Photographs, from a pretrained backbone in one or two phases.

    Attributes:
        similarity: Of your pictures to ImageNet's, as you judge it: "similar" or "different".
        policy: "auto" (by size and similarity), or one of `CASES`.
        large: Training pictures from which a data set counts as large.
        views: Of each training picture for the frozen features: itself, and augmented ones.
        tune_epochs: Of the second phase, if there is one.
        tune_rate: Its learning rate.
        pretrained: False begins from fresh weights.
        baseline: Whether a logistic regression on the same frozen features is judged beside.
    """

    similarity: str = "similar"
    policy: str = "auto"
    large: int = 5000
    views: int = 4
    tune_epochs: int = 4
    tune_rate: float = 2e-4
    pretrained: bool = True
    baseline: bool = True

    def __post_init__(self) -> None:
        """Raise UsageError for a policy or a similarity that is none."""
        if self.policy not in ("auto", *CASES):
            raise unknown("task.policy", self.policy, ("auto", *CASES))
        if self.similarity not in SIMILARITIES:
            raise unknown("task.similarity", self.similarity, SIMILARITIES)

    def case(self, info: Info) -> str:
        """Return the name of the case that the policy gives for a data set."""
        if self.policy != "auto":
            return self.policy
        large, similar = info.counts["train"] >= self.large, self.similarity == "similar"
        return {
            (False, True): "head",
            (False, False): "earlier",
            (True, True): "finetune",
            (True, False): "full",
        }[large, similar]

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes, the shape of the images, and the level that the case wants."""
        return {**super().model_args(info), "level": CASES[self.case(info)].level}

    def phases(self, recipe: Recipe, info: Info) -> tuple[Phase, ...]:
        """Return the phases of a training, in order; small sets get smaller batches, so that an epoch has 20 steps."""
        case = CASES[self.case(info)]
        size = max(8, min(recipe.batch_size, info.counts["train"] // 20))
        head = Phase("head", dataclasses.replace(recipe, batch_size=size), frozen=True)
        if not case.tune:
            return (head,)
        tuned = dataclasses.replace(
            recipe, epochs=self.tune_epochs, learning_rate=self.tune_rate, batch_size=min(size, 32), warmup=0.1
        )
        return head, Phase("tune", tuned, frozen=False, statistics=case.statistics)

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence: which case it is, and how to have another."""
        case = self.case(info)
        return (
            f"Backbone {arguments['backbone']}, policy {case}: {CASES[case].words} "
            f"({info.counts['train']:,} training pictures, {self.similarity}; change it with --set task.similarity= or "
            "task.policy=)."
        )


@dataclass(frozen=True)
class LandmarkClassification(TransferLearning):
    """Classification that answers with tags.

    Attributes:
        tag: Probability from which a class becomes a tag of the picture.
    """

    tag: float = 0.2

    title = "landmark classification and tagging"

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the `top_k` classes, those that are tags marked."""
        shown = super().show(question, outputs, info, top_k)
        rows = tuple({**row, "tag": row["probability"] >= self.tag} for row in shown.rows)
        tags = [str(row["label"]) for row in rows if row["tag"]]
        return dataclasses.replace(shown, rows=rows, lines=(*shown.lines, f"tags: {', '.join(tags) or 'none'}"))
