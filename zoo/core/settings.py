"""What a user sets for a training: every setting once, with its default, help and check.

The options of `python -m zoo.train`, the keys of `--config`, the keyword arguments of `zoo.train.run` and the page of
settings in the documentation are made of `TrainSettings`. Precedence: command line, file, recipe.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.formats import QUANTIZATIONS
from pipelines import catalogue
from pipelines.sources import remote
from zoo.core import registry
from zoo.core.recipe import Recipe, convert, convert_fields, override, setting
from zoobase.console import MAX_SEED
from zoobase.errors import MissingError, UsageError, unknown

SEED = (lambda value: 0 <= value <= MAX_SEED, f"a whole number in [0, {MAX_SEED}]")
PRECISIONS = ("auto", "float32", "bfloat16")
TABLES = {"recipe": "recipe", "task": "task", "model_arguments": "model"}  # of a file -> group of `settings`
RECORDED = (  # not settings
    *("candidate", "selected", "replaced", "arguments", "info", "versions", "git", "machine", "command", "requested"),
)


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The settings of a training as the user gives them, checked as far as no import of TensorFlow is needed.

    `zoo.core.plan.resolve` makes a plan of them.

    Metadata of a field: `key` is its key in a file, if it has one, and `option` its option, if that is not made of its
    name; None if it has none.

    Raises:
        UsageError: An unknown name, with the closest matches, a value of the wrong type or out of range, or settings
            that exclude each other.

    Example:
        >>> TrainSettings(name="mnist", settings={"recipe.epochs": 3, "data": "digits"}).group("recipe")
        {'epochs': 3}
    """

    name: str | None = setting(None, "Name of the model; may be None with `resume`.", key="model", option=None)
    recipe: str = setting("default", "Recipe of the model.", key="recipe_name")
    settings: Mapping[str, Any] = setting({}, "recipe.X, model.X, task.X or data.", option="--set")
    model_arguments: Mapping[str, Any] = setting(
        {}, "Arguments of the model's builder: the same as model.X of `settings`.", option=None
    )
    network: str | None = setting(None, "Written by `model=` of `zoo.train.run`.", key="network", option=None)
    data_dir: str | None = setting(None, "Path of your own data.", key="data.data_dir")
    cache_dir: str | None = setting(None, "Folder of prepared data.", key="data.cache_dir")
    out: str | None = setting(None, "Run folder.", shown="runs/NAME/TIME")
    seed: int = setting(0, "Random seed.", check=SEED, key="seed")
    precision: str = setting(
        "auto", "Precision of the training; auto measures which is faster.", choices=PRECISIONS, key="precision"
    )
    init: str | None = setting(None, "Initial weights: a run, a bundle or a weights file.", key="init", metavar="RUN")
    candidates: str | None = setting(
        None,
        "Simpler models to fit as well: all, fast (without the network), or names; the cheapest one that is not worse "
        "than the best on validation is exported. network: none; of table and forecast all is the default.",
        key="candidates",
        metavar="all|fast|A,B",
    )
    resume: str | None = setting(
        None, "Resume a run; NAME and settings may be omitted, and must not conflict.", metavar="RUN"
    )
    devices: str | None = setting(
        None, "Devices that share each batch: auto for all GPUs, or their numbers.", metavar="A,B"
    )
    checkpoint_minutes: float = setting(
        0.0, "Minutes after which the state is saved within an epoch, too; 0: not.", metavar="N"
    )
    evaluate: bool = setting(True, "Whether to evaluate on the test split.", negative="Train only.")
    export: bool = setting(True, "Whether to export and verify.", negative="Train and evaluate only.")
    quick: bool = setting(False, "Export the SavedModel and TFLite only.")
    quantize: tuple[str, ...] = setting((), f"Also export quantised files: {','.join(QUANTIZATIONS)}.", metavar="A,B")

    given: dataclasses.InitVar[Mapping[str, Any] | None] = None  # of the fields those that the user gives

    def __post_init__(self, given: Mapping[str, Any] | None) -> None:
        """Convert and check every value."""
        object.__setattr__(self, "given", dict(given or {}))
        convert_fields(self)
        for key in self.settings:
            group, _, field = key.partition(".")
            if key != "data" and not (group in TABLES.values() and field):
                raise unknown("setting", key, ["data", "recipe.FIELD", "model.FIELD", "task.FIELD"])
        if self.quantize:
            check_quantize(self.quantize)
            if not (self.export and self.evaluate):
                raise UsageError("quantize has no effect without evaluation and export; omit one of the options")
        if self.quick and not (self.export and self.evaluate):
            raise UsageError("quick has no effect without evaluation and export; omit one of the options")
        if self.resume is not None and self.out is not None:
            raise UsageError("--resume continues in the folder of the run: omit --out")
        if self.name is not None:
            self._check_model()

    def _check_model(self) -> None:
        """Check the names and values of recipe, builder, task and data."""
        entry = registry.get_entry(self.name)
        if self.recipe not in (entry.recipes or (self.recipe,)):
            raise unknown(f"recipe of {entry.name}", self.recipe, entry.recipes)
        recipe = override(Recipe(), self.group("recipe"), "recipe")
        arguments = {**recipe.arguments(), **self.group("model")}
        for builder_arguments in (*recipe.candidates, arguments):
            registry.check_arguments(entry.name, builder_arguments)
        if data_arguments := registry.DATA_ARGUMENTS & set(arguments):
            raise UsageError(f"{', '.join(sorted(data_arguments))}: determined by the data; omit it")
        if self.data_dir is not None and remote.is_url(self.data_dir):
            remote.check_url(self.data_dir)  # before anything is written
        datasets = catalogue.list_datasets()
        for dataset in (self.settings.get("data"), recipe.data or None):
            if dataset is not None and dataset not in datasets:
                raise unknown("dataset", dataset, datasets)
        if fields := registry.task_fields(entry):
            for name in self.group("task"):
                if name not in fields:
                    raise unknown("task field", name, fields)

    def check_data_dir(self) -> None:
        """Raise MissingError if the user's own data are not there, as far as that needs no import of TensorFlow."""
        is_local = self.data_dir is not None and not remote.is_url(self.data_dir)
        if is_local and self.settings.get("data") != "huggingface" and not Path(self.data_dir).expanduser().exists():
            raise MissingError(f"there is no folder or file {self.data_dir}: --data-dir names your own data")

    def group(self, name: str) -> dict[str, Any]:
        """Return the settings of a group ("recipe", "model", "task") by field."""
        return {k.partition(".")[2]: v for k, v in self.settings.items() if k.startswith(f"{name}.")}

    @classmethod
    def of(cls, *sources: Mapping[str, Any]) -> TrainSettings:
        """Return the settings of several sources, of which a later one takes precedence (`layered`)."""
        given, names = layered(*sources), {declared.name for declared in dataclasses.fields(cls)}
        of_recipe = {f"recipe.{declared.name}" for declared in dataclasses.fields(Recipe)}  # those of `settings`
        for name in given:
            if name not in names:
                raise unknown("setting", name, names | of_recipe)
        return cls(**given, given=given)


