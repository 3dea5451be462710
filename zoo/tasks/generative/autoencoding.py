"""Images through a narrow code and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.core.errors import MissingError, UsageError
from zoo.core.recipe import Recipe
from zoo.core.task import Evaluation, Prediction
from zoo.evaluation.image_similarity import compare_images
from zoo.tasks.image.base import ImageTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

LATENT_SIZES = {"conv": 32, "dense": 32, "denoising": 128, "variational": 16}
NOISE = 0xAE  # the stream of random numbers, next to those of the augmentations
PROBED = 10_000  # training examples that a linear probe learns from
SHOWN = 10  # held-out images in a figure
STEPS = 8  # images of an interpolation


def latent_size(kind: str, latent_dim: int | None) -> int:
    """Return the size of the code: `latent_dim`, or what the kind has by default; UsageError for less than one."""
    size = LATENT_SIZES[kind] if latent_dim is None else latent_dim
    if not isinstance(size, int) or size < 1:
        raise UsageError(f"model.latent_dim={latent_dim} is not usable: it must be a positive whole number")
    return size


@dataclass(frozen=True)
class Autoencoding(ImageTask):
    """Autoencoding with the model's own `train_step`; the model has `encode` and `decode`.

    Attributes:
        sigma: Standard deviation of the noise that a denoising model is taught with, of pixels in [0, 1].
    """

    sigma: float = 0.3

    title = "autoencoding"
    generates = True

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the shape of the images."""
        return {"image_shape": [self.height, self.width, self.channels]}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (image uint8 (H, W, C), the same image); all noise is keyed by example, none is in the graph.

        Denoising: the first image is float32 with Gaussian noise of `sigma`, clipped to [0, 255] as pictures are.
        Variational: ({"image", "noise": float32 (latent_dim,)}, image).
        """
        import tensorflow as tf

        from pipelines import stateless_random

        kind = arguments["kind"]

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor]:
            return (self.preprocess(example["image"]),)

        def pair(batch: tuple, keys: tf.Tensor) -> tuple:
            (image,) = batch
            if kind == "denoising":
                noise = tf.reshape(stateless_random.normal(keys, NOISE, np.prod(image.shape[1:])), tf.shape(image))
                return tf.clip_by_value(tf.cast(image, tf.float32) + 255 * self.sigma * noise, 0.0, 255.0), image
            if kind == "variational":
                noise = stateless_random.normal(keys, NOISE, latent_size(kind, arguments["latent_dim"]))
                return {"image": image, "noise": noise}, image
            return image, image

        return pipelines.feed(split, decode=decode, augment=pair)

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Give the model its optimizer; the losses are its own."""
        from zoo.training.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        model.compile(optimizer=make_optimizer(recipe, steps), jit_compile=False)

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` and `reconstruct` (image[, noise] -> reconstruction), `encode` and `decode`.

        `encode` returns `latent`; of a variational model `mean` and `log_variance`.
        """
        from export.contract import Contract, Endpoint, Tensor
        from export.contract.endpoints import tensor_endpoint

        shape, size = (None, self.height, self.width, self.channels), served.latent_dim
        image = Tensor("image", "float32", shape, "image", low=0.0, high=255.0)
        picture = Tensor("reconstruction", "float32", shape, "image", low=0.0, high=255.0)
        latent = Tensor("latent", "float32", (None, size), "latent")
        noise = [Tensor("noise", "float32", (None, size), "noise")] if served.code_sizes == 2 else []
        codes = ("mean", "log_variance") if noise else ("latent",)
        beside_keras = ("saved_model", "tflite", "onnx")  # a Keras file holds the model's own call only

        def encode(inputs: Mapping[str, Any]) -> dict[str, Any]:
            code = served.encode(inputs["image"])
            return dict(zip(codes, code if noise else (code,), strict=True))

        own = tensor_endpoint(served, [image, *noise], [picture], structure="dict" if noise else "tensor")
        return Contract(
            (
                own,
                dataclasses.replace(own, name="reconstruct", formats=beside_keras),
                Endpoint(
                    "encode",
                    (image,),
                    tuple(Tensor(n, "float32", (None, size), "latent") for n in codes),
                    call=encode,
                    formats=beside_keras,
                ),
                Endpoint(
                    "decode",
                    (latent,),
                    (picture,),
                    call=lambda x: {"reconstruction": served.decode(x["latent"])},
                    formats=beside_keras,
                ),
            )
        )

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return mean squared error of pixels in [0, 1], PSNR and SSIM."""
        return compare_images(truth, outputs["reconstruction"])

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Compare with PCA of the same size in one table, probe the codes, and look between them.

        The metrics get `mse_below_pca` (a share), `psnr_gain_db` where noise went in, `linear_probe_accuracy` where
        there are classes, and `compared`: a row for the model, for PCA, and for the noisy input.
        """
        from zoo.evaluation import baselines
        from zoo.evaluation import outputs as inference

        encode, code = contract["encode"], contract["encode"].outputs[0].name
        training = feed("train")
        pca = baselines.fit_pca(
            np.concatenate([y.numpy() for _, y, *_ in training.batches(1000)]), encode.outputs[0].shape[-1]
        )
        inputs, truth = evaluation.inputs["image"], evaluation.truth
        codes = inference.collect(encode, feed(evaluation.split), dataset.info).outputs[code]
        linear = baselines.reconstruct(pca, inputs)
        ours, theirs = dict(evaluation.metrics), compare_images(truth, linear)
        extra = {"mse_below_pca": 1 - ours["mse"] / theirs["mse"]}
        compared = {"autoencoder": dict(ours), "PCA": theirs}
        if not np.array_equal(inputs, truth):
            compared["noisy input"] = compare_images(truth, inputs)
            extra["psnr_gain_db"] = ours["psnr_db"] - compared["noisy input"]["psnr_db"]
        found = {"codes": codes, "linear": linear[:SHOWN], "between": _between(contract["decode"], codes)}
        if "label" in dataset.train.element_spec:
            found["labels"] = labels = _labels(dataset[evaluation.split])
            learned = inference.collect(encode, training.take(PROBED), dataset.info)
            from_linear = baselines.encode(pca, learned.inputs["image"])
            known = _labels(dataset.train.take(PROBED))
            for row, train_codes, test_codes in (
                ("autoencoder", learned.outputs[code], codes),
                ("PCA", from_linear, baselines.encode(pca, inputs)),
            ):
                compared[row]["linear_probe_accuracy"] = baselines.linear_probe(train_codes, known, test_codes, labels)
            extra["linear_probe_accuracy"] = compared["autoencoder"]["linear_probe_accuracy"]
        return dataclasses.replace(evaluation, metrics={**ours, **extra, "compared": compared}, arrays=found)

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield reconstructions (also those of PCA), the codes in two dimensions, and interpolations."""
        from zoo.evaluation import plots

        n, found = min(SHOWN, len(evaluation.truth)), evaluation.arrays
        rows = {"true": evaluation.truth[:n], "reconstructed": evaluation.outputs["reconstruction"][:n]}
        if "linear" in found:
            rows["PCA of the same size"] = found["linear"][:n]
        if "psnr_gain_db" in evaluation.metrics:
            rows = {"noisy": evaluation.inputs["image"][:n], **rows}
            yield "noisy_and_clean", plots.image_rows(rows, "Held-out images: noise in, clean out")
        else:
            yield "reconstructions", plots.image_rows(rows, "Held-out images")
        if "labels" in found:
            names = evaluation.info.class_names or [str(i) for i in np.unique(found["labels"])]
            yield (
                "latent_space",
                plots.scatter(_in_plane(found["codes"]), found["labels"], names, "Codes of held-out images"),
            )
        if "between" in found:
            between = {f"{i + 1}": row for i, row in enumerate(found["between"])}
            yield "interpolations", plots.image_rows(between, "From one held-out image to another, through the code")

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file, and zeros where the model takes noise: the mean code."""
        sizes = {t.name: t.shape[-1] for t in endpoint.inputs}
        noise = {"noise": np.zeros(sizes["noise"], np.float32)} if "noise" in sizes else {}
        return {"image": self.read(argument), **noise}

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return how good the reconstruction is, and a picture: the image on the left, its reconstruction right."""
        from zoo.evaluation.images import to_uint8

        image, picture = self.read(question), to_uint8(outputs["reconstruction"])
        quality = compare_images(image[None], picture[None])
        row = {"input": question, **{name: round(value, 6) for name, value in quality.items()}}
        text = "reconstructed: " + ", ".join(f"{name} {value:.4g}" for name, value in quality.items())
        return Prediction(lines=(text,), rows=(row,), image=np.concatenate([image, picture], axis=1))

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Prediction:
        """Return a grid of images decoded from standard normal codes; MissingError if the codes are not made so."""
        from zoo.evaluation.images import tile, to_uint8

        if "noise" not in {t.name for t in contract["serving_default"].inputs}:
            raise MissingError("only a variational autoencoder makes new images: train one with --kind variational")
        size = contract["decode"].inputs[0].shape[-1]
        codes = np.random.default_rng(seed).standard_normal((options.get("count", 16), size)).astype(np.float32)
        images = [to_uint8(call("decode", {"latent": code[None]})["reconstruction"][0]) for code in codes]
        return Prediction(image=tile(images))


def _labels(split: tf.data.Dataset) -> np.ndarray:
    return np.array([int(example["label"]) for example in split.as_numpy_iterator()])


def _between(decode: Endpoint, codes: np.ndarray, pairs: int = 5) -> np.ndarray:
    """Return (pairs, STEPS, H, W, C): what lies between the codes of two images, in equal steps."""
    import tensorflow as tf

    pairs = min(pairs, len(codes) // 2)
    share = np.linspace(0, 1, STEPS, dtype=np.float32)[:, None]
    rows = [(1 - share) * codes[2 * i] + share * codes[2 * i + 1] for i in range(pairs)]
    images = decode.call({decode.inputs[0].name: tf.constant(np.concatenate(rows))})["reconstruction"].numpy()
    return images.reshape(pairs, STEPS, *images.shape[1:])


def _in_plane(codes: np.ndarray) -> np.ndarray:
    """Return codes (N, size) in the two directions in which they vary most, (N, 2)."""
    from sklearn.decomposition import PCA

    return codes if codes.shape[1] <= 2 else PCA(2).fit_transform(codes)
