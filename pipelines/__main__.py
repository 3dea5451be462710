"""`python -m pipelines`: list the datasets, and inspect data before training on it."""

import click

from pipelines.cli import info, listing, preview, shard
from zoobase import run


@click.group("pipelines", context_settings={"help_option_names": ["-h", "--help"]})
def verbs() -> None:
    """Datasets and input pipelines."""


COMMANDS = (listing, info, preview, shard)
for command in (listing.names, *(file.command for file in COMMANDS)):
    verbs.add_command(command)


if __name__ == "__main__":
    run(verbs, prog="python -m pipelines")
