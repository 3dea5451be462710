"""python -m export compare and certify: what artifacts and runtimes answer otherwise."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from export.cli import PATH, print_table, trust_option
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.files import write_atomic


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options of both verbs."""
    decorators = (
        click.argument("reference", type=PATH),
        click.argument("candidate", type=PATH),
        click.option("--samples", type=PATH, help="An .npz file with real inputs by name."),
        click.option(
            "--match", multiple=True, metavar="NAME=NAME", help="Pair these two inputs or outputs; may be repeated."
        ),
        click.option(
            "--tolerance",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=1e-5,
            show_default=True,
            help="Largest difference in units of the row; the noise of the reference raises it.",
        ),
        trust_option,
        common_options,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@click.command("compare")
@_options
@click.option(
    "--runtime", "runtimes", metavar="A,B", default="cpu,cpu", help="Runtime of each: cpu, gpu or a name, as cpu,gpu."
)
def command(console: Console, runtimes: str, **arguments: Any) -> None:
    """Run two artifacts of any format on the same inputs, each in a fresh process.

    With --runtime cpu,gpu REFERENCE and CANDIDATE may be one file, whose first operator that differs is named.
    Exit code 0: same, also under other names; 3: undecided, for lack of evidence; 1: any other verdict.
    """
    from export.artifacts.equivalence import compare

    result = compare(**_prepared(**arguments), runtimes=runtimes.split(","))
    _finish(result, result.to_json(), console)


@click.command("certify")
@_options
@click.option("-o", "--out", type=PATH, help="Write the certificate as JSON to this file.")
def certify_command(console: Console, out: Path | None, **arguments: Any) -> None:
    """Compare as `compare` does, and say how much of the reference the inputs reached.

    Inputs of the largest contrast are added, and for a Keras reference inputs that read every row of its tables or lie
    near the constants that it compares with. Exit code 0: same, also under other names; 3: undecided, for lack of
    evidence; 1: any other verdict.
    """
    from export.certifier import certify

    result = certify(**_prepared(**arguments))
    if out:
        write_atomic(out, json.dumps(result.to_json(), indent=1) + "\n")
    _finish(result.comparison, result.to_json(), console, result.sentences(), result.conclusion)


def _prepared(samples: Path | None, match: tuple[str, ...], **others: Any) -> dict[str, Any]:
    """Return the arguments of `compare` from those of the command."""
    from export.cli.inputs import read_samples

    return others | {"samples": read_samples(samples) if samples else None, "match": dict(map(_pair, match))}


def _finish(
    result: Any, data: Any, console: Console, sentences: Sequence[str] = (), conclusion: str | None = None
) -> None:
    """Print a comparison, and exit with its code."""
    if console.json:
        console.result(data)
    elif not console.quiet:
        _show(result)
        for text in sentences:
            echo(text)
    if not console.json and (not console.quiet or result.exit_code):
        echo(f"{result.candidate}: {conclusion or result.verdict}. Next: python -m export inspect {result.candidate}")
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
