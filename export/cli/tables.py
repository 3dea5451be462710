"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from export.proof.certificate import Certificate, describe_coverage, unmatched_weights, worst_difference
from zoobase.console import echo, printable

COLOURS = {"pass": "green", "fail": "bold red", "not_run": "yellow", "unsupported": "dim"}


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal; a pipe gets plain text.

    Cells are data: markup in them is printed as it is. A cell that is the name of a state has its colour.
    """
    table = Table(box=None, pad_edge=False)
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell), COLOURS.get(cell, "")) for cell in row))
    Console().print(table)


def print_certificate(certificate: Certificate) -> None:
    """Print one line for each artifact in each runtime, and one for each problem."""
    rows = [(row.artifact, row.runtime or "", row.state, worst_difference(row)) for row in certificate.rows]
    print_table(("artifact", "runtime", "state", "largest difference (tolerance)"), rows)
    for row in certificate.rows:
        if text := row.reason or row.note:
            echo(f"{row.artifact}: {text}")
        if row.weights and row.weights["unmatched"]:
            echo(f"{row.artifact}: {unmatched_weights(row.weights)}")
    for text in certificate.reservations():
        echo(f"reservation: {text}")
    for text in describe_coverage(certificate.coverage):
        echo(f"proof: {text}")
