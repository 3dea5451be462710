"""python -m export promote, rollback and retire BASE_PATH: the versions of a served model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from commandline import Console, common_options
from commandline.console import echo
from export.cli.options import requirements, trust_option, update_options


@click.command("promote")
@click.argument("base_path", type=click.Path(path_type=Path))
@update_options
@trust_option
@common_options
def promote_command(base_path: Path, trust: tuple[str, ...], console: Console, **options: Any) -> None:
    """Make the canary under BASE_PATH the stable version, if it still holds the comparison with it."""
    from export.rollout import promote

    result = promote(base_path, requirements=requirements(**options, trust=trust))
    if console.json:
        console.result(asdict(result.state) | {"check": result.check.to_json()})
    elif not console.quiet:
        echo(f"compared with the stable version of before: {result.check.summary()}")
        echo(f"{result.version.path}: stable. To take it back: python -m export rollback {base_path}")


@click.command("rollback")
@click.argument("base_path", type=click.Path(path_type=Path))
@common_options
def rollback_command(base_path: Path, console: Console) -> None:
    """Take back the canary under BASE_PATH; without one, make the previous stable version stable again."""
    from export.rollout import rollback

    state = rollback(base_path)
    if console.json:
        console.result(asdict(state))
    elif not console.quiet:
        following = f"python -m export publish BUNDLE {base_path} --canary 0.1"
        echo(f"{base_path}: version {state.stable} is stable. Next: {following}")


@click.command("retire")
@click.argument("base_path", type=click.Path(path_type=Path))
@click.option("--keep", type=int, required=True, metavar="N", help="How many of the newest versions are kept.")
@common_options
def retire_command(base_path: Path, keep: int, console: Console) -> None:
    """Remove the oldest versions under BASE_PATH; never the stable one, the canary, or the previous stable one."""
    from export.rollout import retire

    removed = retire(base_path, keep)
    if console.json:
        console.result({"removed": removed})
    elif not console.quiet:
        names = f"removed {', '.join(map(str, removed))}" if removed else "nothing to remove"
        echo(f"{base_path}: {names}. Next: python -m export serve-check {base_path}")
