"""The settings of a training, resolved and validated before any data is loaded."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import catalogue, splits
from pipelines.dataset import IN_MEMORY, Info
from zoo.core import registry
from zoo.core.capabilities import HasCandidates, Phased
from zoo.core.recipe import OF_TASKS, Recipe, override, split
from zoo.core.settings import TrainSettings
from zoo.core.task import BaseTask
from zoobase import describe_cause
from zoobase.console import MAX_SEED
from zoobase.errors import MissingError, UsageError, ZooError, step

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


NETWORK = "network"  # the candidate that is the named model itself
MEAN = "+"  # between the names of two candidates of which the model is the mean
ALONE = {"ensemble": 1, "flip_tta": False}  # builder arguments of a model that averages nothing


@dataclass(frozen=True)
class Plan:
    """The settings of one training."""

    model: str
    task: BaseTask  # task of the model, with the `task.` settings applied
    recipe: Recipe  # the named recipe, with the `recipe.` settings applied
    recipe_name: str = "default"
    # builder arguments of the recipe and the user; `arguments` adds those that the data determines
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    # source of the examples: name, data_dir, cache_dir; and `given`, if they were in memory
    data: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    # precision of the training: "auto", "float32" or "bfloat16". Saved weights are always float32.
    precision: str = "auto"
    init: str | None = None  # initial weights: a run, a bundle, a weights file or "default"; None for random ones
    candidate: int = 0  # index of the architecture if the recipe has candidates; after training, that of the best one
    candidates: str = ""  # of the task, which are trained too: "all", "fast", or names with commas
    selected: str = ""  # the candidate that the model is, or two with `MEAN`; empty for the named model
    replaced: Mapping[str, Any] = field(default_factory=dict)  # fields of the task, which has those of the candidate
    network: str = ""  # configuration of the user's own Keras model, in place of that of the builder

    @property
    def title(self) -> str:
        """The name of the model, or that of the user's own one."""
        return json.loads(self.network)["config"]["name"] if self.network else self.model

    def load_data(self) -> Dataset:
        """Load and prepare the data."""
        if self.data.get("given"):
            raise MissingError(
                f"the data of this run, {self.data['name']}, was given as dataset= and is not stored: give the same "
                "dataset again, as in zoo.evaluate.run(RUN, dataset=...)"
            )
        with step(f"while {self.data['name']} was loaded"):
            return self.prepare(catalogue.load(**self.data, split=self.recipe.split))

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return a dataset limited as the recipe says, with the statistics that the task needs."""
        if missing := self.task.missing_features(dataset.info):
            raise UsageError(
                f"{self.model} needs examples with {', '.join(missing)}, and those of {dataset.info.name} have "
                f"{', '.join(dataset.info.features)}: choose another dataset with --set data=NAME"
            )
        return self.task.prepare(splits.limited(dataset, self.recipe.limit))

    def with_dataset(self, info: Info) -> Plan:
        """Return the plan for a dataset in memory; the same plan if it is the one of `data` by its name."""
        data_dir = self.data["data_dir"]
        known = {self.data["name"]} if data_dir is None else {self.data["name"], catalogue.own_name(data_dir)}
        if info.name in known and info.source != IN_MEMORY:
            return self
        settings = {
            "data": self.data["name"] not in (info.name, registry.get_spec(self.model).data, self.recipe.data),
            "data_dir": data_dir is not None,
            "recipe.split": self.recipe.split != Recipe().split,
        }
        if ignored := [name for name, is_set in settings.items() if is_set]:
            raise UsageError(f"{', '.join(ignored)} has no effect, because dataset= is given; omit it")
        return dataclasses.replace(self, data={**self.data, "name": info.name, "given": True})

    def arguments(self, info: Info) -> dict[str, Any]:
        """Return all builder arguments: defaults, those that the data determines, the candidate's, the user's."""
        options = registry.get_entry(self.model).defaults
        of_data = self.task.model_args(info)
        arguments = options | {k: v for k, v in of_data.items() if k in options or k != "image_shape"}
        if self.recipe.candidates:
            arguments |= registry.check_arguments(self.model, self.recipe.candidates[self.candidate])
        return arguments | dict(self.model_arguments)

    @property
    def ensemble(self) -> int:
        """Number of models of which the model is the mean; 1 if its builder has no such argument."""
        return self.averaged.get("ensemble", 1)

    @property
    def averaged(self) -> dict[str, Any]:
        """The builder arguments of means that are taken after the training: `ensemble` and `flip_tta`, if they are."""
        arguments = {**registry.get_entry(self.model).defaults, **self.model_arguments}
        return {k: arguments[k] for k, off in ALONE.items() if arguments.get(k, off) != off}

    def trainings(self) -> list[Plan]:
        """Return one plan per candidate and seed, of which the best is selected, or per member; often this plan."""
        # They are of the model alone: what the whole model averages is averaged afterwards.
        averaged, recipe = self.averaged, self.recipe
        alone = {**self.model_arguments, **{k: ALONE[k] for k in averaged}}
        return [
            dataclasses.replace(self, model_arguments=alone, candidate=candidate, seed=self.seed + i)
            for candidate in range(max(1, len(recipe.candidates)))
            for i in range(averaged.get("ensemble", recipe.restarts))
        ]

    @property
    def members(self) -> dict[str, Plan]:
        """The plans of the two candidates of which the model is the mean; empty if it is one candidate."""
        names = self.selected.split(MEAN) if MEAN in self.selected else ()
        return {name: dataclasses.replace(self, selected="" if name == NETWORK else name) for name in names}

    def feed(self, dataset: Dataset, split: str, training: bool = False) -> Feed:
        """Return the feed of a split in the form of the model's inputs; a small split is decoded once."""
        arguments = self.arguments(dataset.info)
        key = split, training, repr((self.task, self.recipe, arguments))
        if (feed := dataset.feeds.get(key)) is None:
            feed = self.task.examples(dataset[split], dataset.info, self.recipe, arguments, training)
            if feed.is_small:
                dataset.feeds[key] = feed
        return feed

    def build(self, info: Info) -> keras.Model:
        """Build the model; called inside the scope in which it is trained."""
        if self.members:
            from zoo.core.replacements import mean_of

            return mean_of({name: plan.build(info) for name, plan in self.members.items()}, self.task, info)
        arguments = self.arguments(info)
        try:
            with step(f"while the model {self.model} was built"):
                if self.selected:
                    return self.task.candidates(info)[self.selected].build(self.model, **self.task.model_args(info))
                model = registry.get_builder(self.model)(**arguments)
                if self.network:
                    from zoo.core import replacements

                    model = replacements.build(self.network, self.task, model, arguments)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{self.model} cannot be built with these arguments: {describe_cause(error)}") from error
        shape = self.task.model_args(info).get("image_shape")
        if shape and "image_shape" not in arguments and list(model.input_shape[1:]) != list(shape):
            raise UsageError(
                f"{self.model} takes images of {_size(model.input_shape[1:])}, not {_size(shape)}: "
                "its builder has no argument image_shape"
            )
        return model

    def default_candidates(self) -> str:
        """Return the candidates that are trained if no option names some: none if the settings are of a network."""
        spec, recipe = registry.get_spec(self.model), self.recipe
        of_network = self.network or self.init or recipe.compression() or recipe.candidates or recipe.restarts > 1
        implied = registry.check_arguments(self.model, recipe.arguments())
        return "" if of_network or dict(self.model_arguments) != implied else spec.candidates

    def command(self) -> str:
        """Return the command line that gives this plan; a call in Python if the data was given in memory."""
        spec = registry.get_spec(self.model)
        words = ["python", "-m", "zoo.train", self.model]
        words += ["--recipe", self.recipe_name] if self.recipe_name != "default" else []
        words += ["--seed", str(self.seed)]
        defaults = spec.recipe(self.recipe_name)
        task = dataclasses.replace(self.task, **self.replaced)
        groups = (("recipe", self.recipe, defaults), ("task", task, override(spec.task, defaults.task, "task")))
        changed = {
            f"{group}.{f.name}": getattr(value, f.name)
            for group, value, default in groups
            for f in dataclasses.fields(value)
            if getattr(value, f.name) != getattr(default, f.name)
        }
        # check_arguments converts lists to tuples, as in `model_arguments`
        implied = registry.check_arguments(self.model, self.recipe.arguments())
        changed |= {f"model.{k}": v for k, v in self.model_arguments.items() if k not in implied or implied[k] != v}
        candidates = "" if self.candidates == self.default_candidates() else self.candidates or NETWORK
        given = self.data.get("given")
        if not given and self.data["name"] != (defaults.data or spec.data):
            changed["data"] = self.data["name"]
        if given or self.network:
            options = {"recipe": self.recipe_name, "seed": self.seed, "settings": changed, "init": self.init}
            options |= {"candidates": candidates, "data_dir": self.data["data_dir"]}
            arguments = "".join(f", {k}={v!r}" for k, v in options.items() if v not in (None, {}, "", "default"))
            own = (", model=..." if self.network else "") + (", dataset=..." if given else "")
            return f"zoo.train.run({self.model!r}{arguments}{own})"
        for key, value in changed.items():
            words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        words += ["--init", self.init] if self.init else []
        words += ["--candidates", candidates] if candidates else []
        words += ["--data-dir", str(self.data["data_dir"])] if self.data["data_dir"] else []
        return shlex.join(words)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `config.json`, from which `from_json` restores an equal plan."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Rebuild a plan; UsageError if the zoo no longer has its model or a field of its recipe."""
        model, values = data["model"], {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data}
        values["task"] = override(registry.get_spec(model).task, data["task"], "task")
        values["recipe"] = override(Recipe(), data["recipe"], "recipe")
        values["model_arguments"] = registry.check_arguments(model, data["model_arguments"])
        return cls(**values)


