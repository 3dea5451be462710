"""python -m export check-input BUNDLE FILE TENSOR: how an application made a tensor; snippets: the same as code."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np

from export.cli import PATH, print_table, show, trust_option
from export.inputs.snippets import LANGUAGES, RUNNABLE, snippet
from zoobase import Console, common_options
from zoobase.console import echo

MOST_IMAGES = 1000


@click.command("check-input")
@click.argument("bundle", type=PATH)
@click.argument("file", type=PATH)
@click.argument("tensor", type=PATH)
@click.option("--input", "name", metavar="NAME", help="The input of the model, where it has several.")
@click.option("--dtype", metavar="NAME", help="Of a raw dump, such as uint8.")
@click.option("--shape", metavar="SIZES", help="Of a raw dump, such as 3,224,224.  [default: the model's]")
@click.option(
    "--examples", type=PATH, metavar="FOLDER", help="Files, perhaps in folders by class, to count what changes."
)
@click.option("-o", "--out", type=PATH, metavar="FILE", help="A PNG image of both tensors and their difference.")
@trust_option
@common_options
def command(
    bundle: Path,
    file: Path,
    tensor: Path,
    name: str | None,
    dtype: str | None,
    shape: str | None,
    examples: Path | None,
    out: Path | None,
    trust: tuple[str, ...],
    console: Console,
) -> None:
    """Say by which preprocessing an application made TENSOR of FILE, and how that differs from the contract of BUNDLE.

    The application writes the tensor of one example just before it calls the model: .npy, .npz, .raw (the bytes of the
    buffer), or the .json of a request to TF Serving. FILE is what it read: an image, a WAV file, a text, or a CSV file
    whose first row is compared with the columns of a request. With --examples the same is done to other files, and the
    answers that change are counted, with the accuracy where the folders have the names of the labels.

    Exit code 0: as the contract states, or the contract states nothing; 1: it differs, or no preprocessing within reach
    gives this tensor.
    """
    from export.artifacts.calling import adjacent_contract
    from export.inputs import check, fed
    from zoobase.errors import ExportError, UsageError
    from zoobase.files import check_present

    check_present(file)
    contract = adjacent_contract(bundle / "any")
    if contract is None:
        raise ExportError(f"{bundle} is not a bundle: it has no manifest.json with a contract")
    if file.suffix.lower() in (".csv", ".tsv"):
        if any((name, dtype, shape, examples, out)):
            raise UsageError("a CSV row is compared with the columns of a request: omit the other options")
        _check_row(contract, file, tensor, console)
    if out is not None and file.suffix.lower() not in check.IMAGES:
        raise UsageError(f"--out draws images, and {file.name} is none: omit it")
    endpoint, target = check.input_of(contract, name)
    array = fed.read(tensor, dtype, _sizes(shape) or [size for size in target.shape[1:] if size], target.name)
    found = check.check_file(target, file, array, check.vocabulary_of(bundle))
    lines = [f"{file.name} as {tensor.name}: {found.sentence()}", *found.notes]
    lines += [
        f"{stage}: {', '.join(values)} would give the same"
        for stage, values in found.similar.items()
        if found.verdict in ("differs", "not stated") and stage not in check.MINOR
    ]
    data = found.to_json()
    if found.verdict == "differs" and found.fed.shape == found.expected.shape:
        call = _model(bundle, endpoint, target.name, trust)
        right, wrong = (call(tensor[None].astype(found.expected.dtype)) for tensor in (found.expected, found.fed))
        data["this_file"] = of_file = check.cost(endpoint, right, wrong)
        lines.append(_this_file(of_file, contract.labels))
        if examples:
            files, truth = _files(examples, contract.labels)
            feed = check.mistaken(target, found)
            right, wrong = (
                call(np.stack([make(path) for path in files]))
                for make in (lambda path: check.expected(target, path), feed)
            )
            data["examples"] = of_all = check.cost(endpoint, right, wrong, truth)
            lines.append(_all_files(of_all))
        for part in ("this_file", "examples"):
            data.get(part, {}).pop("answers", None)
    elif examples:
        lines.append(f"{examples}: not counted, because no mistake is known that could be made with other files")
    if out is not None and found.fed is not None and found.expected is not None:
        check.draw(out, found)
        lines.append(f"{out}: both tensors and their difference")
    elif out is not None:
        lines.append(f"{out}: not drawn, because there are not two images to compare")
    lines.append(f"Next: python -m export snippets {bundle} --for python")
    show(console, data, *lines)
    if not console.json and not console.quiet and found.differences:
        rows = [(stage, str(actual), str(stated)) for stage, (actual, stated) in found.differences.items()]
        print_table(("stage", "application", "contract"), rows)
    sys.exit(0 if found.verdict in ("as stated", "not stated") else 1)


def _sizes(text: str | None) -> list[int]:
    """Return the sizes of a shape such as "3,224,224"; UsageError for another text."""
    from zoobase.errors import UsageError

    try:
        return [int(size) for size in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(f"--shape {text!r} is not a shape; write sizes such as 3,224,224") from error


def _check_row(contract: Any, file: Path, request: Path, console: Console) -> NoReturn:
    """Compare the columns of a request with the first row of a CSV file, and exit."""
    from export.inputs import tables

    found = tables.explain(contract.endpoints[0].inputs, tables.read_row(file), tables.read_request(request))
    data = {"verdict": "differs" if found else "as stated", "differences": found}
    show(
        console,
        data,
        f"{file.name} as {request.name}: {len(found)} columns differ" if found else "as the contract states",
    )
    if found and not console.json and not console.quiet:
        print_table(("column", "application", "contract"), [(name, *pair) for name, pair in found.items()])
    sys.exit(1 if found else 0)


def _model(
    bundle: Path, endpoint: Any, name: str, trust: Sequence[str]
) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Return the float32 model of a bundle, confined: inputs (N, ...) -> outputs by name."""
    from export.artifacts import check_confined
    from export.artifacts.calling import run_artifact, runtime_for
    from export.bundle import layout
    from export.bundle.gate import refusal
    from export.formats import saved_model, tflite
    from export.parity.cases import GoldenCase
    from zoobase.errors import ExportError

    artifacts = [a for a in layout.read_manifest(bundle)["artifacts"] if a["state"] is None and not a["quantize"]]
    usable = [a for f in (tflite.FORMAT.name, saved_model.FORMAT.name) for a in artifacts if a["format"] == f]
    if not usable:
        raise ExportError(f"{bundle} has no SavedModel or TFLite file to run; export it again")
    artifact = usable[0]
    check_confined(bundle, trust)
    if reason := refusal(bundle, artifact, trust):
        raise ExportError(f"{artifact['path']} is not run: {reason}")

    def call(inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        size = artifact["batch"] or len(inputs)
        cases = [GoldenCase(str(i), {name: inputs[i : i + size]}) for i in range(0, len(inputs), size)]
        runtime = runtime_for(artifact["format"])
        path = bundle / artifact["path"]
        run = run_artifact(path, artifact["format"], [endpoint], {endpoint.name: cases}, [runtime])[runtime.name]
        if run.failure:
            raise ExportError(f"{artifact['path']} does not run: {run.failure}")
        parts = [run.of(endpoint.name).of(case.name) for case in cases]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    return call


def _files(folder: Path, labels: Sequence[str] | None) -> tuple[list[Path], list[int] | None]:
    """Return the files of a folder, at most `MOST_IMAGES` evenly drawn, and their classes if its folders name them."""
    from export.inputs.check import IMAGES, SOUNDS
    from zoobase.errors import ExportError

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (*IMAGES, *SOUNDS))
    if not files:
        raise ExportError(f"{folder} has no image and no sound; give a folder of files")
    files = files[:: -(-len(files) // MOST_IMAGES)]
    names = [path.parent.name for path in files]
    known = labels is not None and {*names} <= {*labels}
    if not known:
        echo(f"{folder}: its folders are not labels of the model, so that no accuracy is computed", err=True)
    return files, [labels.index(name) for name in names] if known else None


def _this_file(found: Mapping[str, Any], labels: Sequence[str] | None) -> str:
    if "answers" not in found:
        return f"the outputs for this file change by up to {max(found['largest_change'].values()):.3g}"
    texts = [f"{labels[c[0]] if labels else f'class {c[0]}'} ({p[0]:.2f})" for c, p in found["answers"]]
    return f"the answer for this file: {texts[1]}; with the contract's preprocessing {texts[0]}"


def _all_files(found: Mapping[str, Any]) -> str:
    if "changed" not in found:
        return f"on {found['examples']} files the outputs change by up to {max(found['largest_change'].values()):.3g}"
    text = f"on {found['examples']} files {found['changed']} answers change"
    if "accuracy" in found:
        text += f", accuracy {found['accuracy'][0]:.3f} to {found['accuracy'][1]:.3f}"
    return text


@click.command("snippets")
@click.argument("bundle", type=PATH)
@click.option("--for", "language", type=click.Choice(LANGUAGES), default="python", show_default=True)
@click.option("--input", "name", metavar="NAME", help="The input of the model, where it has several.")
@click.option("-o", "--out", type=PATH, metavar="FILE", help="Where it is written.  [default: standard output]")
@click.option("--prove", is_flag=True, help=f"Run {', '.join(RUNNABLE)} on the golden files, and compare.")
@common_options
def snippets_command(
    bundle: Path, language: str, name: str | None, out: Path | None, prove: bool, console: Console
) -> None:
    """Write code that makes of an image file the tensor that the contract of BUNDLE states.

    The same algorithm in every language: decode, turn, crop or pad, resize, order and scale the channels. Exit code 1
    if one that was run differs from the golden tensors.
    """
    from export.bundle import layout
    from export.contract import Contract
    from export.inputs import check, golden_files
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
