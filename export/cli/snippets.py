"""python -m export snippets BUNDLE --for LANGUAGE: preprocessing as code for an application."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from export.cli import PATH, print_table, show
from zoobase import Console, common_options
from zoobase.console import echo

LANGUAGES = ("python", "opencv", "javascript", "c", "android", "swift")
RUNNABLE = LANGUAGES[:4]


@click.command("snippets")
@click.argument("bundle", type=PATH)
@click.option("--for", "language", type=click.Choice(LANGUAGES), default="python", show_default=True)
@click.option("--input", "name", metavar="NAME", help="The input of the model, where it has several.")
@click.option("-o", "--out", type=PATH, metavar="FILE", help="Where it is written.  [default: standard output]")
@click.option("--prove", is_flag=True, help=f"Run {', '.join(RUNNABLE)} on the golden files, and compare.")
@common_options
def command(bundle: Path, language: str, name: str | None, out: Path | None, prove: bool, console: Console) -> None:
    """Write code that makes of an image file the tensor that the contract of BUNDLE states.

    The same algorithm in every language: decode, turn, crop or pad, resize, order and scale the channels. Exit code 1
    if one that was run differs from the golden tensors.
    """
    from export.bundle import layout
    from export.contract import Contract
    from export.inputs import check, golden_files
    from export.inputs.snippets import snippet
    from export.parity.cases import read_golden
    from zoobase.errors import ExportError

    contract = Contract.from_json(layout.read_manifest(bundle)["contract"])
    endpoint, tensor = check.input_of(contract, name)
    code = snippet(tensor, language)
    if prove:
        real = [c for c in read_golden(bundle / "golden", contract)[endpoint.name] if c.name == "real"]
        found = golden_files.check(bundle, tensor, real[0].inputs[tensor.name], (), RUNNABLE) if real else []
        if not found:
            raise ExportError(f"{bundle} has no golden files: export it again, with its data")
        rows = [(o.language, o.files, o.largest, o.problem) for o in found]
        keys = ("language", "files", "largest", "problem")
        show(console, [dict(zip(keys, row, strict=True)) for row in rows])
        if not console.json and not console.quiet:
            cells = [(a, str(b), "" if c is None else f"{c:.2f}", d or "pass") for a, b, c, d in rows]
            print_table(("language", "files", "largest difference (levels of 255)", ""), cells)
        sys.exit(1 if any(o.problem and o.is_installed for o in found) else 0)
    if out is None:
        console.result({"language": language, "code": code})
        if not console.json:
            echo(code)
    else:
        out.write_text(code, encoding="utf-8")
        show(console, {"language": language, "file": str(out)}, f"{out}: {json.dumps(tensor.name)} for {language}")
        if not console.json and not console.quiet:
            echo(f"Next: python -m export check-input {bundle} IMAGE TENSOR")
