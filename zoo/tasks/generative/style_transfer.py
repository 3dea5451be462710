"""Photographs into paintings, by a network that learns one style from crops, from near and from afar."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

import pipelines
from pipelines import augment, stateless_random
from zoo.core.errors import UsageError
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Evaluation, Prediction

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed
    from zoo.modeling.perceptual_loss import Objective
    from zoo.training.neural_style import Painting

SHOWN = 4  # held-out crops in a figure
CROP = 8  # the stream of random numbers, next to those of the augmentations
LARGER = 3  # the side that a photograph is brought to, in sides of a crop: room for crops from near and from afar
JUDGED = 2  # sides of a crop that a judged one sees


@dataclass(frozen=True)
class StyleTransfer(BaseTask):
    """Style transfer by a feed-forward network.

    Attributes:
        style: Image file whose style is learned; empty is a photograph of a flower that scikit-learn brings.
        side: Height and width of the crops that it learns from, in pixels.
        crops: Crops of each photograph in an epoch; 0 takes as many as make about a thousand.
        alpha: Weight of the content loss.
        beta: Weight of the style loss; at the 1e4 of `zoo.stylize` a network forgets the photograph for the style.
        variation: Weight of the total variation, which smooths.
        features: Of which network the losses are: "vgg19", "vgg16", "hed", or "auto" for the first that can be had.
        compared: Held-out crops that the optimisation of Gatys paints too, for comparison.
        gatys_steps: Its steps.
    """

    style: str = ""
    side: int = 128
    crops: int = 0
    alpha: float = 1.0
    beta: float = 1e3
    variation: float = 1.0
    features: str = "auto"
    compared: int = 2
    gatys_steps: int = 300

    title = "style transfer"
    accepts = "images"

    def __post_init__(self) -> None:
        """Raise UsageError for crops that the losses cannot be measured on."""
        if self.side < 32 or self.side % 4:
            raise UsageError(f"task.side={self.side} is not usable: it must be a multiple of 4 from 32 up")

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return nothing: the network takes images of any size."""
        return {}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (crop, the same crop), uint8 (side, side, 3): random and mirrored while training, else the middle."""
        larger = LARGER * self.side
        photographs = split.map(lambda e: pipelines.images.decode(e["image"], larger, larger, 3, "crop"))
        if training:
            each = self.crops or max(1, 1000 // int(split.cardinality()))
            photographs = photographs.cache().repeat(each) if each > 1 else photographs  # few enough to be kept

        def crop(images: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            cut = random_crops(images, keys, self.side) if training else middle_crops(images, self.side)
            return cut, cut

        return pipelines.feed(photographs, augment=crop)

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Give the model its optimizer, and the losses in the precision that it computes in."""
        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        model.compile(make_optimizer(recipe, steps), self.objective(model.compute_dtype), jit_compile=False)

    def objective(self, precision: str = "float32") -> Objective:
        """Return the losses for this style, computed in "float32" or "bfloat16".

        Raises:
            pipelines.DataError: The picture or the features are not to be had.
        """
        return _objective(self.style, self.side, self.features, (self.alpha, self.beta, self.variation), precision)

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the network."""
        return {"": model.network}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (image -> stylised, any size) and `bytes` (image files -> JPEG files)."""
        from export.contract import Contract, Endpoint, Tensor
        from export.contract.endpoints import tensor_endpoint

        shape = (None, None, None, 3)
        pixels = tensor_endpoint(
            served,
            [Tensor("image", "float32", shape, "image", low=0.0, high=255.0)],
            [Tensor("stylised", "float32", shape, "image", low=0.0, high=255.0)],
        )
        files = Endpoint(
            "bytes",
            (Tensor("image_bytes", "string", (None,), "encoded_image"),),
            (Tensor("stylised_bytes", "string", (None,)),),
            call=lambda inputs: {"stylised_bytes": _jpegs(pixels, inputs["image_bytes"])},
            formats=("saved_model",),
        )
        return Contract((pixels, files))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the losses of stylised crops: total, content, style and variation, means over the crops."""
        return _judge(self.objective(), outputs["stylised"], truth)

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Compare with `gatys_steps` of Gatys on some held-out crops, and with the crops as they are, in one table.

        The metrics get `total_to_gatys`: how many times the total loss of the optimisation the network has; and
        `gatys_steps_to_match`: after how many of its steps it was no better than the network, as Johnson 2016 tells it.
        """
        from zoo.training import neural_style

        n = min(self.compared, len(evaluation.truth))
        if not n or not self.gatys_steps:
            return evaluation
        objective, crops = self.objective(), evaluation.truth[:n]
        paintings = [neural_style.paint(neural_style.Objective(objective, c), c, steps=self.gatys_steps) for c in crops]
        painted = np.stack([painting.image for painting in paintings])
        compared = {
            "this network": _judge(objective, evaluation.outputs["stylised"][:n], crops),
            f"Gatys, {self.gatys_steps} steps": _judge(objective, painted, crops),
            "the photographs": _judge(objective, crops, crops),
        }
        ours, theirs, _ = (row["total"] for row in compared.values())
        behind = np.mean([_best_so_far(painting, self.gatys_steps) for painting in paintings], axis=0) > ours
        figures = {"total_to_gatys": ours / theirs, "gatys_steps_to_match": int(behind.sum()) + 1}
        metrics = {**evaluation.metrics, **figures, "compared": compared}
        return dataclasses.replace(evaluation, metrics=metrics, arrays={"gatys": painted})

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out photographs, what became of them, and what Gatys makes of them."""
        from zoo.evaluation import plots

        n = min(SHOWN, len(evaluation.truth))
        rows = {"photograph": evaluation.truth[:n], "stylised": evaluation.outputs["stylised"][:n]}
        if "gatys" in evaluation.arrays:
            rows[f"Gatys, {self.gatys_steps} steps"] = evaluation.arrays["gatys"][:n]
        yield "stylised", plots.image_rows(rows, "Held-out photographs")
        yield "style", plots.image_grid(_style(self.style, 256)[None], None, "The style")

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file at its own size; DataError where it is none."""
        from zoo.evaluation import images as pictures

        return {"image": pictures.read(argument).astype(np.float32)}

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the painting."""
        from zoo.evaluation.images import to_uint8

        image = to_uint8(outputs["stylised"])
        row = {"input": question, "height": image.shape[0], "width": image.shape[1]}
        return Prediction(lines=(f"stylised, {image.shape[1]}x{image.shape[0]}",), rows=(row,), image=image)


def _style(path: str, side: int) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    from zoo.evaluation import images as pictures

    if path:
        return pictures.read(path, side)
    flower = load_sample_image("flower.jpg")
    return pipelines.images.resize(flower, side * flower.shape[0] // flower.shape[1], side).numpy()


@functools.lru_cache(maxsize=2)  # the judge asks again and again, and the features are 60 MB
def _objective(style: str, side: int, features: str, weights: tuple[float, float, float], precision: str) -> Objective:
    from zoo.core.environment import dtype_policy
    from zoo.modeling import perceptual_loss
    from zoo.weights.vgg import load_vgg

    painted = _style(style, 2 * side)  # a crop sees as much of the style as of a photograph
    with dtype_policy(precision):
        vgg, _ = load_vgg(features)
    return perceptual_loss.Objective(vgg, painted, perceptual_loss.Weights(*weights))


def _best_so_far(painting: Painting, steps: int) -> np.ndarray:
    """Return the least total loss up to each of `steps` steps, those after an early end included: float (steps,)."""
    totals = np.minimum.accumulate([losses["total"] for losses in painting.losses])
    return np.pad(totals, (0, steps - len(totals)), mode="edge")


def _judge(objective: Objective, images: np.ndarray, content: np.ndarray) -> dict[str, float]:
    import tensorflow as tf

    found: dict[str, list[np.ndarray]] = {}
    for i in range(len(images)):
        wanted = objective.content(tf.constant(content[i : i + 1], tf.float32))
        for name, value in objective.losses(tf.constant(images[i : i + 1], tf.float32), wanted).items():
            found.setdefault(name, []).append(value.numpy())
    return {name: float(np.mean(values)) for name, values in found.items()}


def _jpegs(pixels: Endpoint, files: tf.Tensor) -> tf.Tensor:
    """Return JPEG files (B,) of the stylised images in files (B,), each at its own size."""
    import tensorflow as tf

    def one(file: tf.Tensor) -> tf.Tensor:
        image = tf.cast(pipelines.images.decode_upright(file), tf.float32)
        stylised = pixels.call({"image": image[None]})["stylised"][0]
        return tf.io.encode_jpeg(tf.cast(tf.clip_by_value(tf.round(stylised), 0, 255), tf.uint8), quality=95)

    return tf.map_fn(one, files, fn_output_signature=tf.string)


def random_crops(images: tf.Tensor, keys: tf.Tensor, side: int) -> tf.Tensor:
    """Return crops (B, side, side, 3) uint8 of what is 1 to `JUDGED` sides large, from anywhere, mirrored or not."""
    draw = stateless_random.uniform(keys, CROP, 3)
    sides = side * (1 + draw[:, :1] * (JUDGED - 1))
    return augment.flip_horizontal(
        _cut(images, draw[:, 1:] * (tf.cast(images.shape[1], tf.float32) - sides), sides, side), keys
    )


def middle_crops(images: tf.Tensor, side: int) -> tf.Tensor:
    """Return the middle of images (B, H, H, 3), `JUDGED` sides of it, as (B, side, side, 3) uint8."""
    rows, seen = tf.shape(images)[0], JUDGED * side
    return _cut(images, tf.fill([rows, 2], (images.shape[1] - seen) / 2), tf.fill([rows, 1], float(seen)), side)


def _cut(images: tf.Tensor, corners: tf.Tensor, sides: tf.Tensor, side: int) -> tf.Tensor:
    """Return squares of images (B, H, H, 3) at `side`, uint8; corners (B, 2) and their sides (B, 1) are in pixels.

    They are cut at twice the side and averaged, for a smaller picture of fewer pixels would have edges of its own.
    """
    boxes = tf.concat([corners, corners + sides - 1], axis=1) / (images.shape[1] - 1)
    twice = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), [2 * side, 2 * side])
    cut = tf.cast(tf.round(tf.nn.avg_pool2d(twice, 2, 2, "VALID")), tf.uint8)
    return tf.ensure_shape(cut, [None, side, side, 3])
