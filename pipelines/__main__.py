"""`python -m pipelines`: inspect data before training on it."""

from __future__ import annotations

import io
from pathlib import Path

import click

from commandline import Console, common_options, run
from commandline.console import SEED


@click.group("pipelines", context_settings={"help_option_names": ["-h", "--help"]})
def verbs() -> None:
    """Datasets and input pipelines."""


@verbs.command()
@common_options
def datasets(console: Console) -> None:
    """List the datasets."""
    import pipelines

    names = pipelines.list_datasets()
    for name in names if not console.json else ():
        console.print(name)
    console.result(names)


@verbs.command()
@click.argument("sources", metavar="IMAGES...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--augment", default="photographs", show_default=True, help='A policy, or "rotation=20,zoom=0.1,flip".')
@click.option("-o", "--out", default="grid.png", show_default=True, type=click.Path(path_type=Path))
@click.option("--rows", default=6, show_default=True, type=click.IntRange(1, 100), help="Number of images.")
@click.option(
    "--views", default=6, show_default=True, type=click.IntRange(1, 50), help="Number of augmented views of each."
)
@click.option("--size", default=160, show_default=True, type=click.IntRange(8, 2000), help="Side length in pixels.")
@click.option("--fit", default="crop", show_default=True, help="crop, stretch or pad.")
@click.option("--seed", default=0, show_default=True, type=SEED)
@common_options
def preview(
    sources: tuple[Path, ...],
    augment: str,
    out: Path,
    rows: int,
    views: int,
    size: int,
    fit: str,
    seed: int,
    console: Console,
) -> None:
    """Write a grid of augmented IMAGES (files, or folders of them): each row is an image and its augmented views."""
    from PIL import Image

    from pipelines.augment import preview as previewing
    from pipelines.sources.storage import write_atomic

    files = previewing.choose(sources, rows)
    image = Image.fromarray(previewing.grid(files, augment, views, size, fit, seed))
    content = io.BytesIO()
    image.save(content, "JPEG" if out.suffix.lower() in (".jpg", ".jpeg") else "PNG")
    write_atomic(out, content.getvalue())
    console.print(f"written: {out}, {len(files)} images, each with {views} views by {augment!r}")
    console.result({"out": str(out), "files": [str(f) for f in files], "size": image.size})


if __name__ == "__main__":
    run(verbs, prog="python -m pipelines")
