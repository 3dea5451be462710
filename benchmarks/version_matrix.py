"""Shipped models in many releases of their runtimes: python -m benchmarks.version_matrix [--measure].

Each model is exported with its default weights as SavedModel, TFLite and ONNX, and proven; then each file is run in
every release; so are weights of others that the zoo converts, and ONNX files of others. What was measured stays in
version_matrix.json: a run that was interrupted continues with the next model. For each file that differs there is a
script in `red_cells`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.benchmark import HERE
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import KnownError
from zoobase.files import write_atomic

RESULTS = HERE / "version_matrix.json"
PAGE = HERE.parent / "docs" / "version_matrix.md"
RELEASES = "onnxruntime>=1.17,litert>=1.1,openvino>=2024.4,tensorflow_c>=2.16"
RED_CELLS = HERE / "red_cells"
CONVERTED = {"crepe": "default", "efficientnet_lite0": "imagenet", "magika": "default"}  # weights of others
PROCESSORS = ("fashion_mnist", "sentiment", "grapheme_to_phoneme", "crepe", "magika")
VARIANTS = ("usual", "eigen", "avx2", "sse41", "1 thread", "2 threads", "4 threads", "aarch64")
FORMATS = ("saved_model", "tflite", "onnx")
SIGNS = {"equal": "=", "within tolerance": "~", "different": "**D**", "refused": "**R**", "not run": "?"}


def measure(console: Console) -> dict[str, Any]:
    """Run what has not been measured yet; return all results."""
    from benchmarks import report
    from benchmarks import third_party_files as others
    from export.versions.releases import releases
    from export.versions.variants import VARIANTS as VARIANTS_BY_NAME
    from zoo import weights

    found = {"models": {}, "processors": {}, "files": {}, "machine": report.machine()}
    found |= json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    chosen, onnxruntime = releases(RELEASES), releases(RELEASES.partition(",")[0])
    newest = list({release.package: release for release in (*chosen, *releases("litert_js"))}.values())
    variants = [VARIANTS_BY_NAME[name] for name in VARIANTS]
    named = (*weights.shipped_models(), *CONVERTED)
    of_others = {file.name: (others.fetched(file), file.inputs) for file in others.FILES}
    of_others |= {f"{name}_float_bias": (others.quantized(name), {}) for name in others.FLOAT_BIAS}
    work = {
        "models": {n: lambda n=n: _cells_of_model(n, chosen, console, variants[:1]) for n in named},
        "processors": {n: lambda n=n: _cells_of_model(n, newest, console, variants) for n in PROCESSORS},
        "files": {n: lambda v=v: _cells_of_file(*v, onnxruntime) for n, v in of_others.items()},
    }
    for kind, entries in work.items():
        for name in (name for name in entries if name not in found[kind]):
            console.print(name)
            start = time.monotonic()
            cells = entries[name]()
            found[kind][name] = {"cells": cells, "seconds": round(time.monotonic() - start)}
            write_atomic(RESULTS, json.dumps(found, indent=1) + "\n")
    return found


def _cells_of_model(
    name: str, chosen: Sequence[Any], console: Console, variants: Sequence[Any]
) -> list[dict[str, Any]]:
    from export import export_model
    from export.versions import matrix

    cells = []
    for suffix, served, contract in _served(name):
        with tempfile.TemporaryDirectory() as folder:
            try:
                export_model(served, Path(folder) / "bundle", contract=contract, formats=FORMATS)
                found = matrix.matrix(Path(folder) / "bundle", chosen, variants, scripts=RED_CELLS)
                cells += [{**matrix.to_json(c), "served": suffix} for c in found]
            except KnownError as error:
                console.print(f"{name}: {error}")
    return cells


def _served(name: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (suffix, model, contract) of what a model serves; of converted weights the model alone."""
    import zoo
    from zoo import weights

    if name in CONVERTED:
        yield "", zoo.build(name, weights=CONVERTED[name]), None
        return
    plan, model, info = weights.open_default(name)
    for suffix, served in plan.task.served(model).items():
        yield suffix, served, plan.task.contract(served, info)


