"""Fashion-MNIST classifier: one small convolutional network in three Keras APIs.

Reference: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747 (data); Simonyan, Zisserman 2015, arXiv:1409.1556 (3x3 stacks).
Train:     python -m zoo.train fashion_mnist
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.modeling import blocks
from zoo.tasks.image.classification import Classification
from zoobase.errors import UsageError

# === Layers ===


def _conv(
    filters: int, activation: str, initializer: str, name: str
) -> list[layers.Layer]:  # (B, H, W, C) -> (B, H, W, filters)
    relu = activation == "relu"
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer=initializer, name=f"{name}_conv"),
        layers.BatchNormalization(name=f"{name}_norm"),
        layers.ReLU(name=f"{name}_relu") if relu else layers.Activation(activation, name=f"{name}_{activation}"),
    ]


def _block(
    filters: int, depth: int, activation: str, initializer: str, name: str
) -> list[layers.Layer]:  # (B, H, W, C) -> (B, H/2, W/2, filters)
    convolutions = [layer for i in range(depth) for layer in _conv(filters, activation, initializer, f"{name}_{i}")]
    return [*convolutions, layers.MaxPooling2D(name=f"{name}_pool")]


def _network(
    num_classes: int,
    filters: Sequence[int],
    depths: Sequence[int],
    dropout: float,
    activation: str,
    initializer: str,
    prefix: str = "",
) -> list[layers.Layer]:  # (B, H, W, C) in [0, 255] -> (B, num_classes)
    if len(filters) != len(depths):
        raise UsageError(f"{len(filters)} filters and {len(depths)} depths: give one of each for every block")
    blocks = enumerate(zip(filters, depths, strict=True))
    body = [
        layer for i, (f, depth) in blocks for layer in _block(f, depth, activation, initializer, f"{prefix}block{i}")
    ]
    return [
        layers.Rescaling(1 / 255, name=f"{prefix}rescale"),
        *body[:-1],  # global pooling replaces the last max pooling
        layers.GlobalAveragePooling2D(name=f"{prefix}pool"),
        layers.Dropout(dropout, name=f"{prefix}dropout"),
        layers.Dense(num_classes, dtype="float32", name=f"{prefix}logits"),
    ]


# === Subclassed Model ===


_WITH_MODES = (layers.BatchNormalization, layers.Dropout)  # they differ between training and inference


@keras.saving.register_keras_serializable("zoo")
class FashionMNIST(keras.Model):
    """The same network as a subclass of `keras.Model`; the arguments are those of `fashion_mnist`."""

    def __init__(
        self,
        num_classes: int,
        filters: Sequence[int],
        depths: Sequence[int],
        dropout: float,
        image_shape: Sequence[int],
        activation: str = "relu",
        initializer: str = "he_normal",
        **kwargs: Any,
    ) -> None:
        """Create the layers here, not in `build`, because loading a whole-model .h5 requires it."""
        super().__init__(**kwargs)
        self.arguments = {
            "num_classes": num_classes,
            "filters": list(filters),
            "depths": list(depths),
            "dropout": dropout,
            "image_shape": list(image_shape),
            "activation": activation,
            "initializer": initializer,
        }
        self.network = _network(num_classes, filters, depths, dropout, activation, initializer)
        self.build((None, *image_shape))  # here, because loading a whole-model .h5 requires built layers

    def build(self, input_shape: Any) -> None:
        """Build each layer on the output shape of the previous one."""
        for layer in self.network:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        self.built = True

    def call(self, image: Any, training: bool | None = None) -> Any:
        """Map pixels (B, H, W, C) to logits (B, num_classes)."""
        x = image
        for layer in self.network:
            x = layer(x, training=training) if isinstance(layer, _WITH_MODES) else layer(x)
        return x

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


# === Functional Model ===

_RECIPE = Recipe(
    epochs=12,
    batch_size=512,
    optimizer="muon",
    learning_rate=1.2e-2,
    schedule="cosine",
    warmup=0.1,
    weight_decay=0.15,
    label_smoothing=0.1,
    augment="flip,shift",
)


@register(
    data="fashion_mnist",
    task=Classification(),
    recipes={
        "default": _RECIPE,
        "quick": dataclasses.replace(
            _RECIPE,
            epochs=4,
            batch_size=128,
            learning_rate=5e-3,
            weight_decay=0.1,
            label_smoothing=0.0,
            augment="flip",
            whiten=True,
            model={"filters": [16, 32, 64, 128]},
        ),
        "full": dataclasses.replace(
            _RECIPE, epochs=18, warmup=0.05, augment="flip,shift,cutout", model={"ensemble": 2, "flip_tta": True}
        ),
    },
    tiny={"filters": (8, 16), "depths": (1, 1)},
    card=Card(
        paper="Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
        describes_data=True,
        expect={"accuracy": 0.9428},
        command="python -m zoo.train fashion_mnist",
        measured_on="2 cores of an AMD EPYC without AMX, bfloat16: 7.8 minutes, 39 s per epoch; "
        "seeds 1 and 2: 0.9431 and 0.9450; shipped weights with model.flip_tta 0.9450",
        baselines={"gradient boosting of pixels (scikit-learn)": 0.8947},
        published="0.897 of a support vector classifier, the best of 129 (Xiao 2017)",
        data_notes="Trained on ten classes of garments, centred, light on black: invert photographs on white first.",
    ),
)
def fashion_mnist(
    num_classes: int = 10,
    api: Literal["functional", "sequential", "subclassed"] = "functional",
    filters: Sequence[int] = (32, 64, 128, 256),
    depths: Sequence[int] = (1, 2, 2, 2),
    dropout: float = 0.2,
    activation: Literal["relu", "gelu", "tanh", "sigmoid"] = "relu",
    initializer: Literal["he_normal", "glorot_uniform", "random_normal", "zeros"] = "he_normal",
    image_shape: Sequence[int] = (28, 28, 1),
    ensemble: int = 1,
    flip_tta: bool = False,
) -> keras.Model:
    """Small convolutional classifier of small images such as 28x28 grey garments, in three Keras APIs.

    Shapes: image (B, *image_shape) uint8 or float in [0, 255] -> logits (B, num_classes) float32.

    Args:
        num_classes: Number of classes; determined by the data.
        api: Keras API in which the network is written.
        filters: Filters of the convolutions of each block.
        depths: Number of convolutions of each block.
        dropout: Share of the pooled features that are set to zero in a training step.
        activation: Activation after each convolution.
        initializer: First values of the kernels of the convolutions.
        image_shape: (H, W, C); determined by the data.
        ensemble: Number of networks, each trained from a seed of its own, whose logits are averaged.
        flip_tta: Whether the logits are the mean of those of the image and of its horizontal mirror image. It is not
            trained so: weights of a network alone fit.

    Raises:
        UsageError: Numbers of filters and depths differ, or a mean is to be in another API than the functional one.
    """
    if ensemble > 1 or flip_tta:
        if api != "functional":
            raise UsageError(f"model.api={api} has neither model.ensemble nor model.flip_tta; use functional")

        def build(name: str, prefix: str) -> keras.Model:
            image = x = keras.Input(tuple(image_shape), name="image")
            for layer in _network(num_classes, filters, depths, dropout, activation, initializer, prefix):
                x = layer(x)
            return keras.Model({"image": image}, x, name=name)

        core, image = blocks.ensemble_of(build, ensemble), keras.Input(tuple(image_shape), name="image")
        logits = blocks.flip_tta(core, image) if flip_tta else core({"image": image})
        return keras.Model(image, logits, name="fashion_mnist")
    if api == "subclassed":
        arguments = (num_classes, filters, depths, dropout, image_shape, activation, initializer)
        model = FashionMNIST(*arguments, name="fashion_mnist")
        model(keras.Input(tuple(image_shape)))  # builds it, shapes only
        return model
    network = _network(num_classes, filters, depths, dropout, activation, initializer)
    image = keras.Input(tuple(image_shape), name="image")
    if api == "sequential":
        return keras.Sequential([image, *network], name="fashion_mnist")
    x = image
    for layer in network:
        x = layer(x)
    return keras.Model(image, x, name="fashion_mnist")
