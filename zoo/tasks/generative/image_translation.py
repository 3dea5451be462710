"""Pictures of one kind into pictures of another, with pairs to learn from or without."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.errors import UsageError
from zoo.core.recipe import Recipe
from zoo.core.task import Evaluation, Prediction
from zoo.evaluation.image_similarity import compare_images
from zoo.tasks.image.base import SizedByData

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

DIRECTIONS = ("a2b", "b2a")
WATCHED = 8  # rows of the grid that is drawn after every epoch
SHOWN = 10  # pictures of a row in a figure


@dataclass(frozen=True)
class ImageTranslation(SizedByData):
    """What both kinds share: their sizes, one picture in, one picture out."""

    title = "image to image translation"

    def both(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, training: bool, finish: Callable[[Any, Any], Any]
    ) -> Feed:
        """Return the feed of what `finish` makes of batches of both sides, uint8 (B, H, W, C); moved alike, if at all.

        Args:
            split: Examples {"a", "b"} of encoded images.
            info: Of the data.
            recipe: Whose augmentation moves them while training.
            training: Whether it does.
            finish: (a, b) -> batch.
        """
        import tensorflow as tf

        shape = self.shape(info)
        move = pipelines.augment.policy(recipe.augment) if training else None

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor]:
            sides = [pipelines.images.decode(example[side], *shape, self.fit) for side in "ab"]
            return (tf.concat(sides, axis=-1),)

        def apart(batch: tuple, keys: tf.Tensor) -> Any:
            (images,) = move(batch, keys) if move else batch
            return finish(*tf.split(images, 2, axis=-1))

        return pipelines.feed(split, decode=decode, augment=apart)

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Give each side an optimizer of the recipe, and the model the distances that validation shows."""
        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        sides = make_optimizer(recipe, steps), make_optimizer(recipe, steps)
        model.compile(*sides, distances=self.distances(info), jit_compile=False)

    def distances(self, info: Info) -> list[keras.metrics.Metric]:
        """Return metrics of (real, made), one for each pair that the model's `compute_losses` returns."""
        return []

    def translator(self, served: keras.Model, info: Info, ends: tuple[str, str]) -> Contract:
        """Return `serving_default`, from one picture (B, H, W, C) in [0, 255] to another."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint

        given, made = (Tensor(end, "float32", (None, *self.shape(info)), "image", low=0.0, high=255.0) for end in ends)
        return Contract((tensor_endpoint(served, [given], [made]),))

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file; DataError where it is none."""
        (tensor,) = endpoint.inputs
        return {tensor.name: pipelines.images.read(argument, *tensor.shape[1:], self.fit)}

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the picture that became of it."""
        from zoo.evaluation.images import to_uint8

        image = to_uint8(next(iter(outputs.values())))
        row = {"input": question, "height": image.shape[0], "width": image.shape[1]}
        return Prediction(lines=(f"translated, {image.shape[1]}x{image.shape[0]}",), rows=(row,), image=image)


@dataclass(frozen=True)
class PairedImageTranslation(ImageTranslation):
    """Translation learned from pairs.

    Attributes:
        direction: "a2b" or "b2a": which side of the data is given, and which is made.
    """

    direction: str = "a2b"

    monitor = "val_l1"

    def __post_init__(self) -> None:
        """Raise UsageError for a direction that there is not."""
        if self.direction not in DIRECTIONS:
            raise UsageError(f"task.direction={self.direction} is not usable: it must be a2b or b2a")

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (given, wanted), each uint8 (H, W, C)."""
        there = self.direction == "a2b"
        return self.both(split, info, recipe, training, lambda a, b: (a, b) if there else (b, a))

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return what draws rows of given, made and wanted."""
        given, wanted = (x.numpy() for x in next(iter(validation.take(WATCHED).batches(WATCHED))))
        return lambda: rows_of(given, model.generator(given, training=False), wanted)

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the generator alone."""
        return {"": model.generator}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`: image -> translated, both (B, H, W, C) in [0, 255]."""
        return self.translator(served, info, ("image", "translated"))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return mean squared error of pixels in [0, 1], PSNR and SSIM."""
        return compare_images(truth, outputs["translated"])

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Compare with what costs nothing, in one table: the input as it is, and the mean of all targets.

        The table also has the Frechet distance, which a blurred picture cannot buy; the metrics get `psnr_gain_db` over
        the better of the two.
        """
        from zoo.evaluation.generative_metrics import collect, distance_of
        from zoo.training.feature_extractor import feature_extractor_for

        truth, judge = evaluation.truth, feature_extractor_for(self.shape(dataset.info))
        mean = _mean(feed("train"))
        rows = {
            "this model": evaluation.outputs["translated"],
            "the input": evaluation.inputs["image"],
            "mean of all targets": np.broadcast_to(mean, truth.shape),
        }
        real = collect(judge.features, truth)
        compared = {
            name: compare_images(truth, images)
            | {"frechet_distance": distance_of(real, collect(judge.features, np.asarray(images)))}
            for name, images in rows.items()
        }
        ours, *others = (row["psnr_db"] for row in compared.values())
        extra = {"psnr_gain_db": ours - max(others), "frechet_distance": compared["this model"]["frechet_distance"]}
        extra |= {"judge": judge.name, "compared": compared}
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, **extra})

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out pictures: given, made and wanted."""
        from zoo.evaluation import plots

        said = {
            "given": evaluation.inputs["image"],
            "made": evaluation.outputs["translated"],
            "wanted": evaluation.truth,
        }
        yield "translations", plots.image_rows({k: v[:SHOWN] for k, v in said.items()}, "Held-out pictures")


def _mean(training: Feed) -> np.ndarray:
    total = sum(y.numpy().sum(axis=0, dtype=np.float64) for _, y in training.batches(500))
    return (total / training.count).astype(np.float32)


def rows_of(*columns: Any) -> np.ndarray:
    """Return the pictures (N, H, W, C) of each column beside each other in N rows: one uint8 picture."""
    from zoo.evaluation.images import tile, to_uint8

    ready = [to_uint8(np.asarray(column)) for column in columns]
    return tile([image for row in zip(*ready, strict=True) for image in row], columns=len(columns))
