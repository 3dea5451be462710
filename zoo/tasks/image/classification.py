"""One label out of several for each image; photographs too: RGB, any size and aspect, classes of unequal size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.recipe import Recipe
from zoo.core.task import Evaluation, Shown
from zoo.tasks.image.base import ImageTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class Classification(ImageTask):
    """Image classification with integer labels; the model returns logits."""

    title = "image classification"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes."""
        return {"num_classes": info.num_classes}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (pixels uint8 (H, W, C), label int64), augmented by the recipe's policy while training."""

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return self.preprocess(example["image"]), example["label"]

        augment = pipelines.augment.policy(recipe.augment, info.num_classes) if training else None
        return pipelines.feed(split, decode=decode, augment=augment)

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile with cross-entropy on logits, smoothed by the recipe, and accuracy."""
        from zoo.modeling.losses import SparseCategoricalCrossentropy
        from zoo.modeling.metrics import Accuracy
        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        model.compile(
            optimizer=make_optimizer(recipe, steps),
            loss=SparseCategoricalCrossentropy(recipe.label_smoothing),
            metrics=[Accuracy()],
            jit_compile=False,  # XLA is 4 to 12 times slower for small CNNs on CPU
        )

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the model itself."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (pixels -> logits) and `bytes` (encoded images -> probabilities, labels)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import bytes_endpoint, tensor_endpoint

        shape = (None, self.height, self.width, self.channels)
        pixels = tensor_endpoint(
            served,
            inputs=[Tensor("image", "float32", shape, "image", low=0.0, high=255.0)],
            outputs=[Tensor("logits", "float32", (None, info.num_classes), "logits")],
        )
        encoded = bytes_endpoint(pixels, self.preprocess, labels=info.class_names)
        return Contract((pixels, encoded), labels=info.class_names)

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return accuracy, top-k accuracy, loss, calibration, macro averages, and figures per class."""
        from sklearn import metrics as judge

        logits = outputs["logits"].astype(np.float64)
        probabilities = softmax(logits)
        predicted = logits.argmax(axis=-1)
        labels = np.arange(logits.shape[-1])
        precision, recall, f1, support = judge.precision_recall_fscore_support(
            truth, predicted, labels=labels, zero_division=0
        )
        names = info.class_names or [str(i) for i in labels]
        top = {
            f"top_{k}_accuracy": float(judge.top_k_accuracy_score(truth, probabilities, k=k, labels=labels))
            for k in (3, 5)
            if k < len(labels)
        }
        confused = judge.confusion_matrix(truth, predicted, labels=labels)
        return {
            "accuracy": float(np.mean(predicted == truth)),
            **top,
            "loss": float(-np.mean(np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-300)))),
            "expected_calibration_error": calibration_error(probabilities, truth),
            "f1_macro": float(f1.mean()),
            "per_class": {
                name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
                for name, p, r, f, s in zip(names, precision, recall, f1, support, strict=True)
            },
            "confusion_matrix": confused.tolist(),
            "most_confused": most_confused(confused, names),
        }

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
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

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file of any size and mode; DataError where it is none."""
        return {"image": self.read(argument)}

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Shown:
        """Return the `top_k` classes with their probabilities."""
        probabilities = softmax(outputs["logits"])
        names = info.class_names or [str(i) for i in range(len(probabilities))]
        best = np.argsort(-probabilities, kind="stable")[: max(1, top_k)]
        rows = tuple(
            {"input": question, "rank": rank, "label": names[i], "probability": round(float(probabilities[i]), 6)}
            for rank, i in enumerate(best, start=1)
        )
        return Shown(lines=tuple(f"{r['probability']:7.2%}  {r['label']}" for r in rows), rows=rows)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def most_confused(matrix: np.ndarray, names: Sequence[str], most: int = 20) -> list[dict[str, Any]]:
    """Return the pairs of classes that are mistaken most often: {"true", "predicted", "count"}, worst first."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [{"true": names[i], "predicted": names[j], "count": int(wrong[i, j])} for i, j in pairs if wrong[i, j]]


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error (Guo 2017, arXiv:1706.04599) over equal-width confidence bins."""
    confidence = probabilities.max(axis=-1)
    correct = probabilities.argmax(axis=-1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (place == b).mean() * abs(correct[place == b].mean() - confidence[place == b].mean())
        for b in range(bins)
        if (place == b).any()
    ]
    return float(sum(gaps))


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
