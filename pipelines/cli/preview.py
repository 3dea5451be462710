"""python -m pipelines preview: examples of a dataset, or augmented views of image files."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines import catalogue
from pipelines.cli import load
from zoobase import Console, common_options, suggestion
from zoobase.console import SEED
from zoobase.errors import MISSING, DataError
from zoobase.files import write_atomic
from zoobase.importing import import_tensorflow

if TYPE_CHECKING:
    import numpy as np

    from pipelines.dataset import Info


@click.command("preview")
@click.argument("sources", metavar="NAME|IMAGES...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--augment", help='A policy, or "rotation=20,zoom=0.1,flip".  [default: photographs, for IMAGES]')
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The file.  [default: grid.png, for images]")
@click.option("--rows", default=6, show_default=True, type=click.IntRange(1, 100), help="Number of rows.")
@click.option("--views", default=6, show_default=True, type=click.IntRange(1, 50), help="Number of images in a row.")
@click.option("--size", default=160, show_default=True, type=click.IntRange(8, 2000), help="Side length in pixels.")
@click.option("--fit", default="crop", show_default=True, help="crop, stretch or pad.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the augmentation.")
@click.option("--data-dir", type=click.Path(), help="Path of your own data, for NAME.")
@click.option("--cache-dir", type=click.Path(), help="Folder of prepared data, for NAME.")
@common_options
def command(
    sources: tuple[Path, ...],
    augment: str | None,
    out: Path | None,
    rows: int,
    views: int,
    size: int,
    fit: str,
    seed: int,
    data_dir: str | None,
    cache_dir: str | None,
    console: Console,
) -> None:
    """Write a grid of training images of dataset NAME, or of augmented IMAGES (files, or folders of them).

    With --augment, each row is an image and its augmented views. Examples without images are printed, as many as
    --rows, or written as CSV with -o.
    """
    from pipelines.augment import preview as previewing

    name = str(sources[0])
    if len(sources) > 1 or sources[0].exists() or name not in catalogue.list_datasets():
        if len(sources) == 1 and not sources[0].exists() and len(sources[0].parts) == 1 and not sources[0].suffix:
            hint = suggestion(name, catalogue.list_datasets())
            raise DataError(f"there is no file or folder {name}, and no dataset of this name; {hint}", MISSING)
        files = previewing.choose(sources, rows)
        import_tensorflow()
        augment = augment or "photographs"
        pixels = previewing.grid(files, augment, views, size, fit, seed)
        _write_image(out or Path("grid.png"), pixels, {"files": [str(f) for f in files]}, console)
        return
    dataset = load(name, data_dir, cache_dir)
    from pipelines.cli import examples

    images = examples.image_features(dataset.train)
    if not images:
        table = examples.as_rows(examples.choose(dataset, rows), dataset.info)
        _write_rows(out, name, dataset.info, table, console)
        return
    if augment is not None:
        chosen = [example[images[0]] for example in examples.choose(dataset, rows)]
        pixels = previewing.grid(chosen, augment, views, size, fit, seed)
    else:
        columns = max(1, views // len(images))
        chosen = examples.choose(dataset, rows * columns)
        pixels = examples.grid(chosen, images, columns, size, fit)
    _write_image(out or Path("grid.png"), pixels, {"dataset": name, "examples": len(chosen)}, console)


def _write_image(out: Path, pixels: np.ndarray, result: dict[str, Any], console: Console) -> None:
    from PIL import Image

    image, content = Image.fromarray(pixels), io.BytesIO()
    image.save(content, "JPEG" if out.suffix.lower() in (".jpg", ".jpeg") else "PNG")
    write_atomic(out, content.getvalue())
    what = f"{len(result['files'])} images" if "files" in result else f"{result['examples']} examples"
    console.print(f"written: {out}, {what}, {image.width}x{image.height} pixels")
    console.result({"out": str(out), **result, "size": image.size})


def _write_rows(out: Path | None, name: str, info: Info, table: list[dict[str, str]], console: Console) -> None:
    if out is not None:
        content = io.StringIO(newline="")
        writer = csv.DictWriter(content, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
        write_atomic(out, content.getvalue())
        console.print(f"written: {out}, {len(table)} examples")
    elif not console.json and "columns" in info.statistics:
        columns = ["", *(str(i) for i in range(1, len(table) + 1))]
        console.table(name, columns, [(key, *(row[key] for row in table)) for key in table[0]])
    elif not console.json:
        for i, row in enumerate(table, 1):
            console.print(f"--- example {i}")
            for key, value in row.items():
                console.print(f"{key}: {value}")
    console.result({"out": out and str(out), "dataset": name, "rows": table})
