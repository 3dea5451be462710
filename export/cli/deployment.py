"""python -m export manifest and drift: what KServe starts from, and whether requests differ from the training."""

import sys
from pathlib import Path

import click

from export.cli import PATH, show, trust_option
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


@click.command("drift")
@click.argument("bundle", type=PATH)
@click.argument("requests", metavar="REQUESTS.jsonl", type=PATH)
@click.option("--false-alarms", default=0.01, show_default=True, type=click.FloatRange(0, 1, min_open=True),
              help="The largest probability that requests like the training rows are reported.")  # fmt: skip
@trust_option
@common_options
def drift_command(bundle: Path, requests: Path, false_alarms: float, trust: tuple[str, ...], console: Console) -> None:
    """Compare recorded REQUESTS, a TF Serving REST body a line, with the training rows of BUNDLE.

    Exit code 1, with the reasons, if they differ.
    """
    from export.serving.drift import check_drift

    report = check_drift(bundle, requests, rate=false_alarms, trust=trust)
    skipped = f", {report.skipped} lines are no requests that it answers" if report.skipped else ""
    verdict = f"{len(report.differences)} differences" if report.differences else "like the training rows"
    lines = [*(difference.text for difference in report.differences)]
    show(console, report.to_json(), *lines, f"{requests}: {report.rows} rows, {verdict}{skipped}")
    sys.exit(report.exit_code)
