"""python -m export formats: the formats, the runtimes that prove them, and what is installed."""

from __future__ import annotations

import click

from export.cli import print_json, shared_options
from export.runtime.runtimes import RUNTIMES


@click.command("formats")
@shared_options
def command(as_json: bool, quiet: bool, debug: bool) -> None:
    """Show the formats and the runtimes that prove them, and what is installed."""
    rows = [
        {"format": format, "runtime": r.name, "required": r.required, "installed": r.version}
        for r in RUNTIMES.values()
        for format in r.formats
    ]
    if as_json:
        print_json(rows)
        return
    from export.cli.tables import print_table

    cells = [(r["format"], r["runtime"], "yes" if r["required"] else "", r["installed"] or "no") for r in rows]
    print_table(("format", "proven in", "required", "installed"), cells)
