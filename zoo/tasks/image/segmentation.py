"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines.images.masks import palette
from zoo.core.recipe import Recipe
from zoo.core.task import Candidate, Prediction, Query, SplitEvaluation
from zoo.evaluation import segmentation
from zoo.tasks.image.base import EncoderTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

SHOWN = 8  # images of a figure
SMALLEST = 0.005  # share of the pixels that a predicted class must have to be printed


@dataclass(frozen=True)
class Segmentation(EncoderTask):
    """Segmentation with masks of class ids, of which 255 is ignored; the model returns `logits` (B, H, W, classes)."""

    dice: float = 1.0  # weight of the soft Dice loss, which is added to the cross-entropy

    title = "image segmentation"
    supports = frozenset({"augment"})
    required_features = ("image", "mask")

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes and the shape of the images."""
        return {"num_classes": info.num_classes, **super().model_args(info)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (pixels uint8 (H, W, C), class ids uint8 (H, W)); the recipe's policy moves both alike."""
        height, width, _ = self.shape(info)

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            mask = pipelines.images.decode_mask(example["mask"], height, width, self.fit)
            return self.preprocess(example["image"], info), mask

        augment = pipelines.augment.mask_policy(recipe.augment) if training else None
        return pipelines.feed(split, decode=decode, augment=augment)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the loss, and the mean IoU and the accuracy of pixels, without those that are ignored."""
        import keras

        from zoo.modeling.losses import SegmentationLoss

        mean_iou = keras.metrics.MeanIoU(
            info.num_classes, ignore_class=segmentation.IGNORE, sparse_y_pred=False, name="mean_iou"
        )
        return {"loss": SegmentationLoss(self.dice), "metrics": [mean_iou]}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (pixels -> logits), `segment` (pixels -> mask, probabilities) and `bytes`."""
        # `bytes` takes encoded images and returns what `segment` does.
        from export.contract import Contract, Tensor
        from export.contract.endpoints import bytes_endpoint, segment_endpoint, tensor_endpoint

        shape = self.shape(info)
        pixels = tensor_endpoint(
            served,
            inputs=[self.tensor(info)],
            outputs=[Tensor("logits", "float32", (None, *shape[:2], info.num_classes), "logits")],
        )
        segment = segment_endpoint(pixels)
        encoded = bytes_endpoint(segment, lambda image: self.preprocess(image, info))
        return Contract((pixels, segment, encoded), labels=info.class_names)

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return the confusion matrix of each image (N, classes, classes), and its number of pixels that count."""
        logits = batch.outputs["logits"]
        matrices = segmentation.confusion(batch.truth, logits.argmax(axis=-1), logits.shape[-1])
        return dataclasses.replace(batch, inputs={}, outputs={"confusion": matrices}, truth=matrices.sum(axis=(1, 2)))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return mean IoU, pixel accuracy, mean Dice and the metrics of each class, of what `reduce` keeps."""
        return segmentation.scores(outputs["confusion"].sum(axis=0), info.class_names)

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add the images of the figure, with their masks."""
        from zoo.evaluation import outputs as inference

        shown = inference.collect(contract["serving_default"], feed(evaluation.split).take(SHOWN), dataset.info)
        arrays = {"image": shown.inputs["image"], "true": shown.truth, "predicted": shown.outputs["logits"].argmax(-1)}
        return dataclasses.replace(evaluation, arrays=arrays)

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return a constant and logistic regression of pixels."""
        from zoo.candidates import masks

        return masks.ladder()

    def losses(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
        """Return 1 minus the pseudovalue of each image (N,) of the jackknife of the mean IoU over all images."""
        # The mean over images of their own IoU can order candidates otherwise than the metric (Tukey 1958: the mean
        # of the pseudovalues is the metric without the bias of few examples).
        matrices = outputs["confusion"].astype(np.float64)
        total, count = matrices.sum(axis=0), len(matrices)
        without = segmentation.mean_iou(total - matrices)
        return 1.0 - (count * segmentation.mean_iou(total) - (count - 1) * without)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out images, with the true and with the predicted mask above them."""
        from zoo.evaluation import plots

        image, true, predicted = (evaluation.arrays[name] for name in ("image", "true", "predicted"))
        rows = {"image": image, "true": segmentation.overlay(image, true)}
        rows["predicted"] = segmentation.overlay(image, predicted)
        names = segmentation.legend(evaluation.info.class_names, np.union1d(true, predicted))
        yield "overlays", plots.image_rows(rows, "Held-out images", names)

    def explain(self, query: Query) -> Prediction:
        """Return the share of each class, the mask, and an image: the input, and on the right its classes in colour."""
        prediction = self.show(query.argument, query.outputs, query.info, query.top_k)
        image = np.asarray(query.inputs["image"])
        pair = [np.broadcast_to(image, (*image.shape[:2], 3)), segmentation.overlay(image, prediction.mask)]
        return dataclasses.replace(prediction, image=np.concatenate(pair, axis=1).astype(np.uint8))

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the share of each class among the pixels, in order, the mask, and the mask in colour."""
        mask = outputs["logits"].argmax(axis=-1).astype(np.uint8)
        shares = np.bincount(mask.ravel(), minlength=info.num_classes) / mask.size
        order = [i for i in np.argsort(-shares, kind="stable") if shares[i] > 0]
        rows = tuple(
            {"input": argument, "label": info.class_names[i], "pixels": round(float(shares[i] * mask.size))}
            | {"share": round(float(shares[i]), 6)}
            for i in order
        )
        lines = tuple(f"{row['share']:7.2%}  {row['label']}" for row in rows if row["share"] >= SMALLEST)
        return Prediction(lines=lines, rows=rows, image=palette()[mask], mask=mask)
