"""Image generation from noise, with latent interpolation: by a GAN, or of a class by flow matching."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.recipe import Recipe
from zoo.core.task import Prediction, SplitEvaluation
from zoo.tasks.image.base import ImageTask
from zoobase.errors import unknown

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

NOISE, TIME, OMITTED = 0x6A, 0x71, 0xD0  # ids of the random streams of the noise, the times and the omitted classes
UNCONDITIONAL = 0.1  # share of the examples without their class, from which guidance learns images of any class
PREVIEWED = 64  # images of the preview grid of an epoch
SHOWN = 10  # images per row of a figure
STEPS = 8  # images of a latent interpolation


@dataclass(frozen=True)
class ImageGeneration(ImageTask):
    """Generation with the model's own `train_step`; see `zoo.modeling.gan`."""

    title = "image generation"
    adversarial = True
    accepts = ""  # no prediction on single inputs
    generates = ("count", "interpolate")
    monitor = "val_frechet_distance"

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (noise float32 (latent_dim,), image uint8 (H, W, C)); the noise depends on example, epoch and seed."""
        from pipelines import stateless_random

        shape, size = self.shape(info), arguments["latent_dim"]

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor]:
            return (pipelines.images.decode(example["image"], *shape, self.fit),)

        def with_noise(batch: tuple, keys: tf.Tensor) -> tuple:
            return stateless_random.normal(keys, NOISE, size), batch[0]

        return pipelines.feed(split, decode=decode, augment=with_noise)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the Frechet distance, which adversarial models take."""
        from zoo.evaluation.generative_metrics import FrechetDistance, feature_extractor_for

        extractor = feature_extractor_for(info, self.shape(info))
        return {"distances": [FrechetDistance(extractor)]} if self.adversarial else {}

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return a function that generates images from the same noise in every epoch."""
        from zoo.evaluation.images import tile, to_uint8

        (served,) = self.served(model).values()
        endpoint = self.contract(served, info)["serving_default"]
        inputs = inputs_of(endpoint, draw_noise(PREVIEWED, endpoint.inputs[0].shape[-1], seed=0))
        return lambda: tile(list(to_uint8(np.asarray(endpoint.call(inputs)["image"]))))

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the generator alone."""
        return {"": model.generator}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`: noise (B, latent_dim) standard normal -> image (B, H, W, C) in [0, 255]."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint

        noise = Tensor("noise", "float32", (None, served.input_shape[-1]), "noise")
        image = Tensor("image", "float32", (None, *self.shape(info)), "image", low=0.0, high=255.0)
        return Contract((tensor_endpoint(served, [noise], [image]),))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the Frechet distance of generated and real images, or of what `per_example` returns."""
        from zoo.evaluation.generative_metrics import feature_distance

        features = self.per_example(outputs, truth, info)
        return {"frechet_distance": feature_distance(features["real"], features["made"])}

    def per_example(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> Mapping[str, np.ndarray]:
        """Return the features (N, D) of the real and of the generated images."""
        from zoo.evaluation.generative_metrics import collect, feature_extractor_for

        if "image" not in outputs:
            return outputs
        features = feature_extractor_for(info, self.shape(info)).features
        return {"real": collect(features, truth), "made": collect(features, outputs["image"])}

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add bounds of the distance and a Gaussian mixture in one table, precision, recall, and mode collapse."""
        # The metrics are `precision`, `recall`, `frechet_to_noise` (relative to the distance of noise), `diversity`,
        # `compared`, `class_shares` if the feature extractor has classes, `collapsed`, a sentence in `remarks`, and
        # `class_accuracy`: the share of the images that are classified as the class that was asked for.
        from zoo.evaluation import generative_metrics, image_baselines
        from zoo.evaluation import outputs as inference

        extractor = generative_metrics.feature_extractor_for(dataset.info, self.shape(dataset.info))
        real, fake = evaluation.truth, evaluation.outputs["image"]
        training = feed("train").take(image_baselines.MIXTURE_IMAGES).batches(1000, augmented=False)
        images = np.concatenate([image.numpy() for image, *_ in training])
        mixture = image_baselines.sample_mixture(images, len(real))
        compared = generative_metrics.compare_sets(
            extractor, real, fake, {"Gaussian mixture": mixture, "noise": generative_metrics.noise_like(real)}
        )
        row, noise_distance = compared["this model"], compared["noise"]["frechet_distance"]
        extra = {
            "precision": row["precision"],
            "recall": row["recall"],
            "frechet_to_noise": row["frechet_distance"] / noise_distance,
            "feature_extractor": extractor.name,  # a key of evaluation.json
            "compared": compared,
            **generative_metrics.mode_coverage(extractor, real, fake),
        }
        if "class_id" in evaluation.inputs and extractor.class_names == dataset.info.class_names:
            for name, images in {"class_accuracy": fake, "class_accuracy_of_real": real}.items():
                predicted = generative_metrics.collect(extractor.classify, images).argmax(-1)
                extra[name] = float((predicted == evaluation.inputs["class_id"]).mean())
        endpoint = contract["serving_default"]
        inputs = inputs_of(endpoint, interpolate_noise(5, endpoint.inputs[0].shape[-1], seed=0), rows=STEPS)
        between = np.stack(generate_images(inference.caller(contract), inputs))
        arrays = {"between": between.reshape(5, -1, *real.shape[1:])}
        return dataclasses.replace(evaluation, metrics={**evaluation.metrics, **extra}, arrays=arrays)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield made images above real ones, and what lies between two."""
        from zoo.evaluation import plots

        n, made = SHOWN, evaluation.outputs["image"]
        rows = {f"made {i + 1}": made[i * n : (i + 1) * n] for i in range(4) if len(made) > i * n}
        yield "samples", plots.image_rows({**rows, "real": evaluation.truth[:n]}, "Made of noise; and real, below")
        if "between" in evaluation.arrays:
            between = {f"{i + 1}": row for i, row in enumerate(evaluation.arrays["between"])}
            yield "interpolations", plots.image_rows(between, "From one noise to another")

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Prediction:
        """Return a grid of `count` images; with `interpolate`, each row is a latent interpolation."""
        from zoo.evaluation.images import tile

        endpoint = contract["serving_default"]
        size, count = endpoint.inputs[0].shape[-1], options.get("count")
        if options.get("interpolate"):
            noise, columns = interpolate_noise(count or 8, size, seed), STEPS
        else:
            noise, columns = draw_noise(count or 16, size, seed), None
        name, names = options.get("class_name"), list(info.class_names or ())
        if name is not None and name not in names:
            raise unknown("class", name, names)
        inputs = inputs_of(endpoint, noise, columns or 1, None if name is None else names.index(name))
        return Prediction(image=tile(generate_images(call, inputs), columns))


@dataclass(frozen=True)
class ClassImageGeneration(ImageGeneration):
    """Generation of images of a class by flow matching; see `zoo.models.flow_matching`."""

    adversarial = False
    required_features = ("image", "label")
    generates = (*ImageGeneration.generates, "class_name")
    monitor = "val_loss"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of classes and the shape of the images."""
        return {"num_classes": info.num_classes, **super().model_args(info)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({"noise": (H * W * C,), "class_id", "time" in (0, 1), "condition"}, image uint8 (H, W, C))."""
        # The condition is the class, or for some examples `num_classes`, which stands for any class.
        import tensorflow as tf

        from pipelines import stateless_random

        shape = self.shape(info)

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            image = pipelines.images.decode(example["image"], *shape, self.fit)
            return image, tf.cast(example["label"], tf.int32)

        def at_times(batch: tuple, keys: tf.Tensor) -> tuple:
            image, class_id = batch
            is_omitted = stateless_random.uniform(keys, OMITTED, 1)[:, 0] < UNCONDITIONAL
            inputs = {
                "noise": stateless_random.normal(keys, NOISE, math.prod(shape)),
                "class_id": class_id,
                "time": tf.sigmoid(stateless_random.normal(keys, TIME, 1)[:, 0]),  # Esser 2024, arXiv:2403.03206
                "condition": tf.where(is_omitted, arguments["num_classes"], class_id),
            }
            return inputs, image

        return pipelines.feed(split, decode=decode, augment=at_times)

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the model: its call is the sampler."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`: noise (B, H * W * C) and class_id (B,) -> image (B, H, W, C) in [0, 255]."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import tensor_endpoint

        shape = self.shape(info)
        noise = Tensor("noise", "float32", (None, math.prod(shape)), "noise")
        class_id = Tensor("class_id", "int32", (None,), "token", low=0, high=info.num_classes - 1)
        image = Tensor("image", "float32", (None, *shape), "image", low=0.0, high=255.0)
        return Contract((tensor_endpoint(served, [noise, class_id], [image], structure="dict"),), info.class_names)


