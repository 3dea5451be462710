"""What a training will do, resolved and checked before any data is touched."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipelines
from zoo.core import registry
from zoo.core.errors import UsageError, unknown
from zoo.core.recipe import Recipe, override
from zoo.core.spec import Spec
from zoo.core.task import BaseTask

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Plan:
    """One training: which model, how, on what.

    Attributes:
        model: Name of the entry.
        task: The entry's, with the `task.` settings.
        recipe: The named recipe, with the `recipe.` settings.
        recipe_name: Its name.
        asked: Builder arguments of the recipe and the user; those that the data decides join them in `arguments`.
        data: Where the examples come from: name, data_dir, cache_dir.
        seed: Of everything random.
        precision: In which training computes: "auto", "float32" or "bfloat16". What is saved is float32 always.
        init: Weights to begin from: a run, a bundle, a weights file or "default"; None for fresh ones.
        candidate: Which of the recipe's architectures is meant, if it has candidates; after training, the best.
    """

    model: str
    task: BaseTask
    recipe: Recipe
    recipe_name: str = "default"
    asked: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    precision: str = "auto"
    init: str | None = None
    candidate: int = 0

    def load_data(self) -> Dataset:
        """Find and prepare the data; `pipelines.DataError` where it is not to be had."""
        return self.task.prepare(pipelines.load(**self.data, split=self.recipe.split))

    def arguments(self, info: Info) -> dict[str, Any]:
        """Return all builder arguments: defaults, what the data decides, the candidate's, what the user asked for."""
        options = registry.get_entry(self.model).options
        found = {o.name: o.default for o in options} | self.task.model_args(info)
        if self.recipe.candidates:
            found |= registry.check_arguments(self.model, self.recipe.candidates[self.candidate])
        return found | dict(self.asked)

    def trainings(self) -> list[Plan]:
        """Return the plans of which the best is kept: each candidate from each seed; often just this one."""
        recipe = self.recipe
        return [
            dataclasses.replace(self, candidate=candidate, seed=self.seed + i)
            for candidate in range(max(1, len(recipe.candidates)))
            for i in range(recipe.restarts)
        ]

    def feed(self, dataset: Dataset, split: str, training: bool = False) -> Feed:
        """Return the examples of a split, as the model takes them."""
        return self.task.examples(dataset[split], dataset.info, self.recipe, self.arguments(dataset.info), training)

    def build(self, info: Info) -> keras.Model:
        """Build the model; called inside whatever scope trains it."""
        return registry.get_builder(self.model)(**self.arguments(info))

    def command(self) -> str:
        """Return the command line that makes this plan again."""
        spec = registry.get_spec(self.model)
        words = ["python", "-m", "zoo.train", self.model]
        words += ["--recipe", self.recipe_name] if self.recipe_name != "default" else []
        words += ["--seed", str(self.seed)]
        named = spec.recipe(self.recipe_name)
        groups = (("recipe", self.recipe, named), ("task", self.task, spec.task))
        changed = {
            f"{group}.{f.name}": getattr(mine, f.name)
            for group, mine, theirs in groups
            for f in dataclasses.fields(mine)
            if getattr(mine, f.name) != getattr(theirs, f.name)
        }
        given = registry.check_arguments(self.model, self.recipe.arguments())  # lists become tuples, as in `asked`
        changed |= {f"model.{k}": v for k, v in self.asked.items() if k not in given or given[k] != v}
        if self.data["name"] != spec.data:
            changed["data"] = self.data["name"]
        for key, value in changed.items():
            words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        words += ["--init", self.init] if self.init else []
        words += ["--data-dir", str(self.data["data_dir"])] if self.data["data_dir"] else []
        return shlex.join(words)

    def to_json(self) -> dict[str, Any]:
        """Return what `config.json` keeps, from which `from_json` makes an equal plan."""
        plain = {f.name: getattr(self.task, f.name) for f in dataclasses.fields(self.task)}
        return {
            "model": self.model,
            "recipe_name": self.recipe_name,
            "recipe": dataclasses.asdict(self.recipe),
            "task": {k: v for k, v in plain.items() if not callable(v)},
            "asked": dict(self.asked),
            "data": dict(self.data),
            "seed": self.seed,
            "precision": self.precision,
            "init": self.init,
            "candidate": self.candidate,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Rebuild a plan; UsageError if the zoo no longer has its model or a field of its recipe."""
        spec = registry.get_spec(data["model"])
        return cls(
            model=data["model"],
            task=override(spec.task, data["task"], "task"),
            recipe=override(Recipe(), data["recipe"], "recipe"),
            recipe_name=data["recipe_name"],
            asked=registry.check_arguments(data["model"], data["asked"]),
            data=data["data"],
            seed=data["seed"],
            precision=data["precision"],
            init=data["init"],
            candidate=data.get("candidate", 0),
        )


def make_plan(
    model: str,
    *,
    recipe: str = "default",
    asked: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    data_dir: str | None = None,
    cache_dir: str | None = None,
    seed: int = 0,
    precision: str = "auto",
    init: str | None = None,
) -> Plan:
    """Resolve names and settings into a plan.

    Args:
        model: Name of the entry.
        recipe: Name of one of its recipes.
        asked: Builder arguments.
        settings: Dotted names to values, as of `--set`: `recipe.X`, `model.X`, `task.X`, and `data`.
        data_dir: The user's own data.
        cache_dir: Where prepared data lies.
        seed: Of everything random.
        precision: "auto", "float32" or "bfloat16".
        init: Weights to begin from.

    Raises:
        UsageError: Something unknown, with the nearest names, or a value of the wrong type.
    """
    spec: Spec = registry.get_spec(model)
    dataset, groups = _grouped(settings or {})
    dataset = dataset or spec.data
    chosen = override(spec.recipe(recipe), groups["recipe"], "recipe")
    groups["model"] = {**chosen.arguments(), **(asked or {}), **groups["model"]}
    for candidate in chosen.candidates:
        registry.check_arguments(model, candidate)
    for kind, value, known in (("dataset", dataset, pipelines.list_datasets()), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise unknown(kind, value, known)
    decided = registry.DECIDED_BY_DATA & set(groups["model"])
    if decided:
        raise UsageError(f"{', '.join(sorted(decided))}: the data decides that; leave it out")
    return Plan(
        model=model,
        task=override(spec.task, groups["task"], "task"),
        recipe=chosen,
        recipe_name=recipe,
        asked=registry.check_arguments(model, groups["model"]),
        data={"name": dataset, "data_dir": data_dir, "cache_dir": cache_dir},
        seed=seed,
        precision=precision,
        init=init,
    )


def _grouped(settings: Mapping[str, Any]) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """Return the dataset's name, if it is set, and the settings of each group by field."""
    dataset, groups = None, {"recipe": {}, "model": {}, "task": {}}
    for key, value in settings.items():
        group, _, name = key.partition(".")
        if group == "data" and not name:
            dataset = value
        elif group in groups and name:
            groups[group][name] = value
        else:
            raise unknown("setting", key, ["data", "recipe.FIELD", "model.FIELD", "task.FIELD"])
    return dataset, groups


def read_bundle(path: Path) -> tuple[Plan, Info]:
    """Return the plan that a bundle of this zoo was trained by, and what was known of its data.

    Raises:
        UsageError: It is a bundle of another maker.
    """
    from pipelines.dataset import Info

    told = zoo_metadata(path)
    if not told:
        raise UsageError(f"{path} is a bundle of another maker: it does not say which task of the zoo it belongs to")
    return Plan.from_json(told["plan"]), Info.from_json(told["info"])


def zoo_metadata(path: Path) -> dict[str, Any]:
    """Return what the manifest of a bundle says of the zoo; nothing for one of another maker."""
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    return manifest.get("metadata", {}).get("zoo") or {}
