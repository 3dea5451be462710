"""python -m export promote BASE_PATH: make the canary the stable version."""

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
def command(base_path: Path, trust: tuple[str, ...], console: Console, **options: Any) -> None:
    """Make the canary under BASE_PATH the stable version, if it still holds the comparison with it."""
    from export.rollout import promote

    result = promote(base_path, requirements=requirements(**options, trust=trust))
    if console.json:
        console.result(asdict(result.state) | {"check": result.check.to_json()})
    elif not console.quiet:
        echo(f"compared with the stable version of before: {result.check.summary()}")
        echo(f"{result.version.path}: stable. To take it back: python -m export rollback {base_path}")
