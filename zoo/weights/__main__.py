"""python -m zoo.weights: list the trained weights of all models."""

from __future__ import annotations

from typing import Any

import click

from zoobase import console as shell
from zoobase.console import Console


def table() -> list[dict[str, Any]]:
    """Return the weights of all models: {"model", "weights", "state", "bytes", "licence", "source"}.

    The state is "shipped" (in the package), "downloaded" (when it is first used) or "" (no weights).
    """
    from zoo.core import registry, weight_files

    rows = []
    for name in registry.list_models():
        spec = registry.get_spec(name)
        for key, entry in spec.weights.items():
            file = weight_files.SHIPPED / entry.source
            state = "shipped" if entry.shipped else "downloaded"
            size = file.stat().st_size if entry.shipped and file.is_file() else None
            facts = {"state": state, "bytes": size, "licence": entry.licence, "source": entry.source}
            rows.append({"model": name, "weights": key, **facts})
        if not spec.weights:
            rows.append({"model": name, "weights": "", "state": "", "bytes": None, "licence": "", "source": ""})
    return rows


@click.command("weights")
@shell.common_options
def main(console: Console) -> None:
    """List the trained weights of all models."""
    rows = table()
    if not console.json:
        columns = ("model", "weights", "state", "MB", "licence", "source")
        lines = [[_cell(row, column) for column in columns] for row in rows]
        console.lines(columns, lines)
        console.print('next: zoo.build(NAME, weights="default"), or python -m zoo.train NAME where there are none')
    console.result(rows)


def _cell(row: dict[str, Any], column: str) -> str:
    if column == "MB":
        return f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else ""
    return row[column]


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.weights")
