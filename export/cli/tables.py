"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from export.bundle.card import worst_difference
from export.proof.certificate import Certificate

COLOURS = {"pass": "green", "fail": "bold red", "not_run": "yellow", "unsupported": "dim"}


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal; a pipe gets plain text."""
    table = Table(box=None, pad_edge=False)
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def print_certificate(certificate: Certificate) -> None:
    """Print one line for each artifact in each runtime, and one for each problem."""
    rows = [
        (row.artifact, row.runtime or "", f"[{COLOURS[row.state]}]{row.state}[/]", worst_difference(row))
        for row in certificate.artifacts
    ]
    print_table(("artifact", "runtime", "state", "largest difference (tolerance)"), rows)
    console = Console()
    for row in certificate.artifacts:
        if text := row.reason or row.note:
            console.print(f"{row.artifact}: {text}", markup=False, highlight=False, soft_wrap=True)
