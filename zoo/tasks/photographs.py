"""One label out of several for each photograph: RGB, any size and aspect, classes of unequal size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.recipes import Recipe
from zoo.tasks.classification import Classification

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class Photographs(Classification):
    """Classification of photographs; the contract also has `features`, the embedding before the classifier.

    Attributes:
        balance: How much rare classes weigh in the loss: 0 as often as they are, 1 as much as frequent ones.
    """

    height: int = 224
    width: int = 224
    channels: int = 3
    fit: str = "crop"
    balance: float = 0.5

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes and the shape of the images."""
        return {"num_classes": info.num_classes, "image_shape": [self.height, self.width, self.channels]}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (pixels uint8 (H, W, C), label int64), and while training the weight of the label, float32."""
        weights = self.class_weights(info) if training else None

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            pair = self.preprocess(example["image"]), example["label"]
            return pair if weights is None else (*pair, tf.gather(weights, example["label"]))

        import tensorflow as tf

        augment = pipelines.augment.policy(recipe.augment, info.num_classes) if training else None
        return pipelines.feed(split, decode=decode, augment=augment)

    def class_weights(self, info: Info) -> np.ndarray | None:
        """Return float32 (classes,), of mean 1 over the training examples; None where every class weighs the same."""
        counted = info.statistics.get("class_counts")
        if counted is None or not self.balance:
            return None
        counts = np.array([counted[name] for name in info.class_names], np.float64)
        weights = np.where(counts > 0, np.maximum(counts, 1) ** -self.balance, 0)
        weights *= counts.sum() / (weights * counts).sum()
        return None if np.allclose(weights[counts > 0], 1, atol=0.05) else weights.astype(np.float32)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`, `bytes`, and `features` (pixels -> embedding)."""
        import keras

        from export.contract import Tensor
        from export.contract.endpoints import tensor_endpoint

        base = super().contract(served, info)
        body = keras.Model(served.input, served.get_layer("embedding").output, name="features")
        features = tensor_endpoint(
            body,
            inputs=base["serving_default"].inputs,
            outputs=[Tensor("embedding", "float32", (None, body.output.shape[-1]))],
            name="features",
            formats=("saved_model",),
        )
        return dataclasses.replace(base, endpoints=(*base.endpoints, features))
