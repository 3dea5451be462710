"""The registry of models by name.

Names, signatures and summaries are read from the source files without importing them, so that listing, `--help` and
the error for an unknown name do not import TensorFlow. A file is imported when its model is built.
"""

from __future__ import annotations

import fnmatch
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.core import weight_files
from zoo.core.entries import SHIPPING, ModelEntry, dataclass_fields, read, words
from zoo.core.recipe import Recipe, convert, override
from zoo.core.spec import Card, Spec, Variant, Weights
from zoo.core.task import BaseTask
from zoobase.errors import UsageError, ZooError, unknown
from zoobase.plugins import UNREADABLE, catalogue, entry_points, load_module, unreadable, warn

if TYPE_CHECKING:
    import keras

    from zoo.core.typed import ModelName

Builder = Callable[..., "keras.Model"]
B = TypeVar("B", bound=Builder)  # a builder keeps its signature

DATA_ARGUMENTS = frozenset(
    {"num_classes", "vocabulary_size", "image_shape", "columns", "target", "history", "horizon", "features"}
)  # builder arguments that the data determines
ENTRY_POINTS = "zoo.models"  # for other packages: `[zoo.models] any_name = package.module`


_registered: dict[str, tuple[Builder, Spec]] = {}


def register(
    *,
    data: str,
    task: BaseTask,
    recipes: Mapping[str, Recipe],
    tiny: Mapping[str, Any],
    card: Card,
    weights: Mapping[str, Weights] | None = None,
    flags: Mapping[str, str] | None = None,  # read from the source, as the builder's options are
    variants: Mapping[str, Variant] | None = None,
    candidates: str = "",
) -> Callable[[B], B]:
    """Register a builder under the name of its function.

    Args:
        data: Name of the default dataset.
        task: Task of the model.
        recipes: Training settings by name; "default" is required.
        tiny: Builder arguments of a test-sized model.
        card: Reference, licence and measured metrics.
        weights: Trained weights that `zoo.build` can load, by name; those that are shipped (`python -m docs.ship`) are
            known.
        flags: Additional command-line options: {"style": "task.style"} makes `--style X` an alias of
            `--set task.style=X`, and the target "data_dir" one of `--data-dir`.
        variants: More models of the same builder, by name, which lists of models do not name apart. Names and arguments
            are literals, because they are read from the source.
        candidates: What `--candidates` is by default, for a model whose name is no architecture, such as `table`; it
            does not apply where the settings are those of a network.

    Raises:
        ZooError: Another module registered the same name, there is no recipe named "default", or the builder takes
            *args or **kwargs.

    Example:
        >>> import keras
        >>> from zoo.tasks import Classification
        >>> @register(
        ...     data="digits",
        ...     task=Classification(height=8, width=8),
        ...     recipes={"default": Recipe(epochs=3)},
        ...     tiny={},
        ...     card=Card(paper="none"),
        ... )
        ... def linear_digits(num_classes: int = 10) -> keras.Model:
        ...     image = keras.Input((8, 8, 1), name="image")
        ...     x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        ...     return keras.Model(image, keras.layers.Dense(num_classes, name="logits")(x))

        In a file of a folder in `ZOO_MODELS_PATH`, the model is listed and trained by name: `examples/own_model.py`.
    """

    def decorator(builder: B) -> B:
        name = builder.__name__
        if "default" not in recipes:
            raise ZooError(f"model {name!r} has no recipe named 'default'")
        for parameter in inspect.signature(builder).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ZooError(
                    f"the builder of model {name!r} takes {parameter}: name every argument, because the options of the "
                    "command line and config.json are made of them"
                )
        _add(builder, Spec(name, data, task, recipes, tiny, card, _weights(builder, name, weights), candidates))
        for other, variant in (variants or {}).items():
            known = _weights(builder, other, variant.weights)
            own = (variant.task or task, recipes, tiny, variant.card or card, known)
            _add(_with_defaults(builder, other, variant.arguments), Spec(other, data, *own))
        return builder

    return decorator


def _add(builder: Builder, spec: Spec) -> None:
    other = _registered.get(spec.name)
    if other is not None and other[0].__module__ != builder.__module__:
        raise ZooError(f"model {spec.name!r} is registered twice: by {other[0].__module__} and {builder.__module__}")
    _registered[spec.name] = (builder, spec)


def _weights(builder: Builder, name: str, weights: Mapping[str, Weights] | None) -> Mapping[str, Weights]:
    """Return the weights of a model, those that are shipped first."""
    shipped = weight_files.shipped().get(name) if builder.__module__.startswith(SHIPPING) else None
    return {**({"default": Weights(f"{name}.weights.h5", **shipped)} if shipped else {}), **(weights or {})}


