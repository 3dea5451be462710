"""Style transfer by a feed-forward network that is trained on crops of different scales."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

import pipelines
from pipelines import augment, stateless_random
from zoo.core.recipe import Recipe
from zoo.core.task import BaseTask, Prediction, SplitEvaluation
from zoo.evaluation.image_similarity import means
from zoobase.errors import UsageError

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed
    from zoo.modeling.perceptual_loss import Objective
    from zoo.training.neural_style import StyleResult

SHOWN = 4  # held-out crops in a figure
CROP = 8  # id of the random stream of the crops
PHOTO_SCALE = 3  # size of the resized photographs relative to a crop
MAX_SCALE = 2  # largest region of a crop relative to its size; also the region of evaluation crops


@dataclass(frozen=True)
class StyleTransfer(BaseTask):
    """Style transfer by a feed-forward network."""

    # image file of the style, or one of `pipelines.datasets.wallpapers.STYLES`; empty is a photograph of a flower from
    # scikit-learn
    style: str = ""
    side: int = 128  # height and width of the training crops, in pixels
    crops: int = 0  # crops per photograph and epoch; 0 is as many as give about 1,000 crops per epoch
    alpha: float = 5.0  # weight of the content loss
    beta: float = 1.6e4  # weight of the style loss
    variation: float = 0.2  # weight of the total variation loss, which smooths
    features: str = "auto"  # loss network: "vgg19", "vgg16", "hed", or "auto" for the first that is available
    compared: int = 2  # number of held-out crops that are also stylised by the optimisation of Gatys, for comparison
    gatys_steps: int = 300  # steps of that optimisation

    title = "style transfer"
    required_features = ("image",)
    accepts = "images"

    def __post_init__(self) -> None:
        """Raise UsageError for crops that are too small for the losses, or of invalid size."""
        if self.side < 32 or self.side % 4:
            raise UsageError(f"task.side={self.side} is not valid: it must be a multiple of 4 and at least 32")

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return nothing: the network takes images of any size."""
        return {}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (crop, the same crop), uint8 (side, side, 3): random crops and flips for training, else the centre."""
        size = PHOTO_SCALE * self.side
        photographs = split.map(lambda e: pipelines.images.decode(e["image"], size, size, 3, "crop"))
        if training:
            crops = self.crops or max(1, 1000 // int(split.cardinality()))
            photographs = photographs.cache().repeat(crops) if crops > 1 else photographs  # few enough for the memory

        def crop(images: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            cropped = random_crops(images, keys, self.side) if training else center_crops(images, self.side)
            return cropped, cropped

        return pipelines.feed(photographs, augment=crop)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the losses in the precision of the model."""
        return {"objective": self.objective(model.compute_dtype)}

    def objective(self, precision: str = "float32") -> Objective:
        """Return the losses for this style, computed in "float32" or "bfloat16"."""
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
        )
        return Contract((pixels, files))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the mean losses, total, content, style and variation, of images or of what `per_example` returns."""
        return means(self.per_example(outputs, truth, info))

    def per_example(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> Mapping[str, np.ndarray]:
        """Return the losses (N,) of each stylised crop."""
        return _losses(self.objective(), outputs["stylised"], truth) if "stylised" in outputs else outputs

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with `gatys_steps` of Gatys on some held-out crops, and with the unchanged crops, in one table."""
        # The metrics are `total_to_gatys`, the ratio of the total losses of the network and of the optimisation, and
        # `gatys_steps_to_match`, the number of optimisation steps with the same loss as the network (Johnson 2016).
        from zoo.training import neural_style

        n = min(self.compared, len(evaluation.truth))
        if not n or not self.gatys_steps:
            return evaluation
        objective, crops = self.objective(), evaluation.truth[:n]
        results = [
            neural_style.optimize_image(neural_style.Objective(objective, c), c, steps=self.gatys_steps) for c in crops
        ]
        optimized = np.stack([result.image for result in results])
        compared = {
            "this network": means(_losses(objective, evaluation.outputs["stylised"][:n], crops)),
            f"Gatys, {self.gatys_steps} steps": means(_losses(objective, optimized, crops)),
            "the photographs": means(_losses(objective, crops, crops)),
        }
        network_loss, gatys_loss, _ = (row["total"] for row in compared.values())
        higher = np.mean([_running_minimum(result, self.gatys_steps) for result in results], axis=0) > network_loss
        extra = {"total_to_gatys": network_loss / gatys_loss, "gatys_steps_to_match": int(higher.sum()) + 1}
        metrics = {**evaluation.metrics, **extra, "compared": compared}
        return dataclasses.replace(evaluation, metrics=metrics, arrays={"gatys": optimized})

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out photographs, what became of them, and what Gatys makes of them."""
        from zoo.evaluation import plots

        n = min(SHOWN, len(evaluation.truth))
        rows = {"photograph": evaluation.truth[:n], "stylised": evaluation.outputs["stylised"][:n]}
        if "gatys" in evaluation.arrays:
            rows[f"Gatys, {self.gatys_steps} steps"] = evaluation.arrays["gatys"][:n]
        yield "stylised", plots.image_rows(rows, "Held-out photographs")
        yield "style", plots.image_grid(_style(self.style, 256)[None], None, "The style")

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file at its own size; DataError if it is not an image."""
        from zoo.evaluation import images

        return {"image": images.read(argument).astype(np.float32)}

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the stylised image."""
        from zoo.evaluation.images import to_uint8

        image = to_uint8(outputs["stylised"])
        row = {"input": argument, "height": image.shape[0], "width": image.shape[1]}
        return Prediction(lines=(f"stylised, {image.shape[1]}x{image.shape[0]}",), rows=(row,), image=image)


def _style(path: str, side: int) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    from pipelines.datasets import wallpapers
    from zoo.evaluation import images

    if path in wallpapers.STYLES and not Path(path).exists():
        path = str(wallpapers.style(path))
    if path:
        return images.read(path, side)
    flower = load_sample_image("flower.jpg")
    return pipelines.images.resize(flower, side * flower.shape[0] // flower.shape[1], side).numpy()


@functools.lru_cache(maxsize=2)  # the features are 60 MB and are used repeatedly
def _objective(style: str, side: int, features: str, weights: tuple[float, float, float], precision: str) -> Objective:
    from zoo.core.environment import dtype_policy
    from zoo.modeling import perceptual_loss
    from zoo.weights.vgg import load_vgg

    image = _style(style, 2 * side)  # the same scale as the crops of the photographs
    with dtype_policy(precision):
        vgg, _ = load_vgg(features)
    return perceptual_loss.Objective(vgg, image, perceptual_loss.Weights(*weights))


def _running_minimum(result: StyleResult, steps: int) -> np.ndarray:
    """Return the lowest total loss up to each of `steps` steps, extended after an early end: float (steps,)."""
    totals = np.minimum.accumulate([losses["total"] for losses in result.losses])
    return np.pad(totals, (0, steps - len(totals)), mode="edge")


def _losses(objective: Objective, images: np.ndarray, content: np.ndarray) -> dict[str, np.ndarray]:
    losses: dict[str, list[np.ndarray]] = {}
    for i in range(len(images)):
        features = objective.content(tf.constant(content[i : i + 1], tf.float32))
        for name, value in objective.losses(tf.constant(images[i : i + 1], tf.float32), features).items():
            losses.setdefault(name, []).append(value.numpy())
    return {name: np.concatenate(values) for name, values in losses.items()}


def _jpegs(pixels: Endpoint, files: tf.Tensor) -> tf.Tensor:
    """Return the stylised images of image files (B,) as JPEG files (B,), each at its own size."""

    def one(file: tf.Tensor) -> tf.Tensor:
        image = tf.cast(pipelines.images.decode_upright(file), tf.float32)
        stylised = pixels.call({"image": image[None]})["stylised"][0]
        return tf.io.encode_jpeg(tf.cast(tf.clip_by_value(tf.round(stylised), 0, 255), tf.uint8), quality=95)

    return tf.map_fn(one, files, fn_output_signature=tf.string)


def random_crops(images: tf.Tensor, keys: tf.Tensor, side: int) -> tf.Tensor:
    """Return random, randomly flipped crops (B, side, side, 3) uint8 of regions of 1 to `MAX_SCALE` times `side`."""
    draw = stateless_random.uniform(keys, CROP, 3)
    sides = side * (1 + draw[:, :1] * (MAX_SCALE - 1))
    return augment.flip_horizontal(
        _crop_and_resize(images, draw[:, 1:] * (tf.cast(images.shape[1], tf.float32) - sides), sides, side), keys
    )


def center_crops(images: tf.Tensor, side: int) -> tf.Tensor:
    """Return the centre of images (B, H, H, 3), a region of `MAX_SCALE` times `side`, as (B, side, side, 3) uint8."""
    rows, region = tf.shape(images)[0], MAX_SCALE * side
    corners = tf.fill([rows, 2], (images.shape[1] - region) / 2)
    return _crop_and_resize(images, corners, tf.fill([rows, 1], float(region)), side)


def _crop_and_resize(images: tf.Tensor, corners: tf.Tensor, sides: tf.Tensor, side: int) -> tf.Tensor:
    """Return squares of images (B, H, H, 3) resized to `side`, uint8; corners (B, 2) and sides (B, 1) are in pixels."""
    # They are resized to twice the size and averaged, which avoids aliasing.
    boxes = tf.concat([corners, corners + sides - 1], axis=1) / (images.shape[1] - 1)
    twice = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), [2 * side, 2 * side])
    crops = tf.cast(tf.round(tf.nn.avg_pool2d(twice, 2, 2, "VALID")), tf.uint8)
    return tf.ensure_shape(crops, [None, side, side, 3])
