"""`python -m export`: export any Keras model with a proof, verify bundles, compare and publish artifacts."""

import click

from export.cli import (
    attestation,
    check_input,
    compare,
    deployment,
    inspect,
    matrix,
    model,
    publishing,
    serving,
    verify,
    web,
)
from zoobase import run
from zoobase.console import Commands


@click.group("export", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def verbs() -> None:
    """Export any Keras model to artifacts, each proven in a fresh process."""


for verb in (model, verify, compare, inspect, check_input, web):
    verbs.add_command(verb.command)
verbs.add_command(compare.certify_command)
verbs.add_command(compare.repair_command)
verbs.add_command(compare.flips_command)
for command in (inspect.diff_command, inspect.formats_command, check_input.snippets_command):
    verbs.add_command(command)
for name in ("publish", "rollback"):
    verbs.add_command(getattr(publishing, f"{name}_command"))
for command in (serving.serve_check_command, serving.serve_command, serving.servers_command):
    verbs.add_command(command)
for command in (matrix.matrix_command, matrix.upgrade_command):
    verbs.add_command(command)
for command in (deployment.manifest_command, deployment.drift_command):
    verbs.add_command(command)
for name in ("attest", "bom", "technical_file", "admit"):
    verbs.add_command(getattr(attestation, f"{name}_command"))


def main() -> None:
    """Run the command line; the console script `zoo-export`."""
    run(verbs, prog="python -m export")


if __name__ == "__main__":
    main()