def draw_noise(count: int, size: int, seed: int) -> np.ndarray:
    """Return standard normal noise, float32 (count, size)."""
    return np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)


def inputs_of(
    endpoint: Endpoint, noise: np.ndarray, rows: int = 1, class_id: int | None = None
) -> dict[str, np.ndarray]:
    """Return the inputs of an endpoint for noise (N, size): of one class, or all in turn, each for `rows` rows."""
    first, *others = endpoint.inputs
    turns = np.arange(len(noise)) // rows
    ids = {t.name: turns % (t.high + 1) if class_id is None else np.full_like(turns, class_id) for t in others}
    return {first.name: noise} | {t.name: t.array(ids[t.name]) for t in others}


def interpolate_noise(count: int, size: int, seed: int, steps: int = STEPS) -> np.ndarray:
    """Return `count` interpolations of `steps` points between random noise vectors, float32 (count * steps, size)."""
    # Spherical (White 2016, arXiv:1609.04468): a linear midpoint has a smaller norm than the noise of the training.
    ends = draw_noise(2 * count, size, seed).astype(np.float64)
    return np.concatenate([_slerp(a, b, steps) for a, b in zip(ends[::2], ends[1::2], strict=True)]).astype(np.float32)


def _slerp(a: np.ndarray, b: np.ndarray, steps: int) -> np.ndarray:
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = max(np.arccos(np.clip(cosine, -1, 1)), 1e-6)
    weight = np.linspace(0, 1, steps)[:, None]
    return (np.sin((1 - weight) * angle) * a + np.sin(weight * angle) * b) / np.sin(angle)


def generate_images(
    call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]], inputs: Mapping[str, np.ndarray]
) -> list:
    """Return an image uint8 (H, W, C) for each row of inputs, one by one because TFLite files have batch size 1."""
    from zoo.evaluation.images import to_uint8

    rows = ({name: values[i : i + 1] for name, values in inputs.items()} for i in range(len(inputs["noise"])))
    return [to_uint8(call("serving_default", row)["image"][0]) for row in rows]
