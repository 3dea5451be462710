"""python -m zoo info NAME: one model's card."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipelines import catalogue
from zoo.core import registry
from zoo.core.capabilities import Untrained
from zoo.core.recipe import Recipe
from zoo.core.run_folder import versions
from zoo.core.task import BaseTask
from zoobase import ROOT
from zoobase import console as shell
from zoobase.console import Console
from zoobase.files import cache_root, write_atomic


def run(name: str) -> dict[str, Any]:
    """Return the card of a model as a JSON-able dictionary.

    Raises:
        UsageError: Unknown model; the message names the closest matches.

    Example:
        >>> card = run("mnist")
        >>> card["task"], card["inputs"]
        ('image classification', {'image': 'float32 (B, 28, 28, 1)'})
    """
    entry = registry.get_entry(name)
    path = cache_root() / "info" / f"{name}-{_digest(entry.module)}.json"
    if path.is_file():
        with contextlib.suppress(OSError, ValueError):
            return json.loads(path.read_text(encoding="utf-8"))
    card = json.loads(json.dumps(_card(name)))  # as from the cache
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(card).encode())
    return card


def _digest(module: str) -> str:
    """Return a digest of what a card is made of: our files, that of the model, and the versions of the libraries."""
    files = sorted((Path(ROOT) / "zoo").rglob("*.py"))
    files += [Path(spec.origin)] if (spec := importlib.util.find_spec(module)) and spec.origin else []
    state = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    return hashlib.sha256(repr((state, versions())).encode()).hexdigest()[:16]


def _card(name: str) -> dict[str, Any]:
    entry, spec = registry.get_entry(name), registry.get_spec(name)
    model = registry.get_builder(name)()
    card = spec.card
    return {
        "name": name,
        "summary": entry.summary,
        "task": spec.task.title,
        "data": spec.data,
        "inputs": _signature(spec.task, model, "input"),
        "outputs": _signature(spec.task, model, "output"),
        "parameters": model.count_params(),
        "arguments": {o.name: list(o.choices) or o.default for o in entry.options},
        "variants": {variant: registry.get_entry(variant).summary for variant in registry.variants(name)},
        "recipes": {k: _main_fields(r) for k, r in spec.recipes.items()},
        "weights": sorted(spec.weights),
        "expect": dict(card.expect),
        "quoted": card.quoted,
        "command": card.command
        or ("" if isinstance(spec.task, Untrained) else f"python -m zoo.train {name}{_own_data(spec.data)}"),
        "test_data": spec.headline_data,
        "measured_on": card.measured_on,
        "baselines": dict(card.baselines),
        "published": card.published,
        "paper": card.paper,
        "licence": card.licence,
        "notes": card.limitations,
        "file": entry.module,
    }


def _own_data(dataset: str) -> str:
    """Return the option that a training needs whose default dataset is the user's own data."""
    if not catalogue.get_entry(dataset).needs_data_dir:
        return ""
    return f" --data-dir {'FILE.csv' if dataset == 'table' else 'FOLDER'}"


def _signature(task: BaseTask, model: Any, side: str) -> dict[str, str]:
    """Return dtype and shape of each input or output of every exported model, by the names used in the artifacts."""
    signature = {}
    for suffix, served in task.served(model).items():
        names = [task.output] if side == "output" and task.output else getattr(served, f"{side}_names", ())
        shapes = _shapes(getattr(served, side), names)
        signature |= {f"{suffix}: {name}" if suffix else name: shape for name, shape in shapes.items()}
    return signature


def _shapes(tensors: Any, names: Sequence[str] = ()) -> dict[str, str]:
    """Return dtype and shape by name: the keys of a structure, else `names`, else the names of the tensors."""
    import keras

    paths = keras.tree.flatten_with_path(tensors)
    by_name = {}
    for i, (path, tensor) in enumerate(paths):
        key = "/".join(map(str, path)) if path and isinstance(path[0], str) else ""
        by_name[key or (names[i] if len(names) == len(paths) else tensor.name)] = tensor
    return {k: f"{t.dtype} {tuple(t.shape)}".replace("None", "B", 1) for k, t in by_name.items()}


def _main_fields(recipe: Recipe) -> dict[str, Any]:
    """Return the four main fields of a recipe and all fields that differ from their defaults."""
    main = {"epochs", "batch_size", "learning_rate", "optimizer"}
    return {
        f.name: getattr(recipe, f.name)
        for f in dataclasses.fields(recipe)
        if f.name in main or getattr(recipe, f.name) != getattr(Recipe(), f.name)
    }


def _format(value: Any) -> str:
    """Return a value in command-line notation: `epochs=12 batch_size=512`, `32, 64`."""
    if isinstance(value, Mapping):
        return " ".join(f"{k}={_format(v).replace(', ', ',')}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(f"[{_format(v)}]" if isinstance(v, Mapping | list | tuple) else str(v) for v in value)
    return str(value)


@click.command("info")
@click.argument("name")
@shell.common_options
def main(name: str, console: Console) -> None:
    """Show the card of model NAME: task, data, shapes, parameters, recipes, expected metrics."""
    card = run(name)
    if not console.json:
        rows = []
        for key, value in card.items():
            if isinstance(value, dict):
                value = "\n".join(f"{k}: {_format(v)}" for k, v in value.items())
            elif isinstance(value, list):
                value = ", ".join(value)
            elif key == "parameters":
                value = f"{value:,}"
            if value:
                rows.append((key, str(value)))
        console.table(name, ["field", "value"], rows)
        console.print(f"next: python -m zoo.{'train' if card['command'] else 'export'} {name}{_own_data(card['data'])}")
    console.result(card)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.info")
