"""python -m export inspect ARTIFACT: its contents, without running it; diff: of bundles; formats: which there are."""

import sys
from pathlib import Path
from typing import Any

import click

from export.cli import PATH, print_table, show, trust_option
from export.contract import shape_text
from export.runners import RUNTIMES
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.errors import CheckFailed, ExportError


@click.command("inspect")
@click.argument("artifact", type=PATH)
@click.option("--contract", type=PATH, metavar="FILE", help="Write the contract of a Keras model.")
@click.option("--samples", type=PATH, help="An .npz file with real inputs by name, for --contract.")
@trust_option
@common_options
def command(
    artifact: Path, contract: Path | None, samples: Path | None, trust: tuple[str, ...], console: Console
) -> None:
    """Show the contents of ARTIFACT: .keras, .h5, SavedModel, .tflite or .onnx. Exit code 1 if it can execute code.

    With --contract a Keras model is also loaded, and the contract that would be inferred for it is written: edit names,
    ranges and meanings, and give the file to `python -m export model --contract`.
    """
    from export.artifacts import describe, is_trusted
    from export.artifacts.readable import unreadable
    from export.bundle.layout import MANIFEST, read_coverage
    from export.proof.certificate import describe_coverage

    if artifact.exists() and (problems := unreadable([artifact])):
        raise CheckFailed(f"{artifact} is refused: {problems[artifact]}")
    description = describe(artifact)
    bundle = next((folder for folder in artifact.resolve().parents if (folder / MANIFEST).is_file()), None)
    coverage = read_coverage(bundle) if bundle else {}
    if console.json:
        console.result(description.to_json() | ({"coverage": coverage} if coverage else {}))
    elif not console.quiet:
        _show(description)
        for text in describe_coverage(coverage):
            echo(f"proof of the bundle: {text}")
    trusted = is_trusted(description, trust)
    for sentence in description.risks:
        echo(f"{'note' if trusted else 'error'}: {sentence}", err=True)
    if contract is not None:
        _write_contract(artifact, description, trusted, contract, samples)
    if contract is not None and not console.json and not console.quiet:
        echo(f"Next: python -m export model {artifact} --contract {contract} -o BUNDLE")
    elif not console.json and not console.quiet:
        echo(f"Next: python -m export compare {artifact} OTHER")
    sys.exit(0 if trusted else 1)


def _write_contract(artifact: Path, description: Any, trusted: bool, path: Path, samples: Path | None) -> None:
    from export.artifacts import READABLE
    from export.cli.inputs import read_samples, write_contract
    from export.contract.inference import infer_contract
    from export.formats.keras import read_model
    from export.runtime.confinement import confine_command

    if not (READABLE[description.format].needs_code and description.signatures):
        raise ExportError(f"{artifact} is no Keras model; --contract needs a .keras or .h5 file of a whole model")
    if not trusted:
        raise CheckFailed(f"{artifact} is not loaded, and no contract is written: it can execute code")
    confine_command(filter(None, (artifact, samples)), path.absolute().parent)
    write_contract(path, infer_contract(read_model(artifact), read_samples(samples) if samples else None))


def _show(description: Any) -> None:
    d = description
    facts = [("path", str(d.path)), ("format", d.format), ("size", f"{d.size:,} bytes")]
    facts += [("parameters", f"{d.parameters:,}")] if d.parameters is not None else []
    facts += [("producer", ", ".join(f"{key} {value}" for key, value in d.producer.items()))]
    facts += [(flag, ", ".join(names)) for flag, names in d.flagged.items() if names]
    facts += [("operators", ", ".join(f"{name} {number}" for name, number in d.operations.items()))]
    print_table(("", ""), facts)
    rows = [
        (signature.name, direction, port.name, port.dtype or "?", "?" if port.shape is None else shape_text(port.shape))
        for signature in d.signatures
        for direction, ports in (("takes", signature.inputs), ("returns", signature.outputs))
        for port in ports
    ]
    print_table(("signature", "", "tensor", "dtype", "shape"), rows)


@click.command("diff")
@click.argument("bundle_a", type=PATH)
@click.argument("bundle_b", type=PATH)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything changed, like git diff.")
@common_options
def diff_command(bundle_a: Path, bundle_b: Path, exit_code: bool, console: Console) -> None:
    """Show what changed from BUNDLE_A to BUNDLE_B: verdict, formats, contract, labels, metrics, weights, sizes."""
    from export.bundle.diff import diff

    changes = diff(bundle_a, bundle_b)
    rows = [(section if i == 0 else "", text) for section, texts in changes.items() for i, text in enumerate(texts)]
    summary = f"{len(rows) or 'no'} changes"
    text = f"{bundle_b}: {summary}. Next: python -m export compare {bundle_a}/model.keras {bundle_b}/model.keras"
    show(console, {"same": not changes, "changes": changes}, text, table=(("", "change"), rows))
    sys.exit(1 if changes and exit_code else 0)


@click.command("formats")
@common_options
def formats_command(console: Console) -> None:
    """List the formats, their quantised forms, the runtimes that prove them, and the installed versions."""
    from export.artifacts import READABLE

    rows = [
        {
            "format": format,
            "quantize": [q.name for q in READABLE[format].quantizations],
            "runtime": r.name,
            "required": r.required,
            "installed": r.version,
        }
        for r in RUNTIMES.values()
        for format in r.formats
    ]
    if console.json:
        console.result(rows)
        return
    cells = [
        (r["format"], ", ".join(r["quantize"]), r["runtime"], "yes" if r["required"] else "", r["installed"] or "no")
        for r in rows
    ]
    print_table(("format", "quantised", "proven in", "required", "installed"), cells)
