"""python -m export retire BASE_PATH --keep N: remove old versions."""

from __future__ import annotations

from pathlib import Path

import click

from commandline import Console, common_options
from commandline.console import echo


@click.command("retire")
@click.argument("base_path", type=click.Path(path_type=Path))
@click.option("--keep", type=int, required=True, metavar="N", help="How many of the newest versions are kept.")
@common_options
def command(base_path: Path, keep: int, console: Console) -> None:
    """Remove the oldest versions under BASE_PATH; never the stable one, the canary, or the previous stable one."""
    from export.rollout import retire

    removed = retire(base_path, keep)
    if console.json:
        console.result({"removed": removed})
    elif not console.quiet:
        names = f"removed {', '.join(map(str, removed))}" if removed else "nothing to remove"
        echo(f"{base_path}: {names}. Next: python -m export serve-check {base_path}")
