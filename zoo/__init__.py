"""A Keras 3 / TensorFlow model zoo whose exported models are verified against the live model.

    import zoo
    zoo.list_models()
    model = zoo.build("fashion_mnist", api="subclassed")
    from zoo import fashion_mnist            # the builder itself
    from zoo import Card, Recipe, register   # for models of your own; the task classes are in `zoo.tasks`

Importing `zoo` and listing models do not import TensorFlow.
"""

from __future__ import annotations

from zoobase import check_packages  # isort: skip  (first: zoobase removes the current folder from sys.path)

check_packages("export", "pipelines")

import os
import typing
from typing import TYPE_CHECKING, Any

import export as _export  # noqa: F401  (sets variables that TensorFlow reads on import: log level, oneDNN)
from zoo.core.recipe import Recipe
from zoo.core.registry import entries, get_spec, list_models, register
from zoo.core.spec import Card, Variant, Weights
from zoobase import describe_cause
from zoobase.errors import UsageError
from zoobase.importing import lazy_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import keras
    import numpy as np

    from zoo import compare as compare
    from zoo import evaluate as evaluate
    from zoo import export as export
    from zoo import info as info
    from zoo import predict as predict
    from zoo import runs as runs
    from zoo import sample as sample
    from zoo import stylize as stylize
    from zoo import train as train
    from zoo import tune as tune
    from zoo import weights as weights
    from zoo.compression.quantization import quantize as quantize
    from zoo.modeling.features import freeze
    from zoo.prediction.predictor import Predictor, load

if typing.TYPE_CHECKING:  # stubs, from which no attribute can be imported
    from zoo.core.builders import *  # noqa: F403
    from zoo.core.typed import ModelName

__version__ = "0.1.0"
__all__ = [
    "Card",
    "Predictor",
    "Recipe",
    "Variant",
    "Weights",
    "build",
    "freeze",
    "get_spec",
    "list_models",
    "load",
    "preprocess",
    "quantize",
    "register",
]
_lazy_attribute = lazy_attributes(__name__, __file__)


def build(
    name: ModelName,
    weights: str | os.PathLike | None = None,
    *,
    include_top: bool = True,
    features_only: bool = False,
    **arguments: Any,
) -> keras.Model:
    """Build a model by name.

    Args:
        name: One of `list_models()`.
        weights: None for random initial weights, the name of published weights such as "default" or "imagenet", or the
            path of a run, a bundle or a weights file.
        include_top: False for a classifier without its last layer: inputs -> embedding (B, D).
        features_only: True for the feature maps of an image classifier: image -> {"stride_2": (B, H/2, W/2, C), ...}.
        **arguments: Arguments of the model's builder, such as `api="subclassed"`.

    Returns:
        A built `keras.Model`.

    Raises:
        UsageError: Unknown model, argument or weights, with the closest matches; or the model is not a classifier
            whose layers are known.
        MissingError: The weights are not available.
        ZooError: The weights do not match the arguments.

    Example:
        >>> model = build("mnist", units=(16,))
        >>> model.output_shape
        (None, 10)
        >>> features = build("fashion_mnist", weights="default", features_only=True)
        >>> {stride: tensor.shape for stride, tensor in features.output.items()}["stride_4"]
        (None, 7, 7, 128)
    """
    from zoo.core import registry

    if weights is not None and not isinstance(weights, str | os.PathLike):
        raise UsageError(f'weights={weights!r} is not the name or path of weights: give "default", a run or a file')
    builder = registry.get_builder(name)
    arguments = registry.check_arguments(name, arguments)
    try:
        if weights is None:
            model = builder(**arguments)
        else:
            from zoo import weights as trained_weights

            model = trained_weights.build_with_weights(name, os.fspath(weights), arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} cannot be built with these arguments: {describe_cause(error)}") from error
    if include_top and not features_only:
        return model
    from zoo.modeling import features

    return features.feature_maps(model) if features_only else features.without_head(model)


def preprocess(name: str, image_shape: Sequence[int] | None = None) -> Callable[[Iterable[str | Path]], np.ndarray]:
    """Return the function that reads image files as a model takes them.

    Args:
        name: A model of images.
        image_shape: (height, width, channels), if the model was built with another than its default.

    Returns:
        Function of paths that returns pixels uint8 (B, H, W, C) in [0, 255]: the normalisation is part of the model. It
        raises `pipelines.DataError` for a file that is not an image.

    Raises:
        UsageError: Unknown model, or one that does not take images.

    Example:
        >>> read = preprocess("fashion_mnist")
        >>> read(["photo.jpg"]).shape
        (1, 28, 28, 1)
    """
    from zoo.prediction import predictor

    return predictor.image_reader(name, image_shape)


def __getattr__(name: str) -> Any:  # models of plug-ins, too; what type checkers know is imported above
    if not name.startswith("_") and name in entries():
        from zoo.core.registry import get_builder

        return get_builder(name)
    return _lazy_attribute(name)


def __dir__() -> list[str]:
    return sorted({*_lazy_attribute.names(), *entries()})
