"""python -m export push, pull and sagemaker: bundles to and from other places."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from export.cli import PATH, show, trust_option
from zoobase import Console, common_options


@click.command("push")
@click.argument("bundle", type=PATH)
@click.argument("url")
@common_options
def push_command(bundle: Path, url: str, console: Console) -> None:
    """Write BUNDLE, if it is whole and its proof passed, to URL: file:///FOLDER or hf://OWNER/NAME[@REVISION]."""
    from export.serving.transfer.exchange import push

    place = push(bundle, url)
    text = f"{place}: pushed. Next: python -m export pull {shlex.quote(url)} DIR"
    show(console, {"bundle": str(bundle), "place": place}, text)


@click.command("pull")
@click.argument("url")
@click.argument("out", metavar="DIR", type=PATH)
@common_options
def pull_command(url: str, out: Path, console: Console) -> None:
    """Copy the bundle at URL (file://, https:// or hf://) to DIR, and check every file; nothing of it is loaded."""
    from export.serving.transfer.exchange import pull

    path = pull(url, out)
    show(console, {"path": str(path)}, f"{out}: pulled. Next: python -m export verify {shlex.quote(str(out))}")


@click.command("sagemaker")
@click.argument("bundle", type=PATH)
@click.option("-o", "--out", default=Path("model.tar.gz"), show_default=True, type=PATH)
@trust_option
@common_options
def sagemaker_command(bundle: Path, out: Path, trust: tuple[str, ...], console: Console) -> None:
    """Write the archive of BUNDLE for SageMaker's TensorFlow Serving container, with an inference.py."""
    from export.serving.transfer.sagemaker import write_archive

    archive = write_archive(bundle, out, trust=trust)
    size, following = archive.stat().st_size, f"aws s3 cp {shlex.quote(str(out))} s3://BUCKET/model.tar.gz"
    show(console, {"path": str(archive), "bytes": size}, f"{out}: {size / 1e6:.1f} MB. Next: {following}")
