"""python -m export rollback BASE_PATH: take the canary back, or return to the previous stable version."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from commandline import Console, common_options
from commandline.console import echo


@click.command("rollback")
@click.argument("base_path", type=click.Path(path_type=Path))
@common_options
def command(base_path: Path, console: Console) -> None:
    """Take back the canary under BASE_PATH; without one, make the previous stable version stable again."""
    from export.rollout import rollback

    state = rollback(base_path)
    if console.json:
        console.result(asdict(state))
    elif not console.quiet:
        following = f"python -m export publish BUNDLE {base_path} --canary 0.1"
        echo(f"{base_path}: version {state.stable} is stable. Next: {following}")
