"""`python -m export`: export any Keras model with a proof, prove a bundle again, and use what was proven."""

from __future__ import annotations

import click

from export.cli import Group, compare, diff, formats, inspect, model, publish, serve_check, verify


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Any Keras model to artifacts, each proven in a fresh process."""


for verb in (model, verify, compare, inspect, diff, publish, serve_check, formats):
    main.add_command(verb.command)

if __name__ == "__main__":
    main(prog_name="python -m export")
