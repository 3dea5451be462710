"""python -m zoo.weights: list the trained weights of all models."""

from collections.abc import Iterable, Mapping
from typing import Any

import click

from zoobase import console as shell
from zoobase.console import Console


def table(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Return the weights of some models, or of all: {"model", "weights", "state", "bytes", "licence", ...}."""
    # The state is "shipped" in the package, "downloaded" at first use or ""; `trained_on` is what the weights know.
    from zoo.core import registry, weight_files

    rows = []
    chosen = registry.list_models(listed=True) if names is None else names
    for name in (variant for model in chosen for variant in (model, *registry.variants(model))):
        spec = registry.get_spec(name)
        for key, entry in spec.weights.items():
            file = weight_files.SHIPPED / entry.source
            size = (file.stat().st_size if file.is_file() else None) if entry.shipped else entry.size
            about = entry.trained_on or ", ".join(filter(None, [spec.data, registry.get_entry(name).headline]))
            state = "shipped" if entry.shipped else "downloaded"
            facts = {"licence": entry.licence, "source": entry.source, "sha256": entry.sha256, "trained_on": about}
            rows.append({"model": name, "weights": key, "state": state, "bytes": size, **facts})
        if not spec.weights:
            empty = dict.fromkeys(("weights", "state", "licence", "source", "sha256", "trained_on"), "")
            rows.append({"model": name, **empty, "bytes": None})
    return rows


def print_table(console: Console, rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    """Print rows of `table`."""
    shown = [{**row, "MB": f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else ""} for row in rows]
    console.lines([column.replace("_", " ") for column in columns], [[row[c] for c in columns] for row in shown])


@click.command("weights")
@shell.common_options
def main(console: Console) -> None:
    """List the trained weights of all models."""
    rows = table()
    if not console.json:
        print_table(console, rows, ("model", "weights", "state", "MB", "licence", "source"))
        console.print('next: zoo.build(NAME, weights="default"), or python -m zoo.train NAME where there are none')
    console.result(rows)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.weights")
