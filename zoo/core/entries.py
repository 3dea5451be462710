"""The metadata of models, read from the source files without importing them."""

import ast
import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.core import weight_files
from zoobase.plugins import source_file

MODELS = Path(__file__).parent.parent / "models"
SHIPPING = "zoo.models."  # the modules whose models may have weights in the package


@dataclass(frozen=True)
class Option:
    """One argument of a builder, read from its source; `default` is None if there is none or if it is None."""

    name: str
    default: Any
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """The metadata of a model that is read from its source without importing it."""

    name: str
    module: str
    summary: str
    data: str
    task: str
    task_module: str
    options: tuple[Option, ...]
    flags: Mapping[str, str]
    expect: Mapping[str, float] = dataclasses.field(default_factory=dict)
    test_data: str = ""
    quoted: str = ""
    of_course: bool = False
    packaged: bool = False  # whether its file is one of this package
    weights: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    variant_of: str = ""  # the model whose builder it has

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each argument of the builder."""
        return {option.name: option.default for option in self.options}

    @property
    def headline(self) -> str:
        """What the card quotes, or its first metric, such as "0.943 accuracy", with the data if another; or empty."""
        if self.quoted:
            return self.quoted
        other = f" ({self.test_data})" if self.test_data else ""
        return next((f"{value:.3g} {name}{other}" for name, value in self.expect.items()), "")

    @property
    def headline_data(self) -> str:
        """The data on which `headline` was measured."""
        return (self.test_data or self.data) if self.expect else ""

    @property
    def listed(self) -> bool:
        """Whether lists name the model: no exercise of the course, and of ours only those with weights or a figure."""
        return not self.of_course and bool(self.weights or self.expect or not self.packaged)

    @property
    def task_words(self) -> str:
        """The task's class name as words, such as "text classification"."""
        return words(self.task)


@functools.lru_cache(maxsize=512)
def read(module: str, path: Path, mtime_ns: int) -> tuple[ModelEntry, ...]:
    """Return the entries of a file."""
    tree, origins = _parsed(path, mtime_ns)
    entries = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "register":
                arguments = {k.arg: k.value for k in decorator.keywords}
                task = arguments.get("task")
                doc = ast.get_docstring(node) or ast.get_docstring(tree) or ""
                entry = ModelEntry(
                    name=node.name,
                    module=module,
                    summary=doc.strip().split("\n")[0],
                    data=_literal(arguments.get("data"), "?"),
                    task=ast.unparse(task.func).split(".")[-1] if isinstance(task, ast.Call) else "?",
                    task_module=_module_of(task, origins, module),
                    options=tuple(_options(node.args)),
                    flags=_literal(arguments.get("flags"), {}),
                    **_of_card(arguments.get("card")),
                    packaged=path.parent == MODELS,
                    weights=_weights(module, node.name, arguments.get("weights")),
                    recipes=tuple(_items(arguments.get("recipes"))),
                )
                variants = _items(arguments.get("variants")).items()
                entries += [entry, *(_variant(entry, name, value) for name, value in variants)]
    return tuple(entries)


def _variant(entry: ModelEntry, name: str, node: ast.AST) -> ModelEntry:
    """Return the entry of a `Variant(...)` of another entry."""
    defaults, card = _literal(_keyword(node, "arguments"), {}), _keyword(node, "card")
    options = tuple(
        dataclasses.replace(option, default=defaults.get(option.name, option.default)) for option in entry.options
    )
    return dataclasses.replace(
        entry,
        name=name,
        variant_of=entry.name,
        summary=_literal(_keyword(node, "summary"), ""),
        options=options,
        weights=_weights(entry.module, name, _keyword(node, "weights")),
        **(_of_card(card) if card else {}),
    )


def _weights(module: str, name: str, node: ast.AST | None) -> tuple[str, ...]:
    shipped = module.startswith(SHIPPING) and name in weight_files.shipped()
    return (*(("default",) if shipped else ()), *_items(node))


def _of_card(node: ast.AST | None) -> dict[str, Any]:
    empty = {"expect": {}, "test_data": "", "quoted": "", "of_course": False}
    return {name: _literal(_keyword(node, name), value) for name, value in empty.items()}


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


def words(name: str) -> str:
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


def _module_of(node: ast.AST | None, origins: Mapping[str, str], module: str) -> str:
    """Return the module of the class that a call makes: `Name(...)`, or `module.Name(...)`."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return origins.get(f"{ast.unparse(function.value)}.", "")
    return origins.get(function.id, module) if isinstance(function, ast.Name) else ""


@functools.lru_cache(maxsize=128)
def _parsed(path: Path, mtime_ns: int) -> tuple[ast.Module, dict[str, str]]:  # mtime_ns: part of the cache key
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tree, _origins(tree)


def _origins(tree: ast.Module) -> dict[str, str]:
    """Return {name: module} of `from module import name`, and {"name.": module.name}, if it is a module itself."""
    origins = {}
    for node in ast.walk(tree):
        for alias in node.names if isinstance(node, ast.ImportFrom) and node.module else ():
            name = alias.asname or alias.name
            origins |= {name: node.module, f"{name}.": f"{node.module}.{alias.name}"}
    return origins


def dataclass_fields(module: str, name: str) -> set[str]:
    """Return the fields of a dataclass and of its bases, read from the source; empty if it is not found."""
    path = source_file(module)
    if path is None:
        return set()
    tree, origins = _parsed(path, path.stat().st_mtime_ns)
    node = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if node is None:
        return dataclass_fields(origins[name], name) if name in origins else set()
    declared = [item for item in node.body if isinstance(item, ast.AnnAssign)] if node.decorator_list else []
    fields = {item.target.id for item in declared if not ast.unparse(item.annotation).startswith("ClassVar")}
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return fields.union(*(dataclass_fields(module, base) for base in bases))
