"""python -m docs.gallery [BUNDLE...]: a static site with a page for every model whose weights are part of the package.

Each is exported and proven first. Further bundles, such as those of own runs, get a page beside them.
"""

import tempfile
from pathlib import Path

import click

from zoobase import console as shell
from zoobase.console import Console

OUT = Path("build/gallery")


def write(out: Path, bundles: tuple[Path, ...] = (), console: Console | None = None) -> Path:
    """Write the gallery and return its path.

    Args:
        out: Its folder; an older gallery there is replaced.
        bundles: Further bundles.
        console: Receives progress; None prints nothing.
    """
    from export.serving.web.site import check_target, write_site
    from zoo import export, weights

    console = console or Console(quiet=True)
    check_target(out.absolute())
    with tempfile.TemporaryDirectory() as scratch:
        proven = []
        for name in weights.shipped_models():
            console.print(f"exporting {name}")
            proven += [bundle["path"] for bundle in export.run(name, out=Path(scratch) / name)]
        return write_site([*proven, *bundles], out)


@click.command("gallery")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", default=OUT, show_default=True, type=click.Path(path_type=Path), help="Folder of the site."
)
def main(bundles: tuple[Path, ...], out: Path) -> None:
    """Write a site with a page for every model whose weights are part of the package, and for each BUNDLE."""
    site = write(out, bundles, Console())
    click.echo(f"{site}: written. Next: python -m http.server --bind 127.0.0.1 --directory {site}")


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.gallery")
