"""python -m export push and pull: bundles to and from other places."""

import shlex
from pathlib import Path

import click

from export.cli import PATH, show
from zoobase import Console, common_options

insecure_option = click.option("--insecure", is_flag=True, help="Ask a registry (oci://) by http.")


@click.command("push")
@click.argument("bundle", type=PATH)
@click.argument("url")
@insecure_option
@common_options
def push_command(bundle: Path, url: str, insecure: bool, console: Console) -> None:
    """Write BUNDLE, if it is whole and its proof passed, to URL.

    It is file:///FOLDER, hf://OWNER/NAME[@REVISION] or oci://HOST/NAME:TAG.
    """
    from export.serving.transfer.exchange import push

    place = push(bundle, url, insecure=insecure)
    following = f"python -m export pull {shlex.quote(url)} DIR{' --insecure' if insecure else ''}"
    show(console, {"bundle": str(bundle), "place": place}, f"{place}: pushed. Next: {following}")


@click.command("pull")
@click.argument("url")
@click.argument("out", metavar="DIR", type=PATH)
@click.option("--policy", type=PATH, metavar="FILE", help="Refuse what this policy does not admit, before it is read.")
@insecure_option
@common_options
def pull_command(url: str, out: Path, policy: Path | None, insecure: bool, console: Console) -> None:
    """Copy the bundle at URL (file://, https://, hf:// or oci://) to DIR, and check every file; nothing is loaded."""
    from export.serving.transfer.exchange import pull

    path = pull(url, out, policy=policy, insecure=insecure)
    show(console, {"path": str(path)}, f"{out}: pulled. Next: python -m export verify {shlex.quote(str(out))}")
