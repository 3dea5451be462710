"""python -m docs.third_party: export the models of other libraries and write docs/third_party.md.

Everything on the page is measured by this command; `docs/third_party/results.json` holds the results. The models of
keras-hub need `pip install keras-hub`.
"""

import contextlib
import datetime
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from docs.third_party_models import APPLICATIONS, CAUSES, HUB, MODELS, ThirdPartyModel
from export.proof.structure import RUNTIME, WHOLE
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import unknown
from zoobase.files import write_atomic

HERE = Path(__file__).parent
RESULTS = HERE / "third_party" / "results.json"
FORMATS = {"keras": "Keras", "weights": "weights", "hdf5": "HDF5", "saved_model": "SavedModel", "tflite": "TFLite"}
TIMEOUT = 1200  # seconds for one export
PACKAGES = ("keras", "tensorflow", "ai-edge-litert", "keras-hub")


def measure(model: ThirdPartyModel, folder: Path) -> dict[str, Any]:
    """Save a model as .keras, run `python -m export model` on the file, and return what the certificate says.

    Args:
        model: The model.
        folder: An empty folder, for the file and the bundle.

    Returns:
        {"parameters", "verdict", "error", "shallow", "rows": [{"artifact", "format", "runtime", "state", "reason"}],
        "cpu_seconds"}: the error is the last line of a command that wrote no certificate.
    """
    built = model.build()
    file = folder / f"{model.name}.keras"
    built.save(file)
    bundle = str(folder / "bundle")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    certificate, error = _certificate("model", str(file), "-o", bundle)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    is_published = certificate.get("verdict", "").startswith("pass")
    trust = () if model.library == APPLICATIONS else ("--trust", "keras_hub")  # its classes are in the Keras file
    verified = _certificate("verify", bundle, *trust)[0]["artifacts"] if is_published else ()
    keys = ("artifact", "format", "runtime", "state", "reason", "note")
    return {
        "parameters": built.count_params(),
        "verdict": certificate.get("verdict", "refused"),
        "error": error,
        "shallow": certificate.get("coverage", {}).get("shallow", []),
        "rows": [{key: row[key] for key in keys} for row in certificate.get("artifacts", ())],
        "graphs": [{key: row[key] for key in keys} for row in verified if row["runtime"] in (RUNTIME, WHOLE)],
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime),
    }


def _certificate(*arguments: str) -> tuple[dict[str, Any], str | None]:
    """Return the certificate that a command prints; else an empty one, and the last line of its error."""
    command = [sys.executable, "-m", "export", *arguments, "--json"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=HERE.parent)
    with contextlib.suppress(json.JSONDecodeError):
        certificate = json.loads(process.stdout)
        if "artifacts" in certificate:
            return certificate, None
    return {}, (process.stderr.strip().splitlines() or ["no output"])[-1]


def graphs_of(result: Mapping[str, Any]) -> str:
    """Return the state of the comparison of the graphs of a bundle: the worst of its files; "" if there was none."""
    states = {row["state"] for row in result["graphs"]}
    return next((state for state in ("fail", "pass", "not_run") if state in states), "")


def state_of(result: Mapping[str, Any], format: str) -> str:
    """Return pass, fail, unsupported or not_run of a format: the worst of the runtimes that read it."""
    states = {row["state"] for row in result["rows"] if row["format"] == format}
    return next((s for s in ("fail", "unsupported", "pass", "not_run") if s in states), result["verdict"])


def passes(result: Mapping[str, Any]) -> bool:
    """Return whether every format of a model passes."""
    return bool(result["rows"]) and all(state_of(result, format) == "pass" for format in ("reference", *FORMATS))


def page(results: Mapping[str, Any]) -> str:
    """Return the page for `results`."""
    where = "; ".join(dict.fromkeys(f"{r['machine']}, {r['date']}, {r['versions']}" for r in results.values()))
    complete = sum(map(passes, results.values()))
    published = sum(result["verdict"].startswith("pass") for result in results.values())
    parts = [
        "# Models of other libraries",
        f"Written by `python -m docs.third_party` on {where}. Every family of `keras.applications`, by its smallest "
        "member with `weights=None`, 10 classes and images of 32x32 or its least size, and twelve backbones of "
        "keras-hub at toy size: each is saved as `.keras` and exported by the command `export model` without another "
        "argument. *Graphs* is what `export verify` says of the SavedModel and of the TFLite file. "
        "Weights are random; batch normalisation of `keras.applications` has the statistics of 32 random "
        "images, because with those of a new model the outputs of deep ones are constant, which a certificate refuses. "
        "`make proof` repeats it and compares the results with this page "
        "(`pytest -m proof tests/export/test_third_party_proof.py`).",
        f"{published} of {len(results)} bundles are published, and {complete} of these in every format. An artifact "
        "that is *unsupported* is not in the bundle; one that *fails* keeps the bundle from being published.",
    ]
    for library in (APPLICATIONS, HUB):
        models = [m for m in MODELS if m.library == library and m.name in results]
        parts += [f"## {library}", _table(models, results)]
    parts += ["## What does not pass, and whose fault it is", _causes(results)]
    return "\n\n".join(parts) + "\n"


def _table(models: Sequence[ThirdPartyModel], results: Mapping[str, Any]) -> str:
    head = ("model", "parameters", "verdict", *FORMATS.values(), "graphs", "CPU seconds")
    lines = [head, ("---", "---:", "---", *["---"] * (len(FORMATS) + 1), "---:")]
    for model in models:
        result = results[model.name]
        states = [*(state_of(result, format) for format in FORMATS), graphs_of(result)]
        verdict = result["verdict"] + (" (shallow)" if result["shallow"] else "")
        lines.append((f"`{model.name}`", f"{result['parameters']:,}", verdict, *states, str(result["cpu_seconds"])))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def problems(result: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each artifact that did not pass."""
    rows = [row for row in (*result["rows"], *result["graphs"]) if row["state"] in ("fail", "unsupported")]
    return [result["error"]] if result["error"] else [f"{row['artifact']}: {row['reason']}" for row in rows]


def _causes(results: Mapping[str, Any]) -> str:
    lines = ["| model | what the certificate says | whose | cause |", "|---|---|---|---|"]
    for model in MODELS:
        texts = problems(results[model.name]) if model.name in results else []
        if texts:
            cause = CAUSES.get(model.name)
            whose, why = (cause.whose, cause.text) if cause else ("not known", "")
            says = "; ".join(texts).replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| `{model.name}` | {says} | {whose} | {why} |")
    return "\n".join(lines) if len(lines) > 2 else "Every artifact of every model passes."


@click.command("third_party")
@click.argument("names", metavar="[MODEL]...", nargs=-1)
@click.option("--page-only", is_flag=True, help="Write the page of the results that there are.")
@shell.common_options
def main(names: tuple[str, ...], page_only: bool, console: Console) -> None:
    """Export each MODEL (by default all) and write docs/third_party.md."""
    from zoo.core import environment
    from zoo.training.autotune import processor

    models = {model.name: model for model in MODELS}
    for name in names:
        if name not in models:
            raise unknown("model", name, models)
    environment.prepare()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in () if page_only else names or models:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(models[name], Path(folder))
        versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
        result |= {"machine": f"{os.cpu_count()} cores of {processor()}", "versions": versions}
        results[name] = result | {"date": datetime.date.today().isoformat()}
        console.print(f"{name}: {result['verdict']}, {result['cpu_seconds']} s; {'; '.join(problems(result))}")
        write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")
    write_atomic(HERE / "third_party.md", page(results))
    console.print(f"written: {HERE / 'third_party.md'}")
    console.result(results)


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.third_party")
