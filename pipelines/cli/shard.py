"""python -m pipelines shard: write a dataset as TFRecord files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines import catalogue
from pipelines.cli import load
from zoobase import Console, common_options

if TYPE_CHECKING:
    from pipelines.shards.manifest import Shard


@click.command("shard")
@click.argument("name")
@click.option("-o", "--out", metavar="FOLDER", help="The folder.  [default: shards/NAME]")
@click.option("--shards", default=8, show_default=True, type=click.IntRange(1, 99_999), help="Files of each split.")
@click.option("--data-dir", type=click.Path(), help="Path of your own data.")
@click.option("--cache-dir", type=click.Path(), help="Folder of prepared data.")
@click.option("--split", default="official", show_default=True, help='Or percentages, such as "60/20/20".')
@common_options
def command(
    name: str, out: str | None, shards: int, data_dir: str | None, cache_dir: str | None, split: str, console: Console
) -> None:
    """Write dataset NAME as TFRecord files, for data=shards.

    The same command continues after an interruption. A finished folder is checked.
    """
    catalogue.get_entry(name)
    folder = out or str(Path("shards") / name)
    dataset = load(name, data_dir, cache_dir, split)
    from pipelines.shards.writing import write_shards

    def report(shard: Shard, written: bool) -> None:
        console.print(
            f"{'written' if written else 'complete'}: {shard.file}, {shard.examples:,} examples, {shard.bytes:,} bytes"
        )

    manifest = write_shards(dataset, folder, shards, report)
    console.print(f"next: python -m zoo.train MODEL --set data=shards --data-dir {folder}")
    console.result({"out": folder, "shards": {s: len(files) for s, files in manifest.shards.items()}})
