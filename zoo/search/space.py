"""The space of a search: settings with ranges, from a TOML file or by default for a model."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from zoo.core import registry
from zoo.core.plan import Plan
from zoo.core.recipe import Recipe
from zoo.core.settings import read_config
from zoobase.errors import UsageError, short, unknown

KEYS = ("low", "high", "log", "step", "choices")
EXCLUDED = {
    "data": "losses on different data cannot be compared",
    "recipe.limit": "losses on different validation data cannot be compared",
    "recipe.split": "losses on different validation data cannot be compared",
    "recipe.restarts": "every trial is one training",
    "recipe.candidates": "every trial is one training; search model_arguments instead",
}
CHANGES_LOSS = ("recipe.l1", "recipe.l2", "recipe.label_smoothing", "task.loss")  # the validation loss, too

Space = dict[str, BaseDistribution]


def read(path: str | Path, model: str) -> tuple[dict[str, Any], Space]:
    """Return the settings of a file as arguments of `zoo.train.run`, and the ranges among them."""
    # The file has the form of `--config`, and need not name the model. A table instead of a value is a range: `{low =
    # 1e-4, high = 1e-1, log = true}`, `{low = 16, high = 256, step = 16}` or `{choices = [...]}`.
    values = read_config(path, model)
    if values["name"] != model:
        raise UsageError(f"{path} is for the model {values['name']}, not for {model}")
    tables = {k: v for k, v in values["settings"].items() if isinstance(v, Mapping) and k != "recipe.model"}
    if not tables:
        raise UsageError(f"{path} has no range; write one as recipe.learning_rate = {{low = 1e-4, high = 1e-1}}")
    defaults = {f"model.{name}": value for name, value in registry.get_entry(model).defaults.items()}
    defaults |= {f"recipe.{name}": value for name, value in vars(Recipe()).items()}
    space = {key: _distribution(key, table, defaults.get(key)) for key, table in tables.items()}
    fixed = {key: value for key, value in values["settings"].items() if key not in tables}
    return values | {"settings": fixed}, space


def _distribution(key: str, table: Mapping[str, Any], like: Any) -> BaseDistribution:
    if key in EXCLUDED:
        raise UsageError(f"{key} cannot be searched: {EXCLUDED[key]}")
    for name in table:
        if name not in KEYS:
            raise unknown(f"key of the range of {key}", name, KEYS)
    if "choices" in table:
        choices = table["choices"]
        if len(table) > 1 or not isinstance(choices, list) or len(choices) < 2:
            raise UsageError(f"choices of {key} is a list of at least two values, without low and high")
        return CategoricalDistribution([as_category(value) for value in choices])
    bounds = {name: table.get(name) for name in ("low", "high", "step") if name in table or name != "step"}
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in bounds.values()):
        raise UsageError(f"{key} needs the numbers low and high, or choices, not {short(dict(table))}")
    whole = all(isinstance(value, int) for value in bounds.values()) and not isinstance(like, float)
    try:
        if not bounds["low"] < bounds["high"]:
            raise ValueError("low must be less than high")
        return (IntDistribution if whole else FloatDistribution)(**bounds, log=table.get("log", False))
    except ValueError as error:
        raise UsageError(f"the range of {key}, {short(dict(table))}, is not valid: {error}") from None


def suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """Return the parameters that Optuna proposes for a trial."""
    for key, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            trial.suggest_categorical(key, distribution.choices)
        else:
            propose = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
            propose(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    return trial.params


def as_category(value: Any) -> Any:
    """Return a value as Optuna takes it: a list or table as JSON, which `zoo.core.recipe.convert` reads."""
    return json.dumps(value) if isinstance(value, list | tuple | Mapping) else value


def default(plan: Plan) -> Space:
    """Return the space of a model's recipe if the user gives none."""
    # Learning rate x 0.1 to 10, batch size x 0.5 to 2, weight decay and dropout; adversarial models keep these two.
    recipe, options = plan.recipe, registry.get_entry(plan.model).defaults
    sizes = sorted({max(1, recipe.batch_size // 2), recipe.batch_size, 2 * recipe.batch_size})
    space: Space = {
        "recipe.learning_rate": FloatDistribution(recipe.learning_rate / 10, recipe.learning_rate * 10, log=True),
        "recipe.batch_size": CategoricalDistribution(sizes),
    }
    if plan.task.adversarial:
        return space
    decays = sorted({0.0, 1e-4, 1e-3, 1e-2, 1e-1, recipe.weight_decay})
    space["recipe.weight_decay"] = CategoricalDistribution(decays)
    if isinstance(options.get("dropout"), float):
        space["model.dropout"] = FloatDistribution(0.0, max(0.6, current(plan, "model.dropout")))
    return space


def current(plan: Plan, key: str) -> Any:
    """Return the value of a setting in a plan, as a category if it is a list."""
    group, _, field = key.partition(".")
    if group == "model":
        return as_category({**registry.get_entry(plan.model).defaults, **plan.model_arguments}.get(field))
    if key == "recipe.dropout":  # None is the builder's default
        return current(plan, "model.dropout")
    return as_category(getattr(plan.recipe if group == "recipe" else plan.task, field, None))


def defaults_within(plan: Plan, space: Space) -> dict[str, Any] | None:
    """Return the settings of a plan as parameters of a trial; None if one is outside of its range."""
    values = {key: current(plan, key) for key in space}
    for key, distribution in space.items():
        is_category = isinstance(distribution, CategoricalDistribution)
        value = values[key]
        if not (
            value in distribution.choices
            if is_category
            else isinstance(value, int | float) and distribution._contains(value)
        ):
            return None
    return values


def corners(space: Space) -> Iterator[tuple[str, Any]]:
    """Yield each setting with the ends of its range, or each of its choices."""
    for key, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            yield from ((key, value) for value in distribution.choices)
        else:
            yield from ((key, value) for value in (distribution.low, distribution.high))