def _with_defaults(builder: Builder, name: str, defaults: Mapping[str, Any]) -> Builder:
    """Return a builder with other defaults, whose models have another name."""

    @functools.wraps(builder)
    def build(**arguments: Any) -> keras.Model:
        model = builder(**{**defaults, **arguments})
        model.name = name
        return model

    build.__name__ = name
    return build


def entries() -> dict[str, ModelEntry]:
    """Return every model by name, in alphabetical order, without importing any of them."""
    # A file that cannot be read, and a name that is taken, are left out with a warning in the log.
    models: dict[str, ModelEntry] = {}
    for module, path in _sources():
        try:
            file_entries = read(module, path, path.stat().st_mtime_ns)
        except UNREADABLE as error:
            warn(f"model file {path} is left out, because {unreadable(error)}")
            continue
        for entry in file_entries:
            if entry.name in models:
                first = models[entry.name].module
                warn(f"model {entry.name!r} of {path} is left out, because {first} has registered this name")
            else:
                models[entry.name] = entry
    return dict(sorted(models.items()))


def get_entry(name: str) -> ModelEntry:
    """Return the metadata of a model; UsageError with the closest matches for an unknown name."""
    models = entries()
    if name not in models:
        raise unknown("model", name, models)
    return models[name]


def list_models(
    pattern: str = "*", *, task: str | None = None, pretrained: bool | None = None, listed: bool | None = None
) -> list[ModelName]:
    """Return the names of models, sorted, without variants. Does not import TensorFlow.

    Args:
        pattern: A name with wildcards, in the syntax of `fnmatch`.
        task: Words of the task, such as "classification" or "text classification".
        pretrained: True for models with trained weights, False for the others; None for all.
        listed: True for the models of the documentation, False for exercises of the course and those with neither
            weights nor a figure; None for all.

    Raises:
        UsageError: Unknown task; the message names the closest matches.

    Example:
        >>> list_models("*flow*")
        ['flow_matching', 'flowers']
        >>> list_models(task="text classification")
        ['language', 'sentiment']
    """
    models = entries()
    if task is not None:
        wanted = words(task)
        tasks = sorted({entry.task_words for entry in models.values()})
        if not any(wanted in title for title in tasks):
            raise unknown("task", task, tasks)
        models = {name: entry for name, entry in models.items() if wanted in entry.task_words}
    return [
        name
        for name, entry in models.items()
        if fnmatch.fnmatchcase(name, pattern)
        and not entry.variant_of
        and pretrained in (None, bool(entry.weights))
        and listed in (None, entry.listed)
    ]


def variants(name: str) -> list[str]:
    """Return the names of the variants of a model."""
    return [entry.name for entry in entries().values() if entry.variant_of == name]


def get_spec(name: str) -> Spec:
    """Return the spec of a model: task, recipes, card and weights. Imports Keras.

    Args:
        name: One of `list_models()`.

    Raises:
        UsageError: Unknown model; the message names the closest matches.

    Example:
        >>> spec = get_spec("fashion_mnist")
        >>> spec.data, spec.task.title
        ('fashion_mnist', 'image classification')
        >>> spec.recipe("default").batch_size
        512
    """
    return _load(name)[1]


def get_builder(name: str) -> Builder:
    """Return the builder function of a model (imports Keras); UsageError for an unknown name."""
    return _load(name)[0]


def check_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return builder arguments converted to the types of their defaults."""
    options = {o.name: o for o in get_entry(name).options}
    checked = {}
    for key, value in arguments.items():
        if key not in options:
            raise unknown(f"argument of {name}", key, options)
        option = options[key]
        value = convert(value, option.default, f"model.{key}")
        if option.choices and value not in option.choices:
            raise unknown(f"model.{key}", str(value), option.choices)
        if key == "num_classes" and value < 1 and value != option.default:
            raise UsageError(f"num_classes={value} is not valid: give the number of classes, 1 or more")
        checked[key] = value
    return checked


def task_fields(entry: ModelEntry) -> set[str]:
    """Return the settings `task.FIELD` of a model without importing its task; empty if they are not found."""
    return dataclass_fields(entry.task_module, entry.task)


def restored_task(name: str, fields: Mapping[str, Any]) -> BaseTask | None:
    """Return the task of a model from all its fields, without importing the file of the model."""
    # None for a task of that file, or if a field is missing: one that JSON cannot hold, or of another version.
    entry = get_entry(name)
    if entry.task_module in ("", entry.module) or task_fields(entry) != set(fields):
        return None
    return override(getattr(load_module(entry.task_module), entry.task)(), fields, "task")


def _load(name: str) -> tuple[Builder, Spec]:
    entry = get_entry(name)
    if name not in _registered or _registered[name][0].__module__ != entry.module:
        from zoo.core import environment

        environment.prepare()
        load_module(entry.module)
    return _registered[name]


def _sources() -> Iterator[tuple[str, Path]]:
    yield from catalogue("zoo.models")
    for _, module, path in entry_points(ENTRY_POINTS):
        yield module, path
