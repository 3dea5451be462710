"""One file per verb of `python -m export`, each with its `command`; what they share is here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from export.errors import ExportError


class Group(click.Group):
    """Commands whose errors are one sentence and an exit code, unless --debug asks for the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; 1 a check failed, 2 wrong usage, 3 something required is missing here."""
        try:
            return super().invoke(ctx)
        except ExportError as error:
            if "--debug" in sys.argv:
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            if "--debug" in sys.argv:
                raise
            click.echo(f"error: {type(error).__name__}: {error}; --debug shows where", err=True)
            ctx.exit(1)


def shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that every command has: --debug, --quiet, --json."""
    for option in (
        click.option("--debug", is_flag=True, help="Show tracebacks."),
        click.option("--quiet", is_flag=True, help="Say only what went wrong."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ):
        function = option(function)
    return function


def print_json(value: Any) -> None:
    """Print what --json asked for."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def show_certificate(certificate: Any, as_json: bool, quiet: bool) -> None:
    """Print a certificate, for a machine or for a person."""
    if as_json:
        print_json(certificate.to_json())
    elif not quiet:
        from export.cli.tables import print_certificate

        print_certificate(certificate)
