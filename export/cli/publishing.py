"""python -m export publish and rollback: the versions of a model under a TF Serving base path."""

from __future__ import annotations

from pathlib import Path

import click

from export.cli import PATH, show, trust_option
from export.formats.format import KINDS
from zoobase import Console, common_options

policy_option = click.option("--policy", type=PATH, metavar="FILE", help="Refuse what this policy does not admit.")


@click.command("publish")
@click.argument("bundle", type=PATH)
@click.argument("base_path", type=PATH)
@click.option("--version", default="next", show_default=True, metavar="next|N|time", help="Version number.")
@click.option(
    "--allow",
    multiple=True,
    metavar="KIND",
    help=f"Publish with this reservation: {', '.join(KINDS)}, any; may be repeated.",
)
@policy_option
@trust_option
@common_options
def publish_command(
    bundle: Path,
    base_path: Path,
    version: str,
    allow: tuple[str, ...],
    policy: Path | None,
    trust: tuple[str, ...],
    console: Console,
) -> None:
    """Publish the SavedModel of BUNDLE under BASE_PATH atomically; existing versions are never modified."""
    from export.artifacts import ANY
    from export.bundle.layout import read_certificate, read_coverage
    from export.bundle.tf_serving import loader_note
    from export.proof.certificate import describe_coverage
    from export.proof.prove import check_names
    from export.serving.publisher import publish

    check_names(allow, (*KINDS, ANY), "reservation")
    published = publish(bundle, base_path, version=version, allow=allow, policy=policy, trust=trust)
    data = {"path": str(published.path), "version": published.version}
    lines = [f"proof: {text}" for text in describe_coverage(read_coverage(bundle))]
    if note := loader_note(read_certificate(bundle)["artifacts"]):
        data |= {"loader": note}
        lines.append(note)
    lines.append(f"{published.path}: published. Next: python -m export serve-check {base_path}")
    show(console, data, *lines)


@click.command("rollback")
@click.argument("base_path", type=PATH)
@click.option(
    "--expect",
    type=int,
    metavar="VERSION",
    help="Change nothing unless this is the newest version, which is taken back.",
)
@common_options
def rollback_command(base_path: Path, expect: int | None, console: Console) -> None:
    """Publish the version before the newest one of BASE_PATH again, under the next number."""
    from export.serving.publisher import rollback

    published = rollback(base_path, expect=expect)
    data = {"path": str(published.path), "version": published.version, "copy_of": published.copy_of}
    following = f"python -m export serve-check {base_path}"
    show(console, data, f"{published.path}: a copy of version {published.copy_of}. Next: {following}")
