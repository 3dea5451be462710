"""Generation of images of a class by flow matching."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.recipe import Recipe
from zoo.core.task import SplitEvaluation
from zoo.tasks.generative.gan import NOISE, ImageGeneration
from zoobase.errors import UsageError, unknown

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

TIME, DROPPED = 0x71, 0xD0  # ids of the random streams of the times and of the classes that are left out


@dataclass(frozen=True)
class ClassImageGeneration(ImageGeneration):
    """Generation of images of a class, with the model's own `train_step`; see `zoo.models.flow_matching`."""

    # share of the training examples without their class, from which the guidance learns images of any class
    unconditional: float = 0.1

    adversarial = False
    required_features = ("image", "label")
    generates = ("count", "interpolate", "class_name")
    monitor = "val_loss"

    def __post_init__(self) -> None:
        """Raise UsageError for a share that is not valid."""
        if not 0 < self.unconditional < 1:
            raise UsageError(f"task.unconditional={self.unconditional} is not valid: it must be between 0 and 1")

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes and the shape of the images."""
        return {"num_classes": info.num_classes, **super().model_args(info)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({"noise", "class_id", "time", "condition"}, image uint8 (H, W, C)).

        Noise is float32 (H * W * C,), time float32 in (0, 1), condition int32: the class, or `num_classes` for none.
        All depend on example, epoch and seed.
        """
        import tensorflow as tf

        from pipelines import stateless_random

        shape, classes = self.shape(info), arguments["num_classes"]

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            image = pipelines.images.decode(example["image"], *shape, self.fit)
            return image, tf.cast(example["label"], tf.int32)

        def at_times(batch: tuple, keys: tf.Tensor) -> tuple:
            image, class_id = batch
            dropped = stateless_random.uniform(keys, DROPPED, 1)[:, 0] < self.unconditional
            inputs = {
                "noise": stateless_random.normal(keys, NOISE, int(np.prod(shape))),
                "class_id": class_id,
                "time": tf.sigmoid(stateless_random.normal(keys, TIME, 1)[:, 0]),
                "condition": tf.where(dropped, classes, class_id),
            }
            return inputs, image

        return pipelines.feed(split, decode=decode, augment=at_times)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return {}: the model computes its loss."""
        return {}

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the model: its call is the sampler."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`: noise (B, H * W * C) and class_id (B,) -> image (B, H, W, C) in [0, 255]."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint

        shape = self.shape(info)
        noise = Tensor("noise", "float32", (None, int(np.prod(shape))), "noise")
        class_id = Tensor("class_id", "int32", (None,), "token", low=0, high=info.num_classes - 1)
        image = Tensor("image", "float32", (None, *shape), "image", low=0.0, high=255.0)
        return Contract((tensor_endpoint(served, [noise, class_id], [image], structure="dict"),), info.class_names)

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add `class_accuracy`: how many images are classified as the class that was asked for, also of real ones."""
        from zoo.evaluation.generative_metrics import collect, feature_extractor_for

        evaluation = super().evaluate_extra(evaluation, contract, dataset, feed)
        extractor = feature_extractor_for(dataset.info, self.shape(dataset.info))
        if extractor.classify is None or extractor.class_names != tuple(dataset.info.class_names):
            return evaluation
        shares = {
            name: float((collect(extractor.classify, images).argmax(-1) == evaluation.inputs["class_id"]).mean())
            for name, images in (
                ("class_accuracy", evaluation.outputs["image"]),
                ("class_accuracy_of_real", evaluation.truth),
            )
        }
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, **shares})

    def class_id(self, options: Mapping[str, Any], info: Info) -> int | None:
        """Return the id of the class `class_name`, or None; UsageError if there is no such class."""
        name, names = options.get("class_name"), list(info.class_names)
        if name is not None and name not in names:
            raise unknown("class", name, names)
        return None if name is None else names.index(name)
