"""python -m docs.gallery [BUNDLE...]: a static site with a page for every model of the zoo that runs in a browser.

Each is exported and proven first: those whose weights are part of the package, and those whose weights can be
downloaded here. Further bundles, such as those of own runs, get a page beside them.
"""

import re
import tempfile
from pathlib import Path

import click

from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import DataError, ExportError, ZooError

OUT = Path("build/gallery")
SPELLED = {  # words of names as people write them
    **{word: word.upper() for word in ("cnn", "crepe", "dcgan", "gan", "mnist", "rnn", "vad")},
    **{"cyclegan": "CycleGAN", "efficientnet": "EfficientNet", "minilm": "MiniLM", "unet": "U-Net"},
}


def title(name: str) -> str:
    """Return the title of a model: fashion_mnist -> Fashion MNIST."""
    words = " ".join(SPELLED.get(word, word) for word in re.split("[_-]", name))
    return words[:1].upper() + words[1:]


def write(out: Path, bundles: tuple[Path, ...] = (), console: Console | None = None) -> Path:
    """Write the gallery and return its path.

    Args:
        out: Its folder; an older gallery there is replaced.
        bundles: Further bundles.
        console: Receives progress; None prints nothing.
    """
    from export.serving.web.site import check_target, write_site

    console = console or Console(quiet=True)
    check_target(out.absolute())
    with tempfile.TemporaryDirectory() as scratch:
        proven = _export(Path(scratch), console)
        titles = [title(path.relative_to(scratch).parts[0]) for path in proven]
        return write_site([*proven, *bundles], out, titles=titles)


def _export(folder: Path, console: Console) -> list[Path]:
    """Export each model that has weights here; return the bundles that a browser runs, and say why another has none."""
    from export.serving.web.bundle_pages import LocalPages
    from zoo import export, weights
    from zoo.core import registry

    proven, shipped = [], weights.shipped_models()
    for name in (n for n, entry in registry.entries().items() if entry.listed and "default" in entry.weights):
        console.print(f"exporting {name}")
        try:
            bundles = [Path(bundle["path"]) for bundle in export.run(name, out=folder / name)]
        except (ZooError, DataError) as error:
            if name in shipped:
                raise
            console.print(f"{name} is left out: {error}")
            continue
        for bundle in bundles:
            try:
                LocalPages(bundle)
                proven.append(bundle)
            except ExportError as error:
                console.print(f"{bundle.name} gets no page: {error}")
    return proven


@click.command("gallery")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", default=OUT, show_default=True, type=click.Path(path_type=Path), help="Folder of the site."
)
def main(bundles: tuple[Path, ...], out: Path) -> None:
    """Write a site with a page for every model of the zoo that runs in a browser, and for each BUNDLE."""
    site = write(out, bundles, Console())
    click.echo(f"{site}: written. Next: python -m http.server --bind 127.0.0.1 --directory {site}")


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.gallery")
