"""A Keras 3 / TensorFlow model zoo whose exported models are verified against the live model.

    import zoo
    zoo.list_models()
    model = zoo.build("fashion_mnist", api="subclassed")
    from zoo import fashion_mnist            # the builder itself
    from zoo import Card, Recipe, register   # for models of your own; the task classes are in `zoo.tasks`

Importing `zoo` and listing models do not import TensorFlow.
"""

from __future__ import annotations

import importlib
import os
import sys

# `python -m` would import a numpy.py of the current folder: that folder goes, unless we ourselves are imported from it
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    if (
        os.path.realpath(sys.path[0] or ".")
        == os.path.realpath(".")
        != os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    ):  # not a folder of PYTHONPATH, which is the first one after another of our packages has removed the current one
        del sys.path[0]

from typing import TYPE_CHECKING, Any

import export as _export  # noqa: F401  (sets variables that TensorFlow reads on import: log level, oneDNN)
from zoo.core.recipe import Recipe
from zoo.core.registry import get_spec, list_models, register
from zoo.core.spec import Card, Weights

if TYPE_CHECKING:
    import keras

__version__ = "0.1.0"
__all__ = ["Card", "Predictor", "Recipe", "Weights", "build", "get_spec", "list_models", "load", "register"]
_VERBS = frozenset({"compare", "evaluate", "export", "info", "predict", "sample", "stylize", "train", "weights"})
MOVED_MODULES = {  # former module of Keras classes -> present one: older bundles and .keras files name the former
    "zoo.backbones.hub": "zoo.modeling.backbones",
    "zoo.layers": "zoo.modeling.layers",
    "zoo.losses": "zoo.modeling.losses",
    "zoo.metrics": "zoo.modeling.metrics",
    "zoo.optimizers": "zoo.training.optimizers",
}


def build(name: str, weights: str | None = None, **arguments: Any) -> keras.Model:
    """Build a model by name.

    Args:
        name: One of `list_models()`.
        weights: None for random initial weights, the name of published weights such as "default" or "imagenet", or the
            path of a run, a bundle or a weights file.
        **arguments: Arguments of the model's builder, such as `api="subclassed"`.

    Returns:
        A built `keras.Model`.

    Raises:
        UsageError: Unknown model, argument or weights; the message names the closest matches.
        MissingError: The weights are not available.
        ZooError: The weights do not match the arguments.

    Example:
        >>> model = build("mnist", units=(16,))
        >>> model.output_shape
        (None, 10)
    """
    from zoo.core import registry

    builder = registry.get_builder(name)
    arguments = registry.check_arguments(name, arguments)
    if weights is None:
        return builder(**arguments)
    from zoo import weights as trained_weights

    return trained_weights.build_with_weights(name, weights, arguments)


def __getattr__(name: str) -> Any:
    if name in ("Predictor", "load"):
        from zoo import predictor

        return getattr(predictor, name)
    if name in _VERBS:
        return importlib.import_module(f"zoo.{name}")
    if not name.startswith("_") and name in list_models():
        from zoo.core.registry import get_builder

        return get_builder(name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *list_models()])
