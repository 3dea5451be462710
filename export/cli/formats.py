"""python -m export formats: list the formats, the runtimes that prove them, and the installed versions."""

from __future__ import annotations

import click

from export.cli import print_table
from export.runners import RUNTIMES
from zoobase import Console, common_options


@click.command("formats")
@common_options
def command(console: Console) -> None:
    """List the formats, the runtimes that prove them, and the installed versions."""
    rows = [
        {"format": format, "runtime": r.name, "required": r.required, "installed": r.version}
        for r in RUNTIMES.values()
        for format in r.formats
    ]
    if console.json:
        console.result(rows)
        return
    cells = [(r["format"], r["runtime"], "yes" if r["required"] else "", r["installed"] or "no") for r in rows]
    print_table(("format", "proven in", "required", "installed"), cells)
