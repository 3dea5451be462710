"""python -m export manifest, drift and web: what KServe starts from, drift of requests, a static site."""

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


@click.command("web")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=PATH)
@click.option("-o", "--out", required=True, type=PATH, help="Folder of the site.")
@click.option("--title", "titles", multiple=True, help="Title of a bundle, in their order; default: that of its card.")
@click.option("--check", is_flag=True, help="Open the site in Chromium and compare its outputs with Python's.")
@trust_option
@common_options
def web_command(
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
