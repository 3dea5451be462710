"""python -m export compare, certify, repair and flips: what artifacts and runtimes answer otherwise."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from export.cli import PATH, print_table, show, trust_option
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.errors import CheckFailed, ExportError
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


@click.command("repair")
@click.argument("path", type=PATH)
@click.option("--for", "target", default="gpu", show_default=True, metavar="NAME", help="gpu, or one runtime.")
@click.option("-o", "--out", required=True, type=PATH, help="The new file; of a bundle, the folder of the new files.")
@click.option("--samples", type=PATH, help="An .npz file with real inputs by name.")
@trust_option
@common_options
def repair_command(
    path: Path, target: str, out: Path, samples: Path | None, trust: tuple[str, ...], console: Console
) -> None:
    """Rewrite what is known to fail on GPUs in a TFLite file, or in those of a bundle, and prove the new file.

    It must answer on the processor as the old one does. Exit code 1 if something is wrong on the GPU still.
    """
    from export.artifacts.repairs import repair
    from export.bundle import layout
    from export.cli.inputs import read_samples
    from export.formats import tflite

    files = {path: out}
    if path.is_dir():
        if damage := layout.find_damage(path):
            raise CheckFailed(f"{path}: {damage[0]}")
        held = [a for a in layout.read_manifest(path)["artifacts"] if a["format"] == tflite.FORMAT.name]
        files = {path / a["path"]: out / Path(a["path"]).name for a in held if a["state"] is None}
        if not files:
            raise ExportError(f"{path} holds no TFLite file")
    inputs = read_samples(samples) if samples else None
    results = {file: repair(file, new, target=target, samples=inputs, trust=trust) for file, new in files.items()}
    is_wrong = any(result.left for result in results.values())
    rows = [
        (file.name, name, before.verdict, result.after[name].verdict if result.after else "nothing to rewrite")
        for file, result in results.items()
        for name, before in result.before.items()
    ]
    lines = [f"{file.name}: {text}" for file, r in results.items() for text in (*r.repairs, *r.left)]
    head = ("file", "runtime", "before", "after")
    show(console, [result.to_json() for result in results.values()], *lines, table=(head, rows))
    if not console.json and (is_wrong or not console.quiet):
        verdict = "wrong on the GPU still" if is_wrong else "right on the GPU"
        file = next(iter(files))
        follow = f"python -m export compare {file} {files[file]} --runtime cpu,{target}"
        echo(f"{path}: {verdict}. Next: {follow}", err=is_wrong)
    sys.exit(int(is_wrong))


@click.command("flips")
@click.argument("bundle", type=PATH)
@click.option("--data", required=True, type=PATH, help="An .npz file with inputs by name.")
@click.option("--across", default="cpu,gpu", show_default=True, metavar="A,B", help="cpu, gpu, wasm, or names.")
@trust_option
@common_options
def flips_command(bundle: Path, data: Path, across: str, trust: tuple[str, ...], console: Console) -> None:
    """Count the examples whose class depends on the runtime, and find the margin above which none does.

    It is calibrated on one half of the examples and checked on the other: exit code 1 if one of that half flips above.
    """
    from export.cli.inputs import read_samples
    from export.versions.flips import flips

    found = flips(bundle, read_samples(data), across.split(","), trust=trust)
    count, above, wrong = found["of"], found["checked"], found["flips_above"]
    other = f"of {count} examples have another class than in {found['reference']}"
    bound = f" (at most {3 / above:.2%}, with 95 % confidence)" if above and not wrong else ""
    text = f"above a margin of {found['threshold']:.3g}, {wrong} of {above} examples of the other half flip{bound}"
    show(console, found, *(f"{name}: {number} {other}" for name, number in found["flips"].items()), text)
    if wrong:
        echo(f"error: {bundle}: {text}", err=True)
    sys.exit(int(wrong > 0))


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
