"""Detection of faces, with five landmarks of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.recipe import Recipe
from zoo.core.task import Prediction, Query, SplitEvaluation
from zoo.detection import metrics as average_precision
from zoo.tasks.image.base import ImageTask
from zoo.tasks.image.detection import Detection, box_line, box_row, matched, rounded

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract
    from pipelines.dataset import Info
    from pipelines.feeding import Feed

FACES = 32  # the most that are returned
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")


@dataclass(frozen=True)
class FaceDetection(ImageTask):
    """Detection of faces; the model returns `boxes`, `scores`, `landmarks` and `count`, see `zoo.models.faces`."""

    feeds_files = False
    title = "face detection"
    not_trained = (
        "faces is not trained here, because no package carries faces with boxes and landmarks: its weights are those "
        "of mtcnn, python -m zoo.predict faces PHOTO; python -m zoo.train detector learns boxes of your own"
    )
    required_features = ("image", "boxes", "labels", "ignored", "size")

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (pixels uint8 (H, W, 3), rows float32 (M, 6)), as `Detection` does."""
        detection = Detection(self.height, self.width, self.channels, self.fit)
        return detection.examples(split, info, recipe, arguments, False)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` and `detect` (pixels -> faces), and `bytes` (encoded images -> faces)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import bytes_endpoint, tensor_endpoint

        detect = tensor_endpoint(
            served,
            inputs=[self.tensor(info)],
            outputs=[
                Tensor("boxes", "float32", (None, FACES, 4)),
                Tensor("scores", "float32", (None, FACES)),
                Tensor("landmarks", "float32", (None, FACES, len(LANDMARKS), 2)),
                Tensor("count", "int32", (None,)),
            ],
        )
        encoded = bytes_endpoint(detect, lambda image: self.preprocess(image, info))
        return Contract((detect, dataclasses.replace(detect, name="detect"), encoded))

    def golden_inputs(self, samples: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the images, and the same as files for `bytes`: in generated images there are no faces."""
        import tensorflow as tf

        files = [tf.io.encode_png(np.rint(image).astype(np.uint8)).numpy() for image in samples["image"]]
        return {**samples, "image_bytes": np.array(files, object)}

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return the faces of each image (N, K, 6), and which of them are hits (N, K, 10)."""
        boxes, scores = batch.outputs["boxes"], batch.outputs["scores"][..., None]
        detections = np.concatenate([boxes, np.zeros_like(scores), scores], axis=-1)
        return dataclasses.replace(batch, inputs={}, outputs=matched(detections, batch.truth))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return average precision at an IoU of 0.5 first, which boxes of other conventions reach, too."""
        arrays = (outputs[name] for name in ("detections", "hits", "uncounted"))
        metrics = average_precision.scores(*arrays, truth, info.class_names)
        return {"average_precision_50": metrics["average_precision_50"], **metrics}

    def explain(self, query: Query) -> Prediction:
        """Return the faces in pixels of the photograph, which is shown with their boxes and landmarks."""
        from zoo.detection.drawing import draw, in_image

        argument, outputs, info = query.argument, query.outputs, query.info
        count = int(outputs["count"])
        photograph, *placed = self.original_image(argument, np.asarray(query.inputs["image"]), info)
        boxes, landmarks = (in_image(outputs[k][:count], photograph, *placed) for k in ("boxes", "landmarks"))
        scores = outputs["scores"][:count, None]
        rows = np.concatenate([boxes, np.zeros_like(scores), scores], axis=1)
        image = draw(photograph, rows, info.class_names or ("face",), landmarks)
        found = {**outputs, "boxes": boxes, "landmarks": landmarks}
        return dataclasses.replace(self.show(argument, found, info, query.top_k), image=image)

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return every face, the best first, in pixels of the model's image."""
        rows = tuple(
            box_row(argument, "face", outputs["scores"][i], outputs["boxes"][i])
            | rounded([f"{name}_{axis}" for name in LANDMARKS for axis in "xy"], outputs["landmarks"][i].ravel())
            for i in range(int(outputs["count"]))
        )
        lines = tuple(
            f"{box_line(row)}, "
            + ", ".join(f"{name.replace('_', ' ')} ({row[f'{name}_x']:g}, {row[f'{name}_y']:g})" for name in LANDMARKS)
            for row in rows
        )
        return Prediction(lines=lines or ("no face",), rows=rows)
