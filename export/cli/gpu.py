"""python -m export repair FILE|BUNDLE: rewrite what GPUs compute wrongly."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from export.cli import PATH, print_table, trust_option
from zoobase import Console, common_options
from zoobase.console import echo


@click.command("repair")
@click.argument("path", type=PATH)
@click.option("--for", "target", default="gpu", show_default=True, metavar="NAME", help="gpu, or one runtime.")
@click.option("-o", "--out", required=True, type=PATH, help="The new file; of a bundle, the folder of the new files.")
@click.option("--samples", type=PATH, help="An .npz file with real inputs by name.")
@trust_option
@common_options
def command(path: Path, target: str, out: Path, samples: Path | None, trust: tuple[str, ...], console: Console) -> None:
    """Rewrite what is known to fail on GPUs in a TFLite file, or in those of a bundle, and prove the new file.

    It must answer on the processor as the old one does. Exit code 1 if something is wrong on the GPU still.
    """
    from export.artifacts.repairs import repair
    from export.bundle import layout
    from export.cli.inputs import read_samples
    from zoobase.errors import CheckFailed, ExportError

    files = {path: out}
    if path.is_dir():
        if damage := layout.find_damage(path):
            raise CheckFailed(f"{path}: {damage[0]}")
        files = {file: out / file.name for file in sorted((path / "tflite").glob("*.tflite"))}
        if not files:
            raise ExportError(f"{path} holds no TFLite file")
    inputs = read_samples(samples) if samples else None
    results = {file: repair(file, new, target=target, samples=inputs, trust=trust) for file, new in files.items()}
    console.result([result.to_json() for result in results.values()])
    is_wrong = any(result.left for result in results.values())
    if not console.json and not console.quiet:
        rows = [
            (file.name, name, before.verdict, result.after[name].verdict if result.after else "nothing to rewrite")
            for file, result in results.items()
            for name, before in result.before.items()
        ]
        print_table(("file", "runtime", "before", "after"), rows)
        for file, result in results.items():
            for text in (*result.repairs, *result.left):
                echo(f"{file.name}: {text}")
    if not console.json and (is_wrong or not console.quiet):
        verdict = "wrong on the GPU still" if is_wrong else "right on the GPU"
        file = next(iter(files))
        follow = f"python -m export compare {file} {files[file]} --runtime cpu,{target}"
        echo(f"{path}: {verdict}. Next: {follow}", err=is_wrong)
    sys.exit(int(is_wrong))