def make_plan(name: str, **given: Any) -> Plan:
    """Return the plan of a model with some settings, fields of `TrainSettings`."""
    return resolve(TrainSettings.of({"name": name, **given}))


def resolve(settings: TrainSettings) -> Plan:
    """Return the plan of settings: what the user did not set is that of the recipe."""
    spec, name = registry.get_spec(settings.name), settings.name
    recipe = override(spec.recipe(settings.recipe), settings.group("recipe"), "recipe")
    task = override(spec.task, {**recipe.task, **settings.group("task")}, "task")
    reasons = dict.fromkeys(OF_TASKS - task.supports, task.title) | recipe.unused()
    for key in settings.group("recipe"):
        if key in reasons and getattr(recipe, key) != getattr(Recipe(), key):
            raise UsageError(f"recipe.{key} has no effect with {reasons[key]}; omit it")
    data = settings.settings.get("data") or recipe.data or spec.data
    plan = Plan(
        model=name,
        task=task,
        recipe=recipe,
        recipe_name=settings.recipe,
        model_arguments=registry.check_arguments(name, {**recipe.arguments(), **settings.group("model")}),
        data={"name": data, "data_dir": settings.data_dir, "cache_dir": settings.cache_dir},
        seed=settings.seed,
        precision="float32" if settings.network else settings.precision,
        init=settings.init,
        network=settings.network or "",
    )
    if plan.network:
        _check_network(plan, settings.group("model"))
    candidates = plan.default_candidates() if settings.candidates is None else settings.candidates
    plan = dataclasses.replace(plan, candidates="" if candidates == NETWORK else candidates)
    if plan.candidates and not isinstance(task, HasCandidates):
        raise UsageError(f"{name} has no other candidates than itself: omit --candidates")
    if plan.candidates and (of_network := recipe.compression()):
        raise UsageError(
            f"recipe.{of_network[0]} is of a network, and another candidate may be selected: omit --candidates"
        )
    if plan.candidates and not {"all", NETWORK} & set(split(plan.candidates)) and (names := settings.group("model")):
        raise UsageError(
            f"model.{next(iter(names))} is of the network, which is no candidate of {plan.candidates}; omit it"
        )
    if recipe.qat != "none":
        plan = dataclasses.replace(plan, precision=_precision_of_qat(plan))
    largest = MAX_SEED - (max(recipe.restarts, plan.ensemble) - 1)
    if settings.seed > largest:
        raise UsageError(f"seed {settings.seed} is not valid: it must be in [0, {largest}]")
    if plan.ensemble > 1 and (recipe.restarts > 1 or recipe.candidates or plan.init):
        raise UsageError(
            f"model.ensemble={plan.ensemble} trains so many models from different seeds: omit recipe.restarts, "
            "recipe.candidates and --init"
        )
    return plan