def check_quantize(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of quantised forms."""
    for name in names:
        if name not in QUANTIZATIONS:
            raise unknown("precision", name, QUANTIZATIONS)
        QUANTIZATIONS[name].check_installed()
    return tuple(names)


def layered(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of `TrainSettings` from several sources, of which a later one takes precedence."""
    # None is not given. `settings` are merged key by key. `model_arguments` become settings model.X.
    merged: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for source in sources:
        given = {name: value for name, value in source.items() if value is not None}
        own = dict(given.pop("settings", {}))
        for argument, value in given.pop("model_arguments", {}).items():
            if own.setdefault(f"model.{argument}", value) != value:
                raise UsageError(f"model.{argument} is given twice, with two values; omit one")
        replaced = _replaced(settings, own)
        settings = {key: value for key, value in settings.items() if key not in replaced} | own
        merged |= given
    return merged | ({"settings": settings} if settings else {})


def _replaced(settings: Mapping[str, Any], own: Mapping[str, Any]) -> set[str]:
    """Return the settings that a field of the recipe among `own` replaces, as each stands for others."""
    # recipe.dropout is the builder argument, recipe.data the dataset, recipe.model and recipe.task are tables.
    keys = {other for key, other in (("recipe.dropout", "model.dropout"), ("recipe.data", "data")) if key in own}
    for group in ("model", "task"):
        table = f"recipe.{group}"
        if table in own:
            keys |= {f"{group}.{field}" for field in convert(own[table], {}, table)}
            former = convert(settings.get(table, {}), {}, table)
            keys |= {key for field, value in former.items() if settings.get(key := f"{group}.{field}") == value}
    return keys


def read_config(path: str | Path, model: str | None = None) -> dict[str, Any]:
    """Return the settings of a file as fields of `TrainSettings`."""
    values = {**({} if model is None else {"model": model}), **parse_config(Path(path))}
    if "model" not in values:
        raise UsageError(f'{path} names no model: add a line such as model = "fashion_mnist"')
    keys = [declared.metadata["key"] for declared in dataclasses.fields(TrainSettings) if "key" in declared.metadata]
    names = [*dict.fromkeys([key.partition(".")[0] for key in keys] + list(TABLES))]
    for name in values:
        if name not in (*names, *RECORDED):
            raise unknown(f"field of {path}", name, names)
    for name in (*TABLES, "data"):
        if not isinstance(values.get(name, {}), Mapping):
            raise UsageError(f"{name} of {path} is not a table of settings")
    if values.get("data", {}).get("given"):
        raise UsageError(
            f"the data of {path}, {values['data'].get('name')}, was given as dataset= to zoo.train.run: call it again"
        )
    return from_config(values)


def from_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a config.json as fields of `TrainSettings`."""
    settings = {f"{group}.{k}": v for table, group in TABLES.items() for k, v in values.get(table, {}).items()}
    data = values.get("data", {})
    settings |= {"data": data["name"]} if "name" in data and not data.get("given") else {}
    given = {"settings": settings}
    for declared in dataclasses.fields(TrainSettings):
        table, _, field = declared.metadata.get("key", "").rpartition(".")
        given[declared.name] = given.get(declared.name, (values.get(table, {}) if table else values).get(field))
    return {name: value for name, value in given.items() if value is not None}


def parse_config(path: Path) -> dict[str, Any]:
    """Return the fields of a JSON or TOML file, by its suffix; UsageError if it is not valid."""
    text = path.read_text(encoding="utf-8")
    try:
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a JSON object")
    return values


def check_recipe(given: Mapping[str, Any], file: Mapping[str, Any], path: str | Path) -> None:
    """Raise UsageError if a named recipe has no effect, because a file with another one sets every field of it."""
    name, settings = given.get("recipe"), file.get("settings", {})
    if name in (None, file.get("recipe")):
        return
    if all(f"recipe.{declared.name}" in settings for declared in dataclasses.fields(Recipe)):
        raise UsageError(
            f"the recipe {name} has no effect, because {path} sets every field of the recipe: remove its table recipe, "
            "or set single fields by --set recipe.FIELD=VALUE"
        )
