"""python -m export formats: the formats, the runtimes that prove them, and what is installed."""

from __future__ import annotations

import click

from commandline import Console, common_options
from export.runtime.runtimes import RUNTIMES


@click.command("formats")
@common_options
def command(console: Console) -> None:
    """Show the formats and the runtimes that prove them, and what is installed."""
    rows = [
        {"format": format, "runtime": r.name, "required": r.required, "installed": r.version}
        for r in RUNTIMES.values()
        for format in r.formats
    ]
    if console.json:
        console.result(rows)
        return
    from export.cli.tables import print_table

    cells = [(r["format"], r["runtime"], "yes" if r["required"] else "", r["installed"] or "no") for r in rows]
    print_table(("format", "proven in", "required", "installed"), cells)
