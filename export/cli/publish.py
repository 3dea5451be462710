"""python -m export publish BUNDLE BASE_PATH: publish a version under a TF Serving base path."""

from __future__ import annotations

from pathlib import Path

import click

from commandline import Console, common_options
from commandline.console import echo
from export.artifacts.reservations import KINDS
from export.cli.options import trust_option


@click.command("publish")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("base_path", type=click.Path(path_type=Path))
@click.option("--version", default="next", show_default=True, metavar="next|N|time", help="Version number.")
@click.option(
    "--allow",
    multiple=True,
    metavar="KIND",
    help=f"Publish with this reservation: {', '.join(KINDS)}, any; may be repeated.",
)
@trust_option
@common_options
def command(
    bundle: Path, base_path: Path, version: str, allow: tuple[str, ...], trust: tuple[str, ...], console: Console
) -> None:
    """Publish the SavedModel of BUNDLE under BASE_PATH atomically; existing versions are never modified."""
    from export.artifacts import ANY
    from export.bundle.layout import read_coverage
    from export.bundle.publisher import publish
    from export.proof.coverage import describe
    from export.proof.prove import check_names

    check_names(allow, (*KINDS, ANY), "reservation")
    published = publish(bundle, base_path, version=version, trust=trust, allow=allow)
    for text in describe(read_coverage(bundle)) if not console.json and not console.quiet else ():
        echo(f"proof: {text}")
    if console.json:
        console.result({"path": str(published.path), "version": published.version})
    elif not console.quiet:
        echo(f"{published.path}: published. Next: python -m export serve-check {base_path}")
