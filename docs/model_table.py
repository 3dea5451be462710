"""The table of models, with the figures of their cards and their trained weights."""

from collections.abc import Iterable

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


def markdown_table(names: Iterable[str], pages: str = "") -> str:
    """Return the table of some models, with links to their pages in a folder such as "../models/"."""
    lines = ["| model | task | headline metric, 95 % interval | measured on | weights |", "|---|---|---|---|---|"]
    for name in names:
        spec = registry.get_spec(name)
        cells = (
            f"[`{name}`]({pages}{name}.md)",
            spec.task.title,
            headline(name),
            spec.headline_data,
            shipped_weights(name),
        )
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
