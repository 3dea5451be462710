"""python -m export compare REFERENCE CANDIDATE: compare the outputs of two artifacts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from export.cli import PATH, print_table, trust_option
from zoobase import Console, common_options
from zoobase.console import echo


@click.command("compare")
@click.argument("reference", type=PATH)
@click.argument("candidate", type=PATH)
@click.option("--samples", type=PATH, help="An .npz file with real inputs by name.")
@click.option("--match", multiple=True, metavar="NAME=NAME", help="Pair these two inputs or outputs; may be repeated.")
@trust_option
@common_options
def command(
    reference: Path,
    candidate: Path,
    samples: Path | None,
    match: tuple[str, ...],
    trust: tuple[str, ...],
    console: Console,
) -> None:
    """Run two artifacts of any format on the same inputs, each in a fresh process.

    Exit code 0: same, also under other names; 3: undecided, for lack of evidence; 1: any other verdict.
    """
    from export.artifacts.equivalence import compare
    from export.cli.inputs import read_samples

    pairs = dict(_pair(text) for text in match)
    inputs = read_samples(samples) if samples else None
    result = compare(reference, candidate, samples=inputs, match=pairs, trust=trust)
    if console.json:
        console.result(result.to_json())
    elif not console.quiet:
        _show(result)
    if not console.json and (not console.quiet or result.exit_code):
        echo(f"{candidate}: {result.verdict}. Next: python -m export inspect {candidate}")
    sys.exit(result.exit_code)


def _pair(text: str) -> tuple[str, str]:
    one, equals, other = text.partition("=")
    if not (one and equals and other):
        raise click.BadParameter(f"{text!r} is not a pair of names; give REFERENCE=CANDIDATE", param_hint="--match")
    return one, other


def _show(result: Any) -> None:
    rows = []
    for endpoint in result.endpoints:
        for pair in endpoint["outputs"]:
            figure = endpoint["figures"].get(pair["reference"]) or {}
            worst = f"{figure['max_error']:.1e} ({figure['tolerance']:.0e})" if figure else ""
            name = (
                pair["reference"]
                if pair["reference"] == pair["candidate"]
                else f"{pair['reference']} = {pair['candidate']}"
            )
            rows.append((endpoint["reference"], name, pair["how"], worst, str(figure.get("sqnr_db") or "")))
    print_table(("signature", "output", "paired by", "largest difference (tolerance)", "SQNR dB"), rows)
    for text in (*result.notes, *result.findings):
        echo(text)
