"""Single-label classification of images and photographs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.recipe import Recipe
from zoo.core.task import Candidate, SplitEvaluation
from zoo.tasks.classifier import ClassifierTask, softmax
from zoo.tasks.image.base import ImageTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


SVC_EXAMPLES, SVC_PIXELS = 5000, 1024  # up to which the baseline is fitted in a few seconds


@dataclass(frozen=True)
class Classification(ImageTask, ClassifierTask):
    """Image classification with integer labels; the model returns logits."""

    title = "image classification"
    supports = frozenset({"augment", "label_smoothing", "whiten"})
    required_features = ("image", "label")

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes and the shape of the images."""
        return {"num_classes": info.num_classes, **super().model_args(info)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (pixels uint8 (H, W, C), label int64[, weight float32]), in training augmented, perhaps weighted."""
        import tensorflow as tf

        weights = self.class_weights(info) if training else None

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            pair = self.preprocess(example["image"], info), example["label"]
            return pair if weights is None else (*pair, tf.gather(weights, example["label"]))

        augment = pipelines.augment.policy(recipe.augment, info.num_classes) if training else None
        return pipelines.feed(split, decode=decode, augment=augment)

    def class_weights(self, info: Info) -> np.ndarray | None:
        """Return None: all classes have the same weight."""

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (pixels -> logits) and `bytes` (encoded images -> probabilities, labels)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import bytes_endpoint, tensor_endpoint

        pixels = tensor_endpoint(
            served,
            inputs=[self.tensor(info)],
            outputs=[Tensor("logits", "float32", (None, info.num_classes), "logits")],
        )
        encoded = bytes_endpoint(pixels, lambda image: self.preprocess(image, info), labels=info.class_names)
        return Contract((pixels, encoded), labels=info.class_names)

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return a constant and logistic regression on pixels."""
        from zoo.candidates import images

        return images.ladder()

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with a support vector classifier on the pixels, if it is fitted within seconds."""
        train_count = dataset.info.counts["train"]
        if train_count > SVC_EXAMPLES or evaluation.inputs["image"][0].size > SVC_PIXELS:
            return evaluation
        from zoo.evaluation import image_baselines

        pairs = (image_baselines.pairs_of(feed(name).batches(500)) for name in ("train", "validation"))
        arrays = [(image_baselines.flat(images), labels) for images, labels in pairs]
        predicted = image_baselines.best_svc(*arrays).predict(image_baselines.flat(evaluation.inputs["image"]))
        return dataclasses.replace(
            evaluation, baselines={"support vector classifier (scikit-learn)": {"predicted": predicted}}
        )

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield the confusion matrix, the calibration curve and the most confident mistakes."""
        from zoo.evaluation import plots

        probabilities = softmax(evaluation.outputs["logits"])
        names = evaluation.info.class_names or [str(i) for i in range(probabilities.shape[-1])]
        yield "confusion_matrix", plots.confusion_matrix(np.array(evaluation.metrics["confusion_matrix"]), names)
        predicted, truth = probabilities.argmax(axis=-1), evaluation.truth
        yield "calibration", plots.calibration(probabilities.max(axis=-1), predicted == truth)
        confidence = np.where(predicted != truth, probabilities.max(axis=-1), -1.0)
        worst = [i for i in np.argsort(-confidence, kind="stable")[:25] if confidence[i] >= 0]
        captions = [f"{names[truth[i]]}\n→ {names[predicted[i]]} {confidence[i]:.0%}" for i in worst]
        if worst:
            images = evaluation.inputs["image"][worst]
            yield "confident_mistakes", plots.image_grid(images, captions, "Most confident mistakes: true → predicted")


@dataclass(frozen=True)
class PhotoClassification(Classification):
    """Classification of RGB photographs of any size; the contract also has `features`, the embedding below the head."""

    height: int = 224
    width: int = 224
    channels: int = 3
    fit: str = "crop"
    # exponent of the class weights: 0 for no class weights, 1 for equal total weights of all classes
    balance: float = 0.5

    def candidates(self, info: Info) -> dict[str, Candidate]:
        """Return none: the first result of transfer learning is logistic regression on the features."""
        return {}

    def class_weights(self, info: Info) -> np.ndarray | None:
        """Return float32 (classes,), of mean 1 over the training examples; None if all classes have the same weight."""
        class_counts = info.statistics.get("class_counts")
        if class_counts is None or not self.balance:
            return None
        counts = np.array([class_counts[name] for name in info.class_names], np.float64)
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
