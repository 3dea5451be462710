"""Forty bugs of conversions, and which check finds them: python -m benchmarks.seeded_bugs [--measure].

Five small Keras models are written as .keras files. Each is implemented a second time in plain TensorFlow operators and
converted to a TFLite file or a SavedModel: once right, and once with each bug. Of every pair `export compare` and
`export certify` give their verdict, and so does what scripts of conversion commonly do: one random input of one row,
and `np.testing.assert_allclose(candidate, reference, rtol=0, atol=1e-3)`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.benchmark import HERE
from benchmarks.conversions import Conversion, images, sequences, tables, weights_of
from zoobase import console as shell
from zoobase.console import Console
from zoobase.files import write_atomic

RESULTS = HERE / "seeded_bugs.json"
PAGE = HERE.parent / "docs" / "reference" / "seeded_bugs.md"
ATOL = 1e-3
CONVERSIONS = {
    "classifier": images.CLASSIFIER,
    "decoder": images.DECODER,
    "transformer": sequences.TRANSFORMER,
    "recurrent": sequences.RECURRENT,
    "table": tables.TABLE,
}


def write(conversion: Conversion, weights: Mapping[str, np.ndarray], bug: str | None, folder: Path) -> Path:
    """Write the other implementation, with one bug or none; return the path of the file or SavedModel."""
    import tensorflow as tf

    function = conversion.port(weights, bug)
    specs = [tf.TensorSpec((None, *shape), dtype, name=name) for name, (dtype, shape, _) in conversion.inputs.items()]
    module = tf.Module()
    module.serve = tf.function(lambda *inputs: _named(function(*inputs)), input_signature=specs, autograph=False)
    path = folder / (bug or "right")
    tf.saved_model.save(module, path, signatures=module.serve.get_concrete_function())
    if conversion.format == "saved_model":
        return path
    file = path.with_suffix(".tflite")
    file.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(path)).convert())
    return file


def _named(outputs: Any) -> dict[str, Any]:
    return outputs if isinstance(outputs, dict) else {"output": outputs}


def fixed_tolerance(conversion: Conversion, model: Any, path: Path) -> bool:
    """Return whether one random row, compared with a fixed tolerance, finds a difference.

    Real numbers are standard normal, and ids are uniform.
    """
    import tensorflow as tf

    rng = np.random.default_rng(0)
    inputs = {
        name: (rng.integers(0, ids, (1, *shape)) if ids else rng.standard_normal((1, *shape))).astype(dtype)
        for name, (dtype, shape, ids) in conversion.inputs.items()
    }
    reference = _named(model(inputs if len(inputs) > 1 else next(iter(inputs.values()))))
    if path.is_dir():
        candidate = tf.saved_model.load(str(path)).signatures["serving_default"](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
    else:
        from ai_edge_litert.interpreter import Interpreter

        candidate = Interpreter(str(path)).get_signature_runner("serving_default")(**inputs)
    try:
        for name, value in reference.items():
            np.testing.assert_allclose(np.asarray(candidate[name]), np.asarray(value), rtol=0, atol=ATOL)
    except AssertionError:
        return True
    return False


def check(conversion: Conversion, bugs: list[str | None], folder: Path, console: Console) -> dict[str, dict[str, Any]]:
    """Return {bug, or "right": verdicts of all checks} for some bugs of a conversion, None for the right one."""
    from export import certify, compare

    folder.mkdir()
    model = conversion.reference()
    model.save(folder / "model.keras")
    found = {}
    for bug in bugs:
        path = write(conversion, weights_of(model), bug, folder)
        compared, certified = (run(folder / "model.keras", path) for run in (compare, certify))
        found[bug or "right"] = {
            "compare": compared.verdict,
            "certify": certified.comparison.verdict,
            "finding": next(iter(certified.comparison.findings), ""),
            "fixed": fixed_tolerance(conversion, model, path),
        }
        console.print(f"{bug or 'right'}: {found[bug or 'right']}")
    return found


def measure(console: Console) -> dict[str, Any]:
    """Run every bug of every conversion; return all results."""
    from benchmarks import report

    results: dict[str, Any] = {"machine": report.machine(), "models": {}}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, conversion in CONVERSIONS.items():
            console.print(name)
            results["models"][name] = check(conversion, [None, *conversion.bugs], Path(folder) / name, console)
    results["minutes"] = round((time.monotonic() - start) / 60, 1)
    write_atomic(RESULTS, json.dumps(results, indent=1) + "\n")
    return results


def text(results: Mapping[str, Any]) -> str:
    """Return the page."""
    return ""


def is_found(row: Mapping[str, Any], check: str) -> bool:
    """Return whether a check finds a difference: any verdict but that the two are the same."""
    return row[check] if check == "fixed" else not row[check].startswith("same")


@click.command("seeded_bugs")
@click.option("--measure", "measures", is_flag=True, help="Measure first; ten minutes.")
@shell.common_options
def main(measures: bool, console: Console) -> None:
    """Write docs/reference/seeded_bugs.md."""
    results = measure(console) if measures else json.loads(RESULTS.read_text())
    write_atomic(PAGE, text(results))
    console.print(f"written: {PAGE}")


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.seeded_bugs")
