"""python -m export publish, promote, rollback and retire: the versions of a model under a TF Serving base path."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.cli import PATH, show, trust_option
from export.contract.quantization import MAX_DROP
from export.formats.format import KINDS
from zoobase import Console, common_options

if TYPE_CHECKING:
    from export.serving.rollout.update_check import Requirements


def update_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a comparison with the stable version; `requirements` makes one of their values."""
    for option in (
        click.option(
            "--max-drop", type=float, help=f"Largest allowed metric drop, with its interval.  [default: {MAX_DROP}]"
        ),
        click.option("--eval", "evaluation", type=PATH, help="Labelled rows, as of export model."),
        click.option("--min-agreement", type=float, help="Least share of rows that agree.  [default: 0.99]"),
        click.option("--requests", type=PATH, help="Recorded REST bodies, one a line (.jsonl)."),
    ):
        command = option(command)
    return command


policy_option = click.option("--policy", type=PATH, metavar="FILE", help="Refuse what this policy does not admit.")


def requirements(
    requests: Path | None,
    evaluation: Path | None,
    min_agreement: float | None,
    max_drop: float | None,
    trust: Collection[str],
) -> Requirements:
    """Return what a new version must hold; None is the default."""
    from export.cli.inputs import read_samples
    from export.serving.rollout.update_check import Requirements

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
@click.option(
    "--canary",
    type=float,
    metavar="SHARE",
    help="Compare it with the stable version, and publish it under the label canary; a router sends it this share.",
)
@click.option(
    "--poll", type=click.FloatRange(0), metavar="SECONDS", help="How often servers read models.config.  [default: 5]"
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
    canary: float | None,
    poll: float | None,
    policy: Path | None,
    trust: tuple[str, ...],
    console: Console,
    **options: Any,
) -> None:
    """Publish the SavedModel of BUNDLE under BASE_PATH atomically; existing versions are never modified.

    With --canary the stable version stays: rollout/models.config gives TF Serving both under the labels stable and
    canary, and rollout/rollout.json and split.conf give the share to the router or client that chooses between them.
    """
    from export.artifacts import ANY
    from export.bundle.layout import read_coverage
    from export.proof.certificate import describe_coverage
    from export.proof.prove import check_names
    from export.serving.publisher import publish
    from zoobase.errors import ExportError

    check_names(allow, (*KINDS, ANY), "reservation")
    comparison, how = None, {"version": version, "allow": allow, "policy": policy}
    if canary is not None:
        from export.serving.rollout import publish_canary

        wanted = requirements(**options, trust=trust)
        how |= {} if poll is None else {"poll_seconds": poll}
        result = publish_canary(bundle, base_path, canary, requirements=wanted, **how)
        published, comparison = result.version, result.check
    elif given := [name for name, value in (options | {"poll": poll}).items() if value is not None]:
        raise ExportError(
            f"{', '.join(sorted(given))} belong to a canary beside the stable version; add --canary SHARE"
        )
    else:
        published = publish(bundle, base_path, trust=trust, **how)
    data = {"path": str(published.path), "version": published.version}
    lines = [f"proof: {text}" for text in describe_coverage(read_coverage(bundle))]
    if comparison:
        data |= {"canary": canary, "check": comparison.to_json()}
        following = f"the canary, for {canary:.0%} of requests. Next: python -m export promote {base_path}"
        lines += [f"compared with the stable version: {comparison.summary()}", f"{published.path}: {following}"]
    else:
        lines.append(f"{published.path}: published. Next: python -m export serve-check {base_path}")
    show(console, data, *lines)


@click.command("promote")
@click.argument("base_path", type=PATH)
@policy_option
@update_options
@trust_option
@common_options
def promote_command(
    base_path: Path, policy: Path | None, trust: tuple[str, ...], console: Console, **options: Any
) -> None:
    """Make the canary under BASE_PATH the stable version, if it still holds the comparison with it."""
    from export.serving.rollout import promote

    result = promote(base_path, requirements=requirements(**options, trust=trust), policy=policy)
    show(
        console,
        asdict(result.state) | {"check": result.check.to_json()},
        f"compared with the stable version of before: {result.check.summary()}",
        f"{result.version.path}: stable. To take it back: python -m export rollback {base_path}",
    )


@click.command("rollback")
@click.argument("base_path", type=PATH)
@common_options
def rollback_command(base_path: Path, console: Console) -> None:
    """Take back the canary under BASE_PATH; without one, make the previous stable version stable again."""
    from export.serving.rollout import rollback

    state = rollback(base_path)
    following = f"python -m export publish BUNDLE {base_path} --canary 0.1"
    show(console, asdict(state), f"{base_path}: version {state.stable} is stable. Next: {following}")


@click.command("retire")
@click.argument("base_path", type=PATH)
@click.option("--keep", type=int, required=True, metavar="N", help="How many of the newest versions are kept.")
@common_options
def retire_command(base_path: Path, keep: int, console: Console) -> None:
    """Remove the oldest versions under BASE_PATH; never the stable one, the canary, or the previous stable one."""
    from export.serving.rollout import retire

    removed = retire(base_path, keep)
    names = f"removed {', '.join(map(str, removed))}" if removed else "nothing to remove"
    show(console, {"removed": removed}, f"{base_path}: {names}. Next: python -m export serve-check {base_path}")
