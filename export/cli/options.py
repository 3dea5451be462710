"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.serving.rollout.update_check import Requirements

trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="NAME",
    help='Trust this installed package or this operator; "any" trusts all that an artifact holds. May be repeated.',
)


def update_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a comparison with the stable version; `requirements` makes one of their values."""
    for option in (
        click.option("--max-drop", type=float, help="Largest allowed metric drop, with its interval.  [default: 0.01]"),
        click.option(
            "--eval", "evaluation", type=click.Path(path_type=Path), help="Labelled rows, as of export model."
        ),
        click.option("--min-agreement", type=float, help="Least share of rows that agree.  [default: 0.99]"),
        click.option("--requests", type=click.Path(path_type=Path), help="Recorded REST bodies, one a line (.jsonl)."),
    ):
        command = option(command)
    return command


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
