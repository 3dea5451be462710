"""The settings of a training in a file: config.json of a run, or the same fields in TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoobase.errors import UsageError, unknown

FIELDS = ("model", "recipe_name", "recipe", "task", "model_arguments", "data", "seed", "precision", "init")
RECORDED = ("candidate", "arguments", "info", "versions", "git", "machine", "command", "requested")  # not settings


def read(path: str | Path, model: str | None = None) -> dict[str, Any]:
    """Return the settings of a file as arguments of `zoo.train.run`.

    Args:
        path: config.json of a run, or a .toml file with some of its fields. What is missing has its default value.
        model: The model, if the file need not name it.

    Raises:
        UsageError: The file is neither JSON nor TOML, names no model, has an unknown field, or is of a run whose data
            was in memory.
    """
    values = {**({} if model is None else {"model": model}), **_parse(Path(path))}
    if "model" not in values:
        raise UsageError(f'{path} names no model: add a line such as model = "fashion_mnist"')
    for name in values:
        if name not in (*FIELDS, *RECORDED):
            raise unknown(f"field of {path}", name, FIELDS)
    for name in ("recipe", "task", "model_arguments", "data"):
        if not isinstance(values.setdefault(name, {}), Mapping):
            raise UsageError(f"{name} of {path} is not a table of settings")
    data = values["data"]
    if data.get("given"):
        raise UsageError(
            f"the data of {path}, {data.get('name')}, was given as dataset= to zoo.train.run: call it again"
        )
    settings = {f"{group}.{field}": value for group in ("recipe", "task") for field, value in values[group].items()}
    settings |= {f"model.{field}": value for field, value in values["model_arguments"].items()}
    settings |= {"data": data["name"]} if "name" in data else {}
    arguments = {"name": values["model"], "recipe": values.get("recipe_name"), "settings": settings}
    arguments |= {name: data.get(name) for name in ("data_dir", "cache_dir")}
    arguments |= {name: values.get(name) for name in ("seed", "precision", "init")}
    return {name: value for name, value in arguments.items() if value is not None}


def _parse(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a JSON object")
    return current_names(values)


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config.json by today's names: `asked` was that of `model_arguments`."""
    return {"model_arguments" if name == "asked" else name: value for name, value in values.items()}
