"""python -m zoo.weights RUN: ship the weights of a finished run with the package."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline import console as shell
from commandline.console import Console
from pipelines.sources.storage import sha256, write_atomic
from zoo.core.errors import UsageError

if TYPE_CHECKING:
    import keras

LIMIT = 5_000_000  # bytes per model; larger weights are a release asset with a source and a sha256


def run(path: str | Path, *, console: Console | None = None) -> dict[str, Any]:
    """Copy a run's best weights to `zoo/weights/files/NAME.weights.h5`, and their metadata to NAME.json.

    The file holds float32 weights, independent of the precision of the training.

    Args:
        path: The run folder; it must be finished.
        console: Receives messages; None prints nothing.

    Returns:
        {"model", "file", "sha256", "bytes", "arguments", "metrics"}, for `weights=` in the model's file.

    Raises:
        UsageError: The run is not finished, its bundle was not verified, or its weights are too large to ship.
    """
    from zoo.core import environment

    console = console or Console(quiet=True)
    environment.prepare()
    from zoo import weights
    from zoo.core.run_folder import Run

    folder = Run.open(path)
    if not folder.finished:
        raise UsageError(f"{path} is not finished: python -m zoo.train --resume {path}")
    summary = folder.read("summary.json")
    bundles = summary.get("bundles", [])
    if not bundles or any(b["verdict"] != "pass" for b in bundles):
        raise UsageError(f"{path} has no bundle that passed verification: python -m zoo.export {path}")
    content = _without_optimizer(folder.model())
    if len(content) > LIMIT:
        raise UsageError(f"the weights of {path} have {len(content):,} bytes, and at most {LIMIT:,} are shipped")
    config = folder.read("config.json")
    target = weights.FILES / f"{config['model']}.weights.h5"
    target.parent.mkdir(exist_ok=True)
    write_atomic(target, content)
    metadata = {k: config[k] for k in ("arguments", "info", "seed", "recipe", "versions", "git")}
    metadata |= {"command": folder.plan().command(), "metrics": summary["metrics"]}
    write_atomic(target.with_name(f"{config['model']}.json"), json.dumps(metadata, indent=1) + "\n")
    entry = {"model": config["model"], "file": target.name, "sha256": sha256(target), "bytes": len(content)}
    entry |= {"arguments": config["arguments"], "metrics": summary["metrics"]}
    console.print(f"written: {target} and its .json; next, in the file of {entry['model']}:")
    console.print(f'weights={{"default": Weights("{entry["file"]}", sha256="{entry["sha256"]}")}}')
    return entry


def _without_optimizer(model: keras.Model) -> bytes:
    """Return the weights file of an uncompiled model: a checkpoint also contains the optimizer's state."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)
        return path.read_bytes()


@click.command("weights")
@click.argument("run_folder", metavar="RUN", type=click.Path())
@shell.common_options
def main(run_folder: str, console: Console) -> None:
    """Ship the best weights of RUN as the default weights of its model."""
    console.result(run(run_folder, console=console))


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.weights")
