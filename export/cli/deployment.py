"""python -m export manifest and watch: what starts a model elsewhere, and what takes a bad version back."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from export.cli import PATH, show, trust_option
from zoobase import Console, common_options
from zoobase.console import echo

KINDS = ("errors", "latency", "inputs")


@click.command("manifest")
@click.argument("kind", type=click.Choice(("kserve", "triton", "docker")))
@click.argument("source", metavar="BUNDLE|BASE_PATH", type=PATH)
@click.option("-o", "--out", type=PATH, help="A new folder, which triton and docker need; a file of kserve.")
@click.option("--uri", help="Where the cluster reads SOURCE: s3://BUCKET/PATH; kserve needs it.")
@click.option("--name", help="Name of the model; default: that of the folder.")
@trust_option
@common_options
def manifest_command(
    kind: str,
    source: Path,
    out: Path | None,
    uri: str | None,
    name: str | None,
    trust: tuple[str, ...],
    console: Console,
) -> None:
    """Write what starts the SavedModel of SOURCE elsewhere.

    kserve is an InferenceService of Kubernetes; triton a model repository with a Dockerfile for NVIDIA Triton; docker
    the Dockerfile of an image with TF Serving and the model.
    """
    from export.serving import manifests

    if (kind == "kserve") != (uri is not None):
        raise click.UsageError("kserve, and nothing else, needs --uri: where the cluster reads the model")
    if kind == "kserve":
        text = manifests.inference_service(source, uri or "", name)
        if out is None:
            console.result({"manifest": text})
            echo(text.rstrip()) if not console.json else None
            return
        out.write_text(text, encoding="utf-8")
        following = f"kubectl apply -f {out}"
    else:
        if out is None:
            raise click.UsageError(f"{kind} needs -o FOLDER")
        write = manifests.write_triton if kind == "triton" else manifests.write_docker
        following = f"docker build {write(source, out, name, trust)}"
    show(console, {"path": str(out)}, f"{out}: written. Next: {following}")


@click.command("watch")
@click.argument("base_path", type=PATH)
@click.option("--log", type=PATH, required=True, metavar="FOLDER", help="The request log, as of serve --log.")
@click.option("--window", default=500, show_default=True, type=click.IntRange(50), help="Rows compared at a time.")
@click.option("--false-alarms", default=0.01, show_default=True, type=click.FloatRange(0, 1, min_open=True),
              help="The largest share of windows without a difference that are alarms.")  # fmt: skip
@click.option("--roll-back", "kinds", multiple=True, type=click.Choice((*KINDS, "never")),
              help="Take the version back after such an alarm.  [default: errors, latency]")  # fmt: skip
@click.option("--every", type=click.FloatRange(0.1), metavar="SECONDS", help="How often to look.  [default: 10]")
@click.option("--once", is_flag=True, help="Look once at what is in the log.")
@trust_option
@common_options
def watch_command(
    base_path: Path,
    log: Path,
    window: int,
    false_alarms: float,
    kinds: tuple[str, ...],
    every: float | None,
    once: bool,
    trust: tuple[str, ...],
    console: Console,
) -> None:
    """Compare the requests to the canary under BASE_PATH, or to its stable version, with its training inputs.

    Errors and times are compared with those of the version before. Ends with exit code 1 after an alarm, until then
    with Ctrl-C; with --once, 0 without an alarm. Every request in the log is run again, by the version that is watched.
    """
    from export.serving.watch.watching import Limits, Watch, describe

    if once and every is not None:
        raise click.UsageError("--once looks once; leave out --every")
    if "never" in kinds and len(kinds) > 1:
        raise click.UsageError("--roll-back never goes with no other kind")
    chosen = kinds or ("errors", "latency")
    limits = Limits(window, false_alarms, [kind for kind in chosen if kind != "never"])
    watch = Watch(base_path, log, limits, trust)
    while not (alarms := watch.step()) and not once:
        time.sleep(every or 10.0)
    data = {"windows": watch.windows, "statistics": watch.has_statistics, "alarms": [asdict(a) for a in alarms]}
    console.result(data)
    if not console.json:
        for line in describe(alarms):
            echo(line)
        if not console.quiet:
            known = "" if watch.has_statistics else "; without training statistics of the version"
            echo(f"{base_path}: {watch.windows} windows of {window} rows, {len(alarms)} alarms{known}")
    sys.exit(1 if alarms else 0)
