"""python -m export publish and rollback: the versions of a model under a TF Serving base path."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.cli import PATH, show, trust_option
from export.contract.quantization import MAX_DROP
from export.formats.format import KINDS
from zoobase import Console, common_options

if TYPE_CHECKING:
    from export.serving.update_check import Requirements


def update_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a comparison with the newest version; `requirements` makes one of their values."""
    for option in (
        click.option(
            "--max-drop", type=float, help=f"Largest allowed metric drop, with its interval.  [default: {MAX_DROP}]"
        ),
        click.option("--eval", "evaluation", type=PATH, help="Labelled rows, as of export model."),
        click.option("--min-agreement", type=float, help="Least share of rows that agree.  [default: 0.99]"),
        click.option("--requests", type=PATH, help="Recorded REST bodies, one a line (.jsonl)."),
        click.option(
            "--compare", is_flag=True, help="Compare it with the newest version, which it must be able to replace."
        ),
    ):
        command = option(command)
    return command


policy_option = click.option("--policy", type=PATH, metavar="FILE", help="Refuse what this policy does not admit.")


def requirements(
    compare: bool,
    requests: Path | None,
    evaluation: Path | None,
    min_agreement: float | None,
    max_drop: float | None,
    trust: Collection[str],
) -> Requirements | None:
    """Return what a new version must hold in a comparison; None if no option asks for one."""
    from export.cli.inputs import read_samples
    from export.serving.update_check import Requirements

    if not compare and (requests, evaluation, min_agreement, max_drop) == (None,) * 4:
        return None
    limits = {"min_agreement": min_agreement, "max_drop": max_drop}
    return Requirements(
        requests,
        read_samples(evaluation) if evaluation else None,
        trust=trust,
        **{name: value for name, value in limits.items() if value is not None},
    )


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
@update_options
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
    **options: Any,
) -> None:
    """Publish the SavedModel of BUNDLE under BASE_PATH atomically; existing versions are never modified.

    With --compare, or one of the options of the comparison, it is published only if it can replace the newest version.
    """
    from export.artifacts import ANY
    from export.bundle.layout import read_certificate, read_coverage
    from export.bundle.tf_serving import loader_note
    from export.proof.certificate import describe_coverage
    from export.proof.prove import check_names
    from export.serving.publisher import publish

    check_names(allow, (*KINDS, ANY), "reservation")
    wanted = requirements(**options, trust=trust)
    how = {"version": version, "allow": allow, "policy": policy, "trust": trust, "requirements": wanted}
    published = publish(bundle, base_path, **how)
    data = {"path": str(published.path), "version": published.version}
    lines = [f"proof: {text}" for text in describe_coverage(read_coverage(bundle))]
    if published.check:
        data |= {"check": published.check.to_json()}
        lines.append(f"compared with the version before: {published.check.summary()}")
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
    following = f"python -m export publish BUNDLE {base_path} --compare"
    show(console, data, f"{published.path}: a copy of version {published.copy_of}. Next: {following}")