def _cells_of_file(file: Any, inputs: Mapping[str, Any], chosen: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the cells of a file; those with other bits than the release before name the first operator that has."""
    from export.artifacts import describe
    from export.artifacts.calling import endpoints_of
    from export.parity.cases import GoldenCase
    from export.parity.golden import cases_for
    from export.versions import matrix
    from export.versions.operators import first_operator

    by_name = {release.name: release.runtime() for release in chosen}
    with file as path:
        cells = matrix.matrix(path, chosen, samples=inputs or None, scripts=RED_CELLS)
        description = describe(path)
        (endpoint,) = endpoints_of(description)
        given = {t.name: t.array(inputs[t.name]) for t in endpoint.inputs} if inputs else {}
        case = GoldenCase("samples", given) if given else cases_for(endpoint)[0]
        operators = {}
        for before, after in matrix.changes(cells):
            runtimes = (by_name[before.release], by_name[after.release])
            first = first_operator(path, description.format, endpoint, case, *runtimes, tolerance=0)
            operators[after.release] = first.sentence() if first else "no part of the file shows it"
    return [{**matrix.to_json(c), "served": "", "operator": operators.get(c.release)} for c in cells]


def text(results: Mapping[str, Any]) -> str:
    """Return the page: a table of releases and models, and every cell that is not as the certificate says."""
    models = {name: entry for name, entry in results["models"].items() if entry["cells"]}
    cells = [(name, cell) for name, entry in models.items() for cell in entry["cells"]]
    rows = list(dict.fromkeys(cell["release"] for _, cell in cells))
    ran = sum(cell["state"] != "not run" for _, cell in cells)
    counts = {state: sum(cell["state"] == state for _, cell in cells) for state in SIGNS}
    machine = results["machine"]
    lines = [
        "# Releases of runtimes",
        "",
        "What the files of our models answer in other releases of their runtimes, compared with the certificate of "
        "each bundle, with its tolerance, by `python -m benchmarks.version_matrix --measure`, on "
        f"{machine['cores']} cores of {machine['processor']}, {machine['date']}. For files of your own: "
        "[`python -m export matrix` and `upgrade`](how-to/upgrade.md).",
        "",
        f"{len(models)} models, {len(rows)} releases, {len(cells):,} cells, of which {ran:,} ran, in "
        f"{sum(entry['seconds'] for entry in models.values()) / 60:.0f} minutes: "
        + ", ".join(f"{count:,} {state} ({SIGNS[state]})" for state, count in counts.items() if count)
        + ". A model with several files in a runtime shows the worst of them; an empty cell has no file for it.",
        "",
        "Columns: " + ", ".join(f"{i} `{name}`" for i, name in enumerate(models, 1)) + ".",
        "",
        f"| release | {' | '.join(str(i) for i in range(1, len(models) + 1))} |",
        f"|---|{'---|' * len(models)}",
    ]
    lines += [_row(release, models.values()) for release in rows]
    lines += ["", *_of_processors(results["processors"]), "", *_of_others(results["files"])]
    every = [
        (name, c) for kind in ("models", "processors", "files") for name, e in results[kind].items() for c in e["cells"]
    ]
    red: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for name, cell in every:
        if cell["state"] in ("different", "refused", "not run"):
            where = cell["reason"].partition(";")[0]
            red.setdefault((name, cell["artifact"], cell["variant"], cell["state"], where), []).append(cell)
    lines += ["", "## What is not as expected", ""]
    lines += ["Nothing."] if not red else ["| file | releases | state | reason |", "|---|---|---|---|"]
    for (name, artifact, variant, state, _), same in red.items():
        names = [cell["release"] for cell in same]
        which = names[0] if len(names) == 1 else f"{names[0]} to {names[-1].partition(' ')[2]}"
        which += f", {variant}" * (variant not in ("", "usual"))
        lines.append(f"| `{name}` `{artifact}` | {which} | {state} | {_plain(same[0]['reason'])} |")
    lines += ["", "Scripts that show it without this package, in `benchmarks/red_cells`:", ""]
    lines += [f"- `{path.name}`: {_first_line(path)}" for path in sorted(RED_CELLS.glob("*.py"))]
    return "\n".join([*lines, ""])


def _of_processors(models: Mapping[str, Any]) -> list[str]:
    """Return the table of kernels, threads and another processor, of the newest releases."""
    cells = [cell for entry in models.values() for cell in entry["cells"]]
    rows = dict.fromkeys((cell["release"], cell["variant"]) for cell in cells)
    lines = [
        "## Processors and threads",
        "",
        "The newest releases with other kernels and numbers of threads, on aarch64 in an emulator, and LiteRT's "
        "WebAssembly in Chromium.",
        "",
        f"| release | | {' | '.join(f'`{name}`' for name in models)} |",
        f"|---|---|{'---|' * len(models)}",
    ]
    for release, variant in rows:
        of_variant = [{"cells": [c for c in e["cells"] if c["variant"] == variant]} for e in models.values()]
        lines.append(_row(release, of_variant).replace(f"| {release} |", f"| {release} | {variant} |", 1))
    return lines


def _row(release: str, entries: Any) -> str:
    order, states = list(SIGNS), []
    for entry in entries:
        of_model = [cell["state"] for cell in entry["cells"] if cell["release"] == release]
        states.append(SIGNS[max(of_model, key=order.index)] if of_model else "")
    return f"| {release} | {' | '.join(states)} |"


def _of_others(files: Mapping[str, Any]) -> list[str]:
    """Return the table of the files of others, and where their bits change."""
    rows = list(dict.fromkeys(cell["release"] for entry in files.values() for cell in entry["cells"]))
    changed = [
        f"- `{name}`, {cell['release']}: {cell['operator']}."
        for name, entry in files.items()
        for cell in entry["cells"]
        if cell.get("operator")
    ]
    return [
        "## ONNX files of others",
        "",
        "Compared with the newest release, on inputs of `benchmarks/third_party_files.py`: a detector of speech, a "
        "detector of file types and sentence embeddings from their packages, and three models of ours quantised with a "
        "bias in float32, as exporters of PyTorch do it.",
        "",
        f"| release | {' | '.join(f'`{name}`' for name in files)} |",
        f"|---|{'---|' * len(files)}",
        *(_row(release, files.values()) for release in rows),
        "",
        "Releases with other bits than the one before, and the first operator that has them:",
        "",
        *changed,
    ]


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition('"""')[2].partition("\n")[0].removesuffix('"""').strip()


def _plain(reason: str) -> str:
    short = reason if len(reason) <= 300 else f"{reason[:300]} ..."
    return f"`{short.replace('|', '/').replace('`', '')}`" if short else ""


@click.command("version_matrix")
@click.option("--measure", "measures", is_flag=True, help="Measure first what is not there yet; hours.")
@shell.common_options
def main(measures: bool, console: Console) -> None:
    """Write docs/version_matrix.md."""
    results = measure(console) if measures else json.loads(RESULTS.read_text())
    write_atomic(PAGE, text(results))
    console.print(f"written: {PAGE}")


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.version_matrix")
