"""The registry of models by name.

Names, signatures and summaries are read from the source files without importing them, so that listing, `--help` and
the error for an unknown name do not import TensorFlow. A file is imported when its model is built.
"""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commandline.plugins import entry_points, warn
from zoo.core.errors import ZooError, unknown
from zoo.core.recipe import Recipe, convert
from zoo.core.spec import Card, Spec, Variant, Weights
from zoo.core.task import BaseTask

if TYPE_CHECKING:
    import keras

Builder = Callable[..., "keras.Model"]

DATA_ARGUMENTS = frozenset(
    {"num_classes", "vocabulary_size", "image_shape", "columns", "target"}
)  # builder arguments that the data determines
ENTRY_POINTS = "zoo.models"  # for other packages: `[zoo.models] any_name = package.module`


@dataclass(frozen=True)
class Option:
    """One argument of a builder, read from its source; `default` is None if there is none or if it is None."""

    name: str
    default: Any
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """The metadata of a model that is read from its source without importing it."""

    name: str
    module: str
    summary: str
    data: str
    task: str
    options: tuple[Option, ...]
    flags: Mapping[str, str]
    expect: Mapping[str, float] = dataclasses.field(default_factory=dict)
    test_data: str = ""
    weights: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The first metric of the card, such as "0.9427 accuracy"; empty if the card has none."""
        return next((f"{value:g} {name}" for name, value in self.expect.items()), "")

    @property
    def headline_data(self) -> str:
        """The data on which `headline` was measured."""
        return (self.test_data or self.data) if self.expect else ""

    @property
    def task_words(self) -> str:
        """The task's class name as words, such as "text classification"."""
        return _words(self.task)


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
) -> Callable[[Builder], Builder]:
    """Register a builder under the name of its function.

    Args:
        data: Name of the default dataset.
        task: Task of the model.
        recipes: Training settings by name; "default" is required.
        tiny: Builder arguments of a test-sized model.
        card: Reference, licence and measured metrics.
        weights: Trained weights that `zoo.build` can load, by name.
        flags: Additional command-line options: {"style": "task.style"} makes `--style X` an alias of
            `--set task.style=X`, and the target "data_dir" one of `--data-dir`.
        variants: More models of the same builder, by name. Names and arguments are literals, because they are read from
            the source.

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

    def decorator(builder: Builder) -> Builder:
        name = builder.__name__
        if "default" not in recipes:
            raise ZooError(f"model {name!r} has no recipe named 'default'")
        for parameter in inspect.signature(builder).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ZooError(
                    f"the builder of model {name!r} takes {parameter}: name every argument, because the options of the "
                    "command line and config.json are made of them"
                )
        _add(builder, Spec(name, data, task, recipes, tiny, card, weights or {}))
        for other, variant in (variants or {}).items():
            own = (variant.task or task, recipes, tiny, variant.card or card, variant.weights)
            _add(_with_defaults(builder, other, variant.arguments), Spec(other, data, *own))
        return builder

    return decorator


def _add(builder: Builder, spec: Spec) -> None:
    other = _registered.get(spec.name)
    if other is not None and other[0].__module__ != builder.__module__:
        raise ZooError(f"model {spec.name!r} is registered twice: by {other[0].__module__} and {builder.__module__}")
    _registered[spec.name] = (builder, spec)


def _with_defaults(builder: Builder, name: str, defaults: Mapping[str, Any]) -> Builder:
    """Return a builder with other defaults, whose models have another name."""

    @functools.wraps(builder)
    def build(**arguments: Any) -> keras.Model:
        model = builder(**{**defaults, **arguments})
        model.name = name
        return model

    build.__name__ = name
    return build


def entries() -> dict[str, Entry]:
    """Return every model by name, in alphabetical order, without importing any of them.

    A file that cannot be read, and a name that an earlier file has registered, are left out with a warning in the log.
    """
    models: dict[str, Entry] = {}
    for module, path in _sources():
        try:
            file_entries = _read(module, path, path.stat().st_mtime_ns)
        except (OSError, ValueError, SyntaxError) as e:  # ValueError: not UTF-8, or null characters
            where = f" (line {e.lineno})" if isinstance(e, SyntaxError) else ""
            warn(f"model file {path} is left out, because it cannot be read: {getattr(e, 'msg', e)}{where}")
            continue
        for entry in file_entries:
            if entry.name in models:
                first = models[entry.name].module
                warn(f"model {entry.name!r} of {path} is left out, because {first} has registered this name")
            else:
                models[entry.name] = entry
    return dict(sorted(models.items()))


def get_entry(name: str) -> Entry:
    """Return the metadata of a model; UsageError with the closest matches for an unknown name."""
    models = entries()
    if name not in models:
        raise unknown("model", name, models)
    return models[name]


def list_models(pattern: str = "*", *, task: str | None = None, pretrained: bool | None = None) -> list[str]:
    """Return the names of models, sorted. Does not import TensorFlow.

    Args:
        pattern: A name with wildcards, in the syntax of `fnmatch`.
        task: Words of the task, such as "classification" or "text classification".
        pretrained: True for models with trained weights, False for the others; None for all.

    Raises:
        UsageError: Unknown task; the message names the closest matches.

    Example:
        >>> list_models("*flow*")
        ['flowers']
        >>> list_models(task="text classification")
        ['sentiment']
    """
    models = entries()
    if task is not None:
        words = _words(task)
        tasks = sorted({entry.task_words for entry in models.values()})
        if not any(words in title for title in tasks):
            raise unknown("task", task, tasks)
        models = {name: entry for name, entry in models.items() if words in entry.task_words}
    return [
        name
        for name, entry in models.items()
        if fnmatch.fnmatchcase(name, pattern) and pretrained in (None, bool(entry.weights))
    ]


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
    """Return builder arguments converted to the types of their defaults.

    Raises:
        UsageError: An unknown argument (with the closest matches), or a value that is not one of the choices.
    """
    options = {o.name: o for o in get_entry(name).options}
    checked = {}
    for key, value in arguments.items():
        if key not in options:
            raise unknown(f"argument of {name}", key, options)
        option = options[key]
        value = convert(value, option.default, f"model.{key}")
        if option.choices and value not in option.choices:
            raise unknown(f"model.{key}", str(value), option.choices)
        checked[key] = value
    return checked


def task_fields(entry: Entry) -> set[str]:
    """Return the settings `task.FIELD` of a model without importing its task; empty for a task outside the zoo."""
    tasks = importlib.import_module("zoo.tasks")
    return _dataclass_fields(tasks.MODULES[entry.task], entry.task) if entry.task in tasks.MODULES else set()


def _dataclass_fields(module: str, name: str) -> set[str]:
    """Return the fields of a dataclass and of its bases, read from the source."""
    tree = ast.parse(Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8"))
    imports = {
        alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    node = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if node is None:
        return _dataclass_fields(imports[name], name)
    fields = {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)} if node.decorator_list else set()
    return fields.union(*(_dataclass_fields(module, base.id) for base in node.bases))


def _load(name: str) -> tuple[Builder, Spec]:
    entry = get_entry(name)
    if name not in _registered or _registered[name][0].__module__ != entry.module:
        from zoo.core import environment

        environment.prepare()
        importlib.import_module(entry.module)
    return _registered[name]


def _sources() -> Iterator[tuple[str, Path]]:
    models = importlib.import_module("zoo.models")  # `from zoo import models` would call `zoo.__getattr__`: a recursion

    for folder in models.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            if path.stem != "__init__":
                yield f"{models.__name__}.{path.stem}", path
    for _, module, path in entry_points(ENTRY_POINTS):
        yield module, path


@functools.lru_cache(maxsize=512)
def _read(module: str, path: Path, mtime_ns: int) -> tuple[Entry, ...]:  # mtime_ns: part of the cache key
    tree = ast.parse(path.read_text(encoding="utf-8"))
    entries = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "register":
                arguments = {k.arg: k.value for k in decorator.keywords}
                doc = ast.get_docstring(node) or ast.get_docstring(tree) or ""
                entry = Entry(
                    name=node.name,
                    module=module,
                    summary=doc.strip().split("\n")[0],
                    data=_literal(arguments.get("data"), "?"),
                    task=_class_name(arguments.get("task")),
                    options=tuple(_options(node.args)),
                    flags=_literal(arguments.get("flags"), {}),
                    **_of_card(arguments.get("card")),
                    weights=tuple(_items(arguments.get("weights"))),
                    recipes=tuple(_items(arguments.get("recipes"))),
                )
                variants = _items(arguments.get("variants")).items()
                entries += [entry, *(_variant(entry, name, value) for name, value in variants)]
    return tuple(entries)


def _variant(entry: Entry, name: str, node: ast.AST) -> Entry:
    """Return the entry of a `Variant(...)` of another entry."""
    defaults, card = _literal(_keyword(node, "arguments"), {}), _keyword(node, "card")
    options = tuple(
        dataclasses.replace(option, default=defaults.get(option.name, option.default)) for option in entry.options
    )
    return dataclasses.replace(
        entry,
        name=name,
        summary=_literal(_keyword(node, "summary"), ""),
        options=options,
        weights=tuple(_items(_keyword(node, "weights"))),
        **(_of_card(card) if card else {}),
    )


def _of_card(node: ast.AST | None) -> dict[str, Any]:
    return {"expect": _literal(_keyword(node, "expect"), {}), "test_data": _literal(_keyword(node, "test_data"), "")}


def _options(arguments: ast.arguments) -> Iterator[Option]:
    positional = arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    for argument, default in pairs:
        choices = ()
        annotation = argument.annotation
        if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Literal"):
            value = _literal(annotation.slice, ())
            choices = value if isinstance(value, tuple) else (value,)
        yield Option(argument.arg, _literal(default, None), choices)


def _literal(node: ast.AST | None, default: Any) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else default
    except ValueError:
        return default


def _words(name: str) -> str:
    """Return a class name as words: "TextClassification" -> "text classification"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _keyword(node: ast.AST | None, name: str) -> ast.AST | None:
    """Return the value of a keyword of a call."""
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((keyword.value for keyword in keywords if keyword.arg == name), None)


def _items(node: ast.AST | None) -> dict[str, ast.AST]:
    """Return the values of a dictionary by its literal keys."""
    pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else []
    return {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}


def _class_name(node: ast.AST | None) -> str:
    """Return the name of the class or function of a call."""
    return ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else "?"
