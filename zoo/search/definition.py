"""What a search is: the model, the settings of every trial, the space, and the metric by which trials are compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution

from zoo.core import environment, registry
from zoo.core.plan import NETWORK, Plan, resolve
from zoo.core.recipe import Optimization, override
from zoo.core.settings import TrainSettings, check_recipe, layered
from zoo.search import space as spaces
from zoo.search.space import Space
from zoobase.errors import UsageError


@dataclass(frozen=True)
class Search:
    """A search, as it is stored with its study."""

    model: str
    options: Mapping[str, Any]  # of `zoo.train.run` for every trial
    space: Space  # the settings that differ between trials, with their ranges
    metric: str  # in history.csv, by which trials are compared at the epoch whose weights are kept
    monitor: str  # in history.csv, which is lowest at that epoch
    direction: str  # "minimize" or "maximize"
    dataset: str = ""  # name of the data, if they were given in Python

    def plan(self, parameters: Mapping[str, Any] | None = None) -> Plan:
        """Return the plan of a trial; without parameters, that of the settings that all trials share."""
        settings = self.settings(parameters) if parameters else self.options["settings"]
        plan = resolve(TrainSettings.of({**self.options, "name": self.model, "settings": settings}))
        data = {**plan.data, "name": self.dataset, "given": True}
        return dataclasses.replace(plan, data=data) if self.dataset else plan

    def settings(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a trial, without parameters that have no effect beside the others.

        For example, an optimizer that has no momentum is not given one.
        """
        changes = {key.removeprefix("recipe."): v for key, v in parameters.items() if key.startswith("recipe.")}
        unused = override(self.plan().recipe, changes, "recipe").unused()
        used = {key: value for key, value in parameters.items() if key.removeprefix("recipe.") not in unused}
        return {**self.options["settings"], **used}

    def command(self, parameters: Mapping[str, Any]) -> str:
        """Return the command line that trains, evaluates and exports a model with the parameters of a trial."""
        command, precision = self.plan(parameters).command(), self.options["precision"]
        return f"{command[:-1]}, precision={precision!r})" if self.dataset else f"{command} --precision {precision}"

    @property
    def epochs(self) -> int:
        """The largest number of epochs of a trial."""
        epochs = self.space.get("recipe.epochs")
        if epochs is None:
            return self.plan().recipe.epochs
        return max(epochs.choices) if hasattr(epochs, "choices") else epochs.high

    def to_json(self) -> dict[str, Any]:
        """Return the search as JSON-able values."""
        space = {key: json.loads(distribution_to_json(distribution)) for key, distribution in self.space.items()}
        return json.loads(json.dumps({**vars(self), "options": dict(self.options), "space": space}))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Search:
        """Return the search of `to_json`."""
        space = {key: json_to_distribution(json.dumps(value)) for key, value in values["space"].items()}
        return cls(**{**values, "space": space})


def define(
    model: str,
    options: Mapping[str, Any],
    space_file: str | Path | None,
    minimize: str | None,
    maximize: str | None,
    dataset: str = "",
    has_optimizer: bool = False,
) -> Search:
    """Return a search, checked."""
    if minimize and maximize:
        raise UsageError("--minimize and --maximize exclude each other")
    file, space = ({}, {}) if space_file is None else spaces.read(space_file, model)
    check_recipe(options, file, space_file)
    common = {"name": model, "recipe": "default", "seed": 0, "precision": "float32", "settings": {}}
    common |= {"candidates": NETWORK}
    chosen = layered(common, file, options)
    settings = chosen.setdefault("settings", {})
    if "baseline" in registry.task_fields(registry.get_entry(model)):
        settings["task.baseline"] = False  # it is evaluated on the test split
    space = {k: v for k, v in space.items() if k not in settings}
    shared = TrainSettings.of(chosen)
    for key, value in spaces.corners(space):
        TrainSettings.of(chosen, {"settings": {key: value}})
    environment.prepare()
    plan = resolve(shared)
    if len(plan.trainings()) > 1:
        raise UsageError(
            f"the recipe {plan.recipe_name} of {model} trains several models and keeps the best; choose another "
            "recipe, or set recipe.restarts=1 and recipe.candidates=[]"
        )
    if space_file is None:
        space = {k: v for k, v in spaces.default(plan).items() if k not in settings}
    of_optimizer = {f"recipe.{f.name}" for f in dataclasses.fields(Optimization)} - {
        "recipe.epochs",
        "recipe.batch_size",
    }
    if has_optimizer and space_file is not None and (names := of_optimizer & set(space)):
        raise UsageError(f"{min(names)} has no effect, because optimizer= is given: leave it out of {space_file}")
    space = {key: value for key, value in space.items() if not has_optimizer or key not in of_optimizer}
    search = Search(
        chosen.pop("name"),
        chosen,
        space,
        metric=maximize or minimize or plan.task.monitor,
        monitor=plan.task.monitor,
        direction="maximize" if maximize else "minimize",
        dataset=dataset,
    )
    for key, value in spaces.corners(space):
        search.plan({key: value})
    changed = [key for key in spaces.CHANGES_LOSS if key in space]
    if changed and search.metric.endswith("loss"):
        raise UsageError(
            f"{changed[0]} changes {search.metric} itself, by which trials would be compared; name a metric that it "
            "does not change, such as --maximize val_accuracy"
        )
    return search