def _check_network(plan: Plan, given: Iterable[str]) -> None:
    """Raise UsageError for settings that have no effect with a model of the user."""
    is_set = {f"model.{name}": True for name in (*given, *plan.averaged)} | {"init": plan.init}
    is_set |= {"recipe.restarts": plan.recipe.restarts > 1, "recipe.candidates": plan.recipe.candidates}
    for name in (name for name, value in is_set.items() if value):
        raise UsageError(f"{name} has no effect with a model of your own, which has its architecture and weights")
    if isinstance(plan.task, Phased):
        raise UsageError(f"{plan.model} is trained in phases of its own layers: take mnist_cnn for images of one size")


def _precision_of_qat(plan: Plan) -> str:
    """Return the precision of quantization-aware training, whose rounding bfloat16 would drown in its own."""
    given = ["--precision bfloat16"] if plan.precision == "bfloat16" else []
    if given := given + [f"model.{name}={json.dumps(value)}" for name, value in plan.averaged.items()]:
        raise UsageError(f"recipe.qat={plan.recipe.qat} is not possible with {given[0]}; omit it")
    if plan.recipe.clusters:
        raise UsageError(
            "recipe.clusters is not possible with recipe.qat, which gives each output channel other values; "
            "omit one of them"
        )
    return "float32"


