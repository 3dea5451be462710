"""python -m export verify BUNDLE: verify a bundle."""

import sys
from pathlib import Path
from typing import Any

import click

from export.cli import PATH, show_certificate, trust_option
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.files import write_atomic


@click.command("verify")
@click.argument("bundle", type=PATH)
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Run only this runtime; may be repeated.")
@click.option("--require", multiple=True, metavar="NAME", help="Incomplete without this runtime or format.")
@click.option("--junit", type=PATH, metavar="FILE", help="Also write JUnit XML, for CI.")
@click.option("--sarif", type=PATH, metavar="FILE", help="Also write SARIF 2.1.0, for code scanning.")
@click.option("--signer", type=PATH, metavar="KEY", help="Public key (PEM) that BUNDLE.sig must fit.")
@click.option("--deep/--no-deep", default=None, help="Compare each file whole with another export; incomplete without.")
@click.option(
    "--served", type=PATH, metavar="FILE", help="Add a row for each server in a report of serve-check --json."
)
@trust_option
@common_options
def command(
    bundle: Path, runtimes: tuple[str, ...], junit: Path | None, sarif: Path | None, console: Console, **options: Any
) -> None:
    """Run every artifact of BUNDLE again. Exit code 0 pass, 1 fail, 2 wrong usage, 3 a requirement is not available."""
    from export.verifier import verify_bundle

    certificate = verify_bundle(bundle, runtimes=runtimes or None, **options)
    if junit or sarif:
        from export.proof import reports

        if junit:
            write_atomic(junit, reports.to_junit(certificate, bundle.resolve().name))
        if sarif:
            write_atomic(sarif, reports.to_sarif(certificate, bundle))
    show_certificate(certificate, console)
    if not console.json and not console.quiet:
        echo(f"{bundle}: {certificate.verdict}. Next: read {bundle / 'README.md'}")
    if console.quiet and not console.json and certificate.exit_code:
        echo(f"error: {bundle}: {certificate.verdict}: {certificate.problems()[0]}", err=True)
    sys.exit(certificate.exit_code)
