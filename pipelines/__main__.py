"""`python -m pipelines`: look at data before training on it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import click

from pipelines.errors import DataError


class _Group(click.Group):
    """Commands whose errors are one sentence and an exit code, unless --debug asks for the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DataError, OSError) as error:
            if "--debug" in sys.argv:
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(getattr(error, "exit_code", 1))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Data: where it comes from and how it is fed."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def datasets(as_json: bool) -> None:
    """List the datasets that there are."""
    import pipelines

    names = pipelines.list_datasets()
    click.echo(json.dumps(names) if as_json else "\n".join(names))


@main.command()
@click.argument("sources", metavar="PICTURES...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--augment", default="photographs", show_default=True, help='A policy, or "rotation=20,zoom=0.1,flip".')
@click.option("-o", "--out", default="grid.png", show_default=True, type=click.Path(path_type=Path))
@click.option("--rows", default=6, show_default=True, type=click.IntRange(1, 100), help="Pictures.")
@click.option("--views", default=6, show_default=True, type=click.IntRange(1, 50), help="Augmented ones of each.")
@click.option("--size", default=160, show_default=True, type=click.IntRange(8, 2000), help="Side, in pixels.")
@click.option("--fit", default="crop", show_default=True, help="crop, stretch or pad.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--quiet", is_flag=True, help="Say only what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def preview(
    sources: tuple[Path, ...],
    augment: str,
    out: Path,
    rows: int,
    views: int,
    size: int,
    fit: str,
    seed: int,
    quiet: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Show what augmentation does to PICTURES (files, or folders of them): each row a picture, and views of it."""
    from PIL import Image

    from pipelines.augment import preview as previewing
    from pipelines.sources.storage import write_atomic

    files = previewing.choose(sources, rows)
    picture = Image.fromarray(previewing.grid(files, augment, views, size, fit, seed))
    content = io.BytesIO()
    picture.save(content, "JPEG" if out.suffix.lower() in (".jpg", ".jpeg") else "PNG")
    write_atomic(out, content.getvalue())
    if as_json:
        click.echo(json.dumps({"out": str(out), "files": [str(f) for f in files], "size": picture.size}))
    elif not quiet:
        click.echo(f"written: {out}, {len(files)} pictures, each with {views} views by {augment!r}")


if __name__ == "__main__":
    main(prog_name="python -m pipelines")
