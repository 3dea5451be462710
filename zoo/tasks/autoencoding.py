"""Images through a narrow code and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.recipes import Recipe
from zoo.specs import Evaluation, Shown
from zoo.tasks.images import ImageTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Info
    from pipelines.feeding import Feed

NOISE = 0xAE  # the stream of random numbers, next to those of the augmentations


@dataclass(frozen=True)
class Autoencoding(ImageTask):
    """Variational autoencoding with the model's own `train_step`; the model has `encode` and `decode`."""

    title = "autoencoding"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the shape of the images."""
        return {"image_shape": [self.height, self.width, self.channels]}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({"image": uint8 (H, W, C), "noise": float32 (latent_dim,)}, image); the noise is keyed."""
        from pipelines import keyed

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor]:
            return (self.preprocess(example["image"]),)

        def with_noise(batch: tuple, keys: tf.Tensor) -> tuple:
            noise = keyed.normal(keys, NOISE, arguments["latent_dim"])
            return {"image": batch[0], "noise": noise}, batch[0]

        return pipelines.feed(split, decode=decode, augment=with_noise)

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Give the model its optimizer; the losses are its own."""
        from zoo.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        model.compile(optimizer=make_optimizer(recipe, steps), jit_compile=False)

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the model itself."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (image, noise -> reconstruction), `encode` and `decode`."""
        from export.contract import Contract, Endpoint, Tensor
        from export.endpoints import tensor_endpoint

        shape, size = (None, self.height, self.width, self.channels), served.latent_dim
        image = Tensor("image", "float32", shape, "image", low=0.0, high=255.0)
        picture = Tensor("reconstruction", "float32", shape, "image", low=0.0, high=255.0)
        latent = Tensor("latent", "float32", (None, size), "latent")
        code = [Tensor(n, "float32", (None, size), "latent") for n in ("mean", "log_variance")]
        beside_keras = ("saved_model", "tflite", "onnx")  # a Keras file holds the model's own call only
        return Contract(
            (
                tensor_endpoint(
                    served, [image, Tensor("noise", "float32", (None, size), "noise")], [picture], structure="dict"
                ),
                Endpoint(
                    "encode",
                    (image,),
                    tuple(code),
                    call=lambda x: dict(zip(("mean", "log_variance"), served.encode(x["image"]), strict=True)),
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
        """Return mean squared error and peak signal-to-noise ratio (dB) of pixels scaled to [0, 1]."""
        error = (outputs["reconstruction"].astype(np.float64) - truth) / 255.0
        mse = float(np.mean(error**2))
        return {"mse": mse, "psnr_db": float(-10 * np.log10(max(mse, 1e-12)))}

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out images above their reconstructions."""
        from zoo import plots

        n = min(10, len(evaluation.truth))
        images = np.concatenate([evaluation.truth[:n], evaluation.outputs["reconstruction"][:n]])
        yield "reconstructions", plots.image_grid(images, None, "Held-out images, reconstructions below", columns=n)

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> dict[str, np.ndarray]:
        """Return the pixels of an image file, with no noise: the reconstruction of the mean code."""
        size = next(t.shape[-1] for t in endpoint.inputs if t.name == "noise")
        return {"image": self.read(argument), "noise": np.zeros(size, np.float32)}

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Shown:
        """Return the reconstruction as an image."""
        picture = np.clip(np.rint(outputs["reconstruction"]), 0, 255).astype(np.uint8)
        text = f"reconstruction {picture.shape[1]}x{picture.shape[0]}, mean {picture.mean():.1f}"
        return Shown(lines=(text,), rows=({"input": question, "mean": float(picture.mean())},), image=picture)

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Shown:
        """Return a grid of images decoded from standard normal codes."""
        count = options.get("count", 16)
        size = contract["decode"].inputs[0].shape[-1]
        codes = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
        images = np.concatenate([call("decode", {"latent": code[None]})["reconstruction"] for code in codes])
        columns = int(np.ceil(np.sqrt(count)))
        blank = np.zeros((-count % columns, *images.shape[1:]), images.dtype)
        rows = np.split(np.concatenate([images, blank]), -(-count // columns))
        grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
        return Shown(image=np.clip(np.rint(grid), 0, 255).astype(np.uint8))
