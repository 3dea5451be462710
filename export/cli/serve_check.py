"""python -m export serve-check BASE_PATH: check whether TF Serving can load and serve a base path."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from commandline import Console, common_options
from commandline.console import echo
from export.cli.options import trust_option


@click.command("serve-check")
@click.argument("base_path", type=click.Path(path_type=Path))
@click.option("--require", multiple=True, metavar="LEVEL", help="Incomplete without this level; may be repeated.")
@click.option("--kills", default=10, show_default=True, help="Number of publishers to kill while a reader polls.")
@trust_option
@common_options
def command(base_path: Path, require: tuple[str, ...], kills: int, trust: tuple[str, ...], console: Console) -> None:
    """Check, level by level, whether TF Serving can load and serve the newest version under BASE_PATH.

    The last level runs tensorflow_model_server, if the environment variable TENSORFLOW_MODEL_SERVER is its path. Exit
    code 0 pass, 1 fail, 3 a required level could not run here.
    """
    from export.servecheck import check_serving

    progress = None if console.quiet or console.json else lambda text: echo(text, err=True)
    report = check_serving(base_path, require=require, kills=kills, trust=trust, progress=progress)
    if console.json:
        console.result(report.to_json())
    elif not console.quiet:
        from export.cli.tables import print_table

        rows = [(level.name, level.state, level.reason or level.details) for level in report.levels]
        print_table(("level", "state", ""), rows)
    if not console.json and (not console.quiet or report.exit_code):
        from export.bundle.serving import docker_command

        echo(f"{base_path}: {report.summary()}")
        if not console.quiet:
            echo(f"Next: {docker_command(base_path.resolve().name, str(base_path.resolve()))}")
    sys.exit(report.exit_code)
