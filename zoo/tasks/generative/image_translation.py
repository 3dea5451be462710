"""Image to image translation: base class, and training on pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.recipe import Recipe
from zoo.core.task import Prediction, SplitEvaluation
from zoo.evaluation.image_similarity import means, similarities
from zoo.tasks.image.base import ImageTask
from zoobase.errors import UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

DIRECTIONS = ("a2b", "b2a")
PREVIEWED = 8  # rows of the preview grid of an epoch
SHOWN = 10  # images per row of a figure
FITTED_PIXELS = 1024  # numbers of an image up to which baselines are fitted


@dataclass(frozen=True)
class ImageTranslation(ImageTask):
    """Base class of paired and unpaired translation: one input image, one output image."""

    title = "image to image translation"
    adversarial = True
    supports = frozenset({"augment"})
    required_features = ("a", "b")

    def pair_feed(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, training: bool, finish: Callable[[Any, Any], Any]
    ) -> Feed:
        """Return a feed of the images of both domains; both get the same augmentation."""
        # `finish` maps the images (a, b), uint8 (B, H, W, C), to a batch of the feed.
        import tensorflow as tf

        shape = self.shape(info)
        augment = pipelines.augment.policy(recipe.augment) if training else None

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor]:
            images = [pipelines.images.decode(example[domain], *shape, self.fit) for domain in "ab"]
            return (tf.concat(images, axis=-1),)

        def augment_and_split(batch: tuple, keys: tf.Tensor) -> Any:
            (images,) = augment(batch, keys) if augment else batch
            return finish(*tf.split(images, 2, axis=-1))

        return pipelines.feed(split, decode=decode, augment=augment_and_split)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the validation distances."""
        return {"distances": self.distances(info)}

    def distances(self, info: Info) -> list[keras.metrics.Metric]:
        """Return metrics of (real, fake), one for each pair that the model's `compute_losses` returns."""
        return []

    def translation_contract(self, served: keras.Model, info: Info, ends: tuple[str, str]) -> Contract:
        """Return `serving_default`, from one image (B, H, W, C) in [0, 255] to another."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint

        source = self.tensor(info, ends[0])
        target = Tensor(ends[1], "float32", source.shape, "image", low=0.0, high=255.0)
        return Contract((tensor_endpoint(served, [source], [target]),))

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file; DataError if it is not an image."""
        (tensor,) = endpoint.inputs
        return {tensor.name: pipelines.images.read(argument, *tensor.shape[1:], self.fit)}

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the translated image."""
        from zoo.evaluation.images import to_uint8

        image = to_uint8(next(iter(outputs.values())))
        row = {"input": argument, "height": image.shape[0], "width": image.shape[1]}
        return Prediction(lines=(f"translated, {image.shape[1]}x{image.shape[0]}",), rows=(row,), image=image)


@dataclass(frozen=True)
class PairedImageTranslation(ImageTranslation):
    """Translation that is trained on pairs."""

    direction: str = "a2b"  # "a2b" or "b2a": from which domain of the data to which

    monitor = "val_l1"

    def __post_init__(self) -> None:
        """Raise UsageError for an unknown direction."""
        if self.direction not in DIRECTIONS:
            raise UsageError(f"task.direction={self.direction} is not valid: it must be a2b or b2a")

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (input, target), each uint8 (H, W, C)."""
        forward = self.direction == "a2b"
        return self.pair_feed(split, info, recipe, training, lambda a, b: (a, b) if forward else (b, a))

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return a function that draws rows of input, output and target."""
        inputs, targets = (x.numpy() for x in next(iter(validation.take(PREVIEWED).batches(PREVIEWED))))
        return lambda: image_columns(inputs, model.generator(inputs, training=False), targets)

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the generator alone."""
        return {"": model.generator}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`: image -> translated, both (B, H, W, C) in [0, 255]."""
        return self.translation_contract(served, info, ("image", "translated"))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return mean squared error of pixels in [0, 1], PSNR and SSIM, of images or of what `per_example` returns."""
        return means(self.per_example(outputs, truth, info))

    def per_example(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> Mapping[str, np.ndarray]:
        """Return the similarities (N,) of each image with its truth."""
        return similarities(truth, outputs["translated"]) if "translated" in outputs else outputs

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Compare with the unchanged input, the mean of all targets and, of small images, two fitted baselines."""
        # These are ridge regression of the pixels and the mean of the targets of the nearest inputs. The metrics get
        # the Frechet distance, which blurred images do not lower, and `psnr_gain_db` over the best baseline.
        from zoo.evaluation import image_baselines
        from zoo.evaluation.generative_metrics import collect, feature_distance, feature_extractor_for

        truth, inputs = evaluation.truth, evaluation.inputs["image"]
        images = {"the input": inputs, "mean of all targets": np.broadcast_to(_mean(feed("train")), truth.shape)}
        if inputs[0].size <= FITTED_PIXELS:
            pairs = [image_baselines.pairs_of(feed(name).batches(500)) for name in ("train", "validation")]
            images |= image_baselines.translations(*pairs, inputs)
        baselines = {name: {"translated": translated} for name, translated in images.items()}
        best = max(self.metrics(outputs, truth, dataset.info)["psnr_db"] for outputs in baselines.values())
        extractor = feature_extractor_for(dataset.info, self.shape(dataset.info))
        features = [collect(extractor.features, x) for x in (truth, evaluation.outputs["translated"])]
        extra = {"psnr_gain_db": evaluation.metrics["psnr_db"] - best, "frechet_distance": feature_distance(*features)}
        extra |= {"feature_extractor": extractor.name}  # a key of evaluation.json
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, **extra}, baselines=baselines)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out images: input, generated and target."""
        from zoo.evaluation import plots

        rows = {
            "input": evaluation.inputs["image"],
            "generated": evaluation.outputs["translated"],
            "target": evaluation.truth,
        }
        yield "translations", plots.image_rows({k: v[:SHOWN] for k, v in rows.items()}, "Held-out images")


def _mean(training: Feed) -> np.ndarray:
    total = sum(y.numpy().sum(axis=0, dtype=np.float64) for _, y in training.batches(500))
    return (total / training.count).astype(np.float32)


def image_columns(*columns: Any) -> np.ndarray:
    """Return one uint8 image with N rows, of the images (N, H, W, C) of each column."""
    from zoo.evaluation.images import tile, to_uint8

    images = [to_uint8(np.asarray(column)) for column in columns]
    return tile([image for row in zip(*images, strict=True) for image in row], columns=len(columns))
