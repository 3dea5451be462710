"""What a photograph shows before its background, cut out."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from zoo.core.task import Prediction, Query
from zoo.tasks.classifier import softmax
from zoo.tasks.image.segmentation import Segmentation


@dataclass(frozen=True)
class CutOut(Segmentation):
    """Segmentation whose first class is the background; a prediction is the photograph without it."""

    title = "cutting out"

    def explain(self, query: Query) -> Prediction:
        """Return the share of each class, the mask, and the photograph at its size, RGBA: transparent background."""
        from PIL import Image

        pixels = np.asarray(query.inputs["image"])
        photograph, start, scale = self.original_image(query.argument, pixels, query.info)
        alpha = Image.fromarray((1 - softmax(query.outputs["logits"])[..., 0]).astype(np.float32))
        to_model = (scale[0], 0, start[0], 0, scale[1], start[1])  # what the model does not see is transparent
        size = photograph.shape[1::-1]
        alpha = np.asarray(alpha.transform(size, Image.Transform.AFFINE, to_model, Image.Resampling.BILINEAR))
        image = np.dstack([photograph, np.rint(255 * alpha.clip(0, 1)).astype(np.uint8)])
        return dataclasses.replace(self.show(query.argument, query.outputs, query.info, query.top_k), image=image)
