"""python -m export push and pull: bundles to and from other places."""

import shlex
from pathlib import Path

import click

from export.cli import PATH, show
from zoobase import Console, common_options


@click.command("push")
@click.argument("bundle", type=PATH)
@click.argument("url")
@common_options
def push_command(bundle: Path, url: str, console: Console) -> None:
    """Write BUNDLE, if it is whole and its proof passed, to URL, file:///FOLDER or hf://OWNER/NAME[@REVISION]."""
    from export.serving.transfer.exchange import push

    place = push(bundle, url)
    following = f"python -m export pull {shlex.quote(url)} DIR"
    show(console, {"bundle": str(bundle), "place": place}, f"{place}: pushed. Next: {following}")


@click.command("pull")
@click.argument("url")
@click.argument("out", metavar="DIR", type=PATH)
@common_options
def pull_command(url: str, out: Path, console: Console) -> None:
    """Copy the bundle at URL (file://, https:// or hf://) to DIR, and check every file; nothing is loaded."""
    from export.serving.transfer.exchange import pull

    path = pull(url, out)
    show(console, {"path": str(path)}, f"{out}: pulled. Next: python -m export verify {shlex.quote(str(out))}")
