"""python -m export web BUNDLE -o SITE: write a static site that runs the model in the browser or on a server."""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from export.cli import PATH, show, trust_option
from zoobase import Console, common_options
from zoobase.console import echo


@click.command("web")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=PATH)
@click.option("-o", "--out", required=True, type=PATH, help="Folder of the site.")
@click.option("--title", "titles", multiple=True, help="Title of a bundle, in their order; default: that of its card.")
@click.option("--check", is_flag=True, help="Open the site in Chromium and compare its outputs with Python's.")
@click.option("--compose", is_flag=True, help="Write a docker compose project: TF Serving, and nginx with the page.")
@trust_option
@common_options
def command(
    bundles: tuple[Path, ...],
    out: Path,
    titles: tuple[str, ...],
    check: bool,
    compose: bool,
    trust: tuple[str, ...],
    console: Console,
) -> None:
    """Write a static site that runs the TFLite file of each BUNDLE in the browser.

    With --compose TF Serving runs the SavedModel of one BUNDLE for the page. Exit code 1 if a comparison of
    --check fails, 3 if LiteRT.js or Chromium is not available.
    """
    if compose:
        _write_project(bundles, out, {"--title": titles, "--check": check}, trust, console)
        return
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


def _write_project(
    bundles: Sequence[Path], out: Path, other: Mapping[str, Any], trust: Collection[str], console: Console
) -> None:
    from export.serving.web.site import write_project

    if len(bundles) > 1:
        raise click.UsageError("--compose takes one BUNDLE")
    if given := [name for name, value in other.items() if value]:
        raise click.UsageError(f"--compose cannot be combined with {given[0]}")
    project = write_project(bundles[0], out, trust=trust)
    text = f"{project}: written. Next: cd {project} && docker compose up, then open http://localhost:8080"
    show(console, {"path": str(project)}, text)
