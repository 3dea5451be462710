"""python -m export matrix BUNDLE and upgrade BUNDLE: what other versions of the runtimes answer."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from export.cli import PATH, show, trust_option
from export.cli.inputs import read_samples
from export.proof.certificate import describe_drop
from zoobase import Console, common_options


@click.command("matrix")
@click.argument("bundle", type=PATH)
@click.option("--runtimes", required=True, metavar="LIST", help='Such as "onnxruntime>=1.17,litert>=1.4".')
@click.option("--variants", default="usual", show_default=True, metavar="LIST", help="Kernels and threads, or all.")
@click.option("--samples", type=PATH, metavar="FILE", help="Inputs of a file (.npz): rows, or those of one call.")
@trust_option
@common_options
def matrix_command(
    bundle: Path, runtimes: str, variants: str, samples: Path | None, trust: tuple[str, ...], console: Console
) -> None:
    """Run every artifact of BUNDLE in each release of its runtimes, and compare it with the reference.

    BUNDLE may also be one file or SavedModel, which the installed release of its runtime is the reference of.

    Runtimes: onnxruntime, litert, openvino, tensorflow_c; of each minor release the newest patch; and litert_js, which
    runs in Chromium. Their environments are installed once, in the cache. Variants: usual, eigen, avx2, sse41, "1
    thread", "2 threads", "4 threads". Where a runtime differs, the first operator that does is found by
    bisection. Exit code 1 if one differs, 3 if one could not run.
    """
    from export.versions import matrix as runs
    from export.versions import variants as known
    from export.versions.releases import releases

    chosen = known.variants(variants)
    given = read_samples(samples) if samples else None
    options = {"samples": given, "trust": trust, "progress": _progress(console)}
    cells = runs.matrix(bundle, releases(runtimes), chosen, **options)
    rows = [
        (c.artifact, c.release, c.variant, c.state, "" if c.difference is None else f"{c.difference:.1e}", c.reason)
        for c in cells
    ]
    counts = ", ".join(f"{sum(c.state == s for c in cells)} {s}" for s in dict.fromkeys(c.state for c in cells))
    text = f"{bundle}: {counts}. Next: python -m export upgrade {bundle} --to PACKAGE==VERSION"
    head = ("artifact", "release", "variant", "state", "largest error", "")
    show(console, [runs.to_json(cell) for cell in cells], text, table=(head, rows))
    states = {cell.state for cell in cells}
    sys.exit(1 if runs.DIFFERENT in states else 3 if runs.NOT_RUN in states else 0)


@click.command("upgrade")
@click.argument("bundle", type=PATH)
@click.option("--to", required=True, metavar="RELEASE", help="Such as onnxruntime==1.22.0.")
@click.option("--samples", type=PATH, metavar="FILE", help="Inputs of a file (.npz): rows, or those of one call.")
@click.option("--data", type=PATH, metavar="FILE", help="Inputs by name and their truth (.npz), to compare the metric.")
@trust_option
@common_options
def upgrade_command(
    bundle: Path, to: str, samples: Path | None, data: Path | None, trust: tuple[str, ...], console: Console
) -> None:
    """Say whether BUNDLE, or one file, answers in another release of a runtime as its certificate says.

    With data also by how much the metric changes from the installed release to that one, with its 95 % interval. Exit
    code 0: yes; 1: no; 3: it could not be run.
    """
    from export.versions import matrix as runs
    from export.versions.releases import releases

    given, truth = (read_samples(file) if file else None for file in (samples, data))
    cells = runs.matrix(bundle, releases(to), samples=given, data=truth, trust=trust, progress=_progress(console))
    bad = [cell for cell in cells if cell.state not in (runs.EQUAL, runs.WITHIN)]
    is_safe, first = not bad, (bad or cells)[0]
    largest = max((cell.difference for cell in cells if cell.difference is not None), default=None)
    lines = [f"{c.artifact} in {c.release}: {c.state}{f': {c.reason}' if c.reason else ''}" for c in cells]
    lines += [f"{c.artifact} in {c.release}: {describe_drop(c.metric)}" for c in cells if c.metric]
    answer = "yes" if is_safe else "unknown" if first.state == runs.NOT_RUN else "no"
    then = f"Next: python -m export matrix {bundle} --runtimes {to}"
    lines.append(f"{bundle}: is it safe to upgrade to {to}? {answer}. {then}")
    show(console, {"safe": answer, "largest_error": largest, "cells": [runs.to_json(cell) for cell in cells]}, *lines)
    sys.exit({"yes": 0, "no": 1, "unknown": 3}[answer])


def _progress(console: Console) -> Callable[[str], None]:
    return console.print if not console.json else lambda text: None