def _size(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))


def read_bundle(path: Path) -> tuple[Plan, Info]:
    """Return the plan and the dataset info of a bundle of this zoo."""
    metadata = zoo_metadata(path)
    if not metadata:
        raise UsageError(f"{path} was not written by the zoo: its manifest does not name a model and a task")
    with damaged(path / "manifest.json"):
        return Plan.from_json(metadata["plan"]), Info.from_json(metadata["info"])


def read_task(path: Path) -> tuple[BaseTask, Info]:
    """Return the task and the dataset info of a bundle, if possible without importing the file of the model."""
    # That file imports Keras and TensorFlow, which runtimes such as LiteRT do not need.
    metadata = zoo_metadata(path)
    if metadata:
        with damaged(path / "manifest.json"):
            data = metadata["plan"]
            if task := registry.restored_task(data["model"], data["task"]):
                return task, Info.from_json(metadata["info"])
    plan, info = read_bundle(path)
    return plan.task, info


def bundle_metadata(plan: Plan, info: Info, served: str) -> dict[str, Any]:
    """Return the metadata of the bundle of a served model, which `zoo_metadata` reads."""
    licence = None if info.is_own else registry.get_spec(plan.model).card.licence
    return {"zoo": {"plan": plan.to_json(), "info": info.to_json(), "served": served}, "licence": licence}


def zoo_metadata(path: Path) -> dict[str, Any]:
    """Return the zoo's metadata in the manifest of a bundle; empty if another program wrote the bundle."""
    from export.bundle.layout import read_manifest

    metadata = read_manifest(path).get("metadata", {}).get("zoo")
    return metadata if isinstance(metadata, dict) else {}


@contextlib.contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Turn the errors of code that reads the values of a file into a ZooError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, csv.Error) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ZooError(f"{path} is damaged: {reason}") from error
