"""python -m zoo.device --data-dir FOLDER -o OUT: from a folder to a TFLite file for mobile apps."""

from typing import Any

import click

from zoo import device as command
from zoo import export
from zoo.cli.options import settings_options
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError


@click.command("device")
@settings_options("data_dir", "settings", "seed")
@click.option("-o", "--out", required=True, type=click.Path(), help="The run folder; the files are in OUT/bundle.")
@click.option(
    "--max-drop", type=float, help=f"Largest drop of the metric by compression.  [default: {export.MAX_DROP}]"
)
@shell.common_options
def main(out: str, max_drop: float | None, given: dict[str, Any], console: Console) -> None:
    """Train on a folder of photographs, texts or masks, and write TFLite files for MediaPipe and mobile apps.

    OUT/bundle/DEVICES.md has the code for Android, iOS, C and microcontrollers.
    """
    if "data_dir" not in given:
        raise UsageError("--data-dir is missing: give a folder of photographs, texts or masks")
    summary = command.run(given.pop("data_dir"), out, max_drop=max_drop, **given, console=console)
    device = summary["device"]
    rows = [
        (file["file"], f"{file['megabytes']:.2f}", "" if file["drop"] is None else f"{file['drop']:+.4f}")
        for file in device["files"]
    ]
    console.table(f"{device['bundle']}: for MediaPipe's {device['task']}", ["file", "MB", "metric drop"], rows)
    states = ", ".join(f"{runtime} {state}" for runtime, state in device["runtimes"].items())
    budget = f"{device['max_drop']:g}, {device['max_drop'] * summary['examples']:.0f} test examples"
    console.print(f"smallest within the budget of {budget}: {device['smallest']} ({states})")
    console.print(f"{device['seconds'] / 60:.1f} min; next: read {device['bundle']}/DEVICES.md")
    console.result(summary)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.device")
