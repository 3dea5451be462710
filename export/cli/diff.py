"""python -m export diff BUNDLE_A BUNDLE_B: show what changed."""

import sys
from pathlib import Path

import click

from export.cli import PATH, print_table
from zoobase import Console, common_options
from zoobase.console import echo


@click.command("diff")
@click.argument("bundle_a", type=PATH)
@click.argument("bundle_b", type=PATH)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything changed, like git diff.")
@common_options
def command(bundle_a: Path, bundle_b: Path, exit_code: bool, console: Console) -> None:
    """Show what changed from BUNDLE_A to BUNDLE_B: verdict, formats, contract, labels, metrics, weights, sizes."""
    from export.bundle.diff import diff

    changes = diff(bundle_a, bundle_b)
    if console.json:
        console.result({"same": not changes, "changes": changes})
    elif not console.quiet:
        rows = [(section if i == 0 else "", text) for section, texts in changes.items() for i, text in enumerate(texts)]
        if rows:
            print_table(("", "change"), rows)
        summary = f"{sum(map(len, changes.values()))} changes" if changes else "no changes"
        echo(f"{bundle_b}: {summary}. Next: python -m export compare {bundle_a}/model.keras {bundle_b}/model.keras")
    sys.exit(1 if changes and exit_code else 0)
