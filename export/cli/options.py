"""Options that several verbs share."""

from __future__ import annotations

import click

trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="NAME",
    help='Trust this installed package or this operator; "any" trusts all that an artifact holds. May be repeated.',
)
