"""One file per verb of `python -m export`, each with its `command`; shared code is here."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from zoobase import Console
from zoobase.console import echo, printable

COLOURS = {"pass": "green", "fail": "bold red", "not_run": "yellow", "unsupported": "dim"}
PATH = click.Path(path_type=Path)

trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="NAME",
    help='Trust this installed package or this operator; "unconfined": load where the kernel cannot confine; '
    '"any": whatever an artifact holds. May be repeated.',
)


def show(console: Console, data: Any, *lines: str, table: tuple[Sequence[str], Sequence[Any]] = ((), ())) -> None:
    """Print a result as JSON, or else, unless --quiet, as a table, its head and its rows, and lines of text."""
    console.result(data)
    if console.json or console.quiet:
        return
    if table[1]:
        print_table(*table)
    for line in lines:
        echo(line)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal; a pipe gets plain text."""
    # Cells are data: markup in them is printed as it is. A cell that is the name of a state has its colour.
    from rich.console import Console as Terminal
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell), COLOURS.get(cell, "")) for cell in row))
    Terminal().print(table)


def show_certificate(certificate: Any, console: Console) -> None:
    """Print a certificate as JSON, or one line for each artifact in each runtime, and one for each problem."""
    from export.proof.certificate import describe_coverage, optional_and_absent, unmatched_weights, worst_difference

    console.result(certificate.to_json())
    if console.json or console.quiet:
        return
    shown, absent = optional_and_absent(certificate.rows)
    rows = [(row.artifact, row.runtime or "", row.state, worst_difference(row)) for row in shown]
    print_table(("artifact", "runtime", "state", "largest difference (tolerance)"), rows)
    if absent:
        echo(absent)
    for row in shown:
        if text := row.reason or row.note:
            echo(f"{row.artifact}: {text}")
        if row.weights and row.weights["unmatched"]:
            echo(f"{row.artifact}: {unmatched_weights(row.weights)}")
    for text in certificate.reservations():
        echo(f"reservation: {text}")
    for text in describe_coverage(certificate.coverage):
        echo(f"proof: {text}")
