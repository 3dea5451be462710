"""The table of models, with the figures of their cards and their trained weights."""

from collections.abc import Iterable, Mapping
from typing import Any

from zoo import weights
from zoo.core import registry


def shipped_weights(name: str) -> str:
    """Return which trained weights a model has, as text: shipped in the package, or downloaded."""
    known = registry.get_spec(name).weights
    shipped = ["shipped"] if "default" in known and known["default"].shipped else []
    # one name of each file: the last, which is "default"
    files = {value.sha256: key for key, value in known.items() if not value.shipped}
    downloaded = [f"{key}, downloaded".removeprefix("default, ") for key in files.values()]
    return ", ".join(shipped + downloaded) or "no"


def markdown_table() -> str:
    """Return the tables of all models: first those with weights or a figure."""
    specs = {name: registry.get_spec(name) for name in registry.list_models()}
    parts = {
        "": [n for n, spec in specs.items() if not spec.card.of_course and (spec.weights or spec.card.expect)],
        "Without weights and without a figure, to be trained on your own data:\n\n": [
            n for n, spec in specs.items() if not spec.card.of_course and not spec.weights and not spec.card.expect
        ],
        "Exercises of the course, small on purpose:\n\n": [n for n, spec in specs.items() if spec.card.of_course],
    }
    return "\n".join(title + _table(specs, part) for title, part in parts.items() if part)


def _table(specs: Mapping[str, Any], names: Iterable[str]) -> str:
    lines = ["| model | task | headline metric, 95 % interval | measured on | weights |", "|---|---|---|---|---|"]
    for name in names:
        spec = specs[name]
        cells = (f"`{name}`", spec.task.title, headline(name), spec.headline_data, shipped_weights(name))
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def headline(name: str) -> str:
    """Return what a card quotes, or its first metric, with half the 95 % interval if it is that of shipped weights."""
    spec = registry.get_spec(name)
    metric, value = next(iter(spec.card.expect.items()), ("", 0))
    if spec.card.quoted:
        return spec.card.quoted
    if "default" not in spec.weights or not spec.weights["default"].shipped or not metric:
        return f"{metric} {value:g}" if metric else ""
    record = weights.description(name)
    ends = record.get("intervals", {}).get(metric)
    half = f" ± {max(abs(end - record['metrics'][metric]) for end in ends):.2g}" if ends else ""
    return f"{metric} {value:g}{half}"
