"""Detection of objects: the class and the box of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.recipe import Recipe
from zoo.core.task import Candidate, Prediction, Query, SplitEvaluation
from zoo.detection import metrics as average_precision
from zoo.tasks.image.base import EncoderTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

EDGES = ("left", "top", "right", "bottom")
SHOWN = 8  # images of a figure
PRIOR = 0.01  # initial probability of an object at a cell, so that the many empty ones do not drown the others


@dataclass(frozen=True)
class Detection(EncoderTask):
    """Detection; the model returns the logits and the distances of `zoo.detection.decoding`, concatenated."""

    box_weight: float = 1.0  # weight of the loss of the boxes, which is added to that of the classes
    threshold: float = 0.3  # lowest score of what is predicted and shown; the metrics need no threshold

    title = "object detection"
    supports = frozenset({"augment"})
    required_features = ("image", "boxes", "labels", "ignored", "size")

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes and the shape of the images."""
        return {"num_classes": info.num_classes, **super().model_args(info)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (pixels uint8 (H, W, C), rows float32 (M, 6)); the recipe's policy moves both alike."""
        from pipelines.images import boxes

        height, width, _ = self.shape(info)
        most = info.statistics["most_objects"]

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return self.preprocess(example["image"], info), boxes.padded(example, most, height, width, self.fit)

        augment = pipelines.augment.box_policy(recipe.augment) if training else None
        return pipelines.feed(split, decode=decode, augment=augment)

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Load the trained weights of an encoder, and make background probable at every cell."""
        super().initialize(model, dataset)
        bias = model.get_layer("logits").bias
        values = np.zeros(bias.shape, np.float32)
        values[0] = np.log((1 - PRIOR) / PRIOR * (len(values) - 1))
        bias.assign(values)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the loss of classes and boxes."""
        from zoo.detection.loss import DetectionLoss

        height, width, _ = self.shape(info)
        return {"loss": DetectionLoss(height, width, self.box_weight)}

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the model with two outputs, whose numbers have ranges of their own in an int8 file."""
        import keras

        outputs = [model.get_layer(name).output for name in ("logits", "distances")]
        return {"": keras.Model(model.input, outputs, name=model.name)}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (pixels -> logits, distances), `detect` (pixels -> boxes) and `bytes`."""
        # `bytes` takes encoded images and returns what `detect` does.
        from export.contract import Contract, Tensor
        from export.contract.endpoints import bytes_endpoint, tensor_endpoint

        grid = served.outputs[0].shape[1:3]
        pixels = tensor_endpoint(
            served,
            inputs=[self.tensor(info)],
            outputs=[
                Tensor("logits", "float32", (None, *grid, info.num_classes + 1), "logits"),
                Tensor("distances", "float32", (None, *grid, 4)),
            ],
        )
        detect = self._detect(pixels, info)
        encoded = bytes_endpoint(detect, lambda image: self.preprocess(image, info))
        return Contract((pixels, detect, encoded), labels=("background", *info.class_names))

    def _detect(self, base: Endpoint, info: Info) -> Endpoint:
        """Return the endpoint with the box, the score and the class at each cell."""
        from export.contract import Endpoint, Tensor
        from zoo.detection.decoding import decode

        height, width, _ = self.shape(info)
        cells, classes = int(np.prod(base.outputs[0].shape[1:3])), info.num_classes + 1
        outputs = (
            Tensor("boxes", "float32", (None, cells, 4)),
            Tensor("scores", "float32", (None, cells)),
            Tensor("classes", "int32", (None, cells), "class_ids", low=0, high=info.num_classes),
            Tensor("probabilities", "float32", (None, cells, classes), "probabilities"),
        )

        def call(values: Mapping[str, Any]) -> dict[str, Any]:
            return decode(*base.call(values).values(), height, width)

        return Endpoint("detect", base.inputs, outputs, call)

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return the best detections of each image (N, D, 6), and which of them are hits (N, D, 10)."""
        detections = average_precision.best(self._decoded(batch.outputs, batch.info))
        return dataclasses.replace(batch, inputs={}, outputs=matched(detections, batch.truth))

    def _decoded(self, outputs: Mapping[str, np.ndarray], info: Info) -> dict[str, np.ndarray]:
        from zoo.detection.decoding import decode

        decoded = decode(outputs["logits"], outputs["distances"], *self.shape(info)[:2])
        return {name: np.asarray(value) for name, value in decoded.items()}

    def candidates(self, info: Info) -> Mapping[str, Candidate]:
        """Return logistic regression of gradients."""
        from zoo.candidates import boxes

        return boxes.ladder()

    def losses(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
        """Return 1 minus the average precision of each image (N,), over all IoU and of all classes together."""
        hits = outputs["hits"]
        precision = hits.cumsum(axis=1) / np.maximum((~outputs["uncounted"]).cumsum(axis=1), 1)
        objects = ((truth[..., 4] >= 0) & (truth[..., 5] == 0)).sum(axis=1)
        found = (precision * hits).sum(axis=1).mean(axis=-1)
        return np.where(objects, 1.0 - found / np.maximum(objects, 1), 0.0)

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return mean average precision, that at an IoU of 0.5 and 0.75, average recall, and those of each class."""
        arrays = (outputs[name] for name in ("detections", "hits", "uncounted"))
        return average_precision.scores(*arrays, truth, info.class_names)

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add the images of the figure, with their boxes."""
        from zoo.evaluation import outputs as inference

        shown = inference.collect(contract["serving_default"], feed(evaluation.split).take(SHOWN), dataset.info)
        detections = average_precision.best(self._decoded(shown.outputs, dataset.info), self.threshold)
        arrays = {"image": shown.inputs["image"], "true": shown.truth, "predicted": detections}
        return dataclasses.replace(evaluation, arrays=arrays)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out images, with the true and with the predicted boxes."""
        from zoo.detection.drawing import draw
        from zoo.evaluation import plots

        images, names = evaluation.arrays["image"], evaluation.info.class_names
        found = [average_precision.distinct(rows) for rows in evaluation.arrays["predicted"]]
        drawn = {
            name: np.stack([draw(image, rows[:, :5], names) for image, rows in zip(images, of_images, strict=True)])
            for name, of_images in (("true", evaluation.arrays["true"]), ("predicted", found))
        }
        yield "boxes", plots.image_rows(drawn, "Held-out images", size=1.8)

    def explain(self, query: Query) -> Prediction:
        """Return the objects in pixels of the photograph, which is shown with their boxes."""
        from zoo.detection.drawing import draw, in_image

        argument, info = query.argument, query.info
        image = np.asarray(query.inputs["image"])
        found = _distinct(query.call("detect", {"image": image[None]}), self.threshold)  # decoded without Keras
        photograph, *placed = self.original_image(argument, image, info)
        found = np.concatenate([in_image(found[:, :4], photograph, *placed), found[:, 4:]], axis=1)
        drawn = draw(photograph, found, info.class_names)
        return dataclasses.replace(self._described(argument, found, info), image=drawn)

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return every object of a score of at least `threshold`, the best first, in pixels of the model's image."""
        batch = {name: np.asarray(outputs[name])[None] for name in ("logits", "distances")}
        return self._described(argument, _distinct(self._decoded(batch, info), self.threshold), info)

    def _described(self, argument: str, found: np.ndarray, info: Info) -> Prediction:
        rows = tuple(box_row(argument, info.class_names[int(label)], score, box) for *box, label, score in found)
        lines = tuple(box_line(row) for row in rows)
        return Prediction(lines=lines or (f"no object of a score of at least {self.threshold:g}",), rows=rows)


def box_row(argument: str, label: str, score: float, box: Sequence[float]) -> dict[str, Any]:
    """Return an object of a prediction as a row of its table: input, label, score, and the edges of its box."""
    return {"input": argument, "label": label, "score": round(float(score), 6)} | rounded(EDGES, box)


def box_line(row: Mapping[str, Any]) -> str:
    """Return a row of `box_row` as a line of text."""
    return (
        f"{row['score']:7.2%}  {row['label']}  from ({row['left']:g}, {row['top']:g}) to "
        f"({row['right']:g}, {row['bottom']:g})"
    )


def rounded(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    """Return positions in pixels by name, to a tenth."""
    return {name: round(float(value), 1) for name, value in zip(names, values, strict=True)}


def _distinct(decoded: Mapping[str, np.ndarray], threshold: float) -> np.ndarray:
    """Return the objects of the first image."""
    return average_precision.distinct(average_precision.best(decoded, threshold)[0])


def matched(detections: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return detections (N, D, 6), which are hits of boxes (N, M, 6), and which do not count, (N, D, 10) each."""
    hits, uncounted = average_precision.match(detections, truth)
    return {"detections": detections, "hits": hits, "uncounted": uncounted}
