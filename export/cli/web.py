"""python -m export web BUNDLE -o SITE: write a static site that runs the model in the browser."""

import sys
from pathlib import Path

import click

from export.cli import PATH, show, trust_option
from zoobase import Console, common_options
from zoobase.console import echo


@click.command("web")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=PATH)
@click.option("-o", "--out", required=True, type=PATH, help="Folder of the site.")
@click.option("--title", "titles", multiple=True, help="Title of a bundle, in their order; default: that of its card.")
@click.option("--check", is_flag=True, help="Open the site in Chromium and compare its outputs with Python's.")
@trust_option
@common_options
def command(
    bundles: tuple[Path, ...], out: Path, titles: tuple[str, ...], check: bool, trust: tuple[str, ...], console: Console
) -> None:
    """Write a static site that runs the TFLite file of each BUNDLE in the browser.

    Exit code 1 if a comparison of --check fails, 3 if LiteRT.js or Chromium is not available.
    """
    from export.serving.web import browser
    from export.serving.web.site import write_site

    site = write_site(bundles, out, titles=titles, trust=trust)
    checked = browser.check(site) if check else {}
    failed = [page for page, (state, _) in checked.items() if state != "pass"]
    show(
        console,
        {"path": str(site), "checked": {page: state for page, (state, _) in checked.items()}},
        *(f"{page}: {text}" for page, (_, text) in checked.items()),
        f"{site}: written. Next: python -m http.server --bind 127.0.0.1 --directory {site}",
    )
    if failed:
        echo(f"error: {site}: {failed[0]}: {checked[failed[0]][1]}", err=True)
    sys.exit(1 if failed else 0)
