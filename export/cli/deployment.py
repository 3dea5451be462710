"""python -m export manifest: what KServe starts from."""

from pathlib import Path

import click

from export.cli import PATH, show
from zoobase import Console, common_options
from zoobase.console import echo


@click.command("manifest")
@click.argument("kind", type=click.Choice(("kserve",)))
@click.argument("source", metavar="BUNDLE|BASE_PATH", type=PATH)
@click.option("-o", "--out", type=PATH, help="The file to write; without it the text is printed.")
@click.option("--uri", required=True, help="Where the cluster reads SOURCE: s3://BUCKET/PATH.")
@click.option("--name", help="Name of the model; default: that of the folder.")
@click.option("--canary", type=float, metavar="SHARE", help="The share of requests that it gets from KServe at first.")
@common_options
def manifest_command(
    kind: str, source: Path, out: Path | None, uri: str, name: str | None, canary: float | None, console: Console
) -> None:
    """Write the InferenceService by which KServe serves the SavedModel, or newest version, of SOURCE on Kubernetes."""
    from export.serving.kserve_manifest import inference_service

    text = inference_service(source, uri, name, canary)
    if out is None:
        console.result({"manifest": text})
        if not console.json:
            echo(text.rstrip())
        return
    out.write_text(text, encoding="utf-8")
    show(console, {"path": str(out)}, f"{out}: written. Next: kubectl apply -f {out}")
