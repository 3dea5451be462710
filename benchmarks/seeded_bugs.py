"""Forty bugs of conversions, and which check finds them: python -m benchmarks.seeded_bugs [--measure].

Five small Keras models are written as .keras files. Each is implemented a second time in plain TensorFlow operators and
converted to a TFLite file or a SavedModel: once right, and once with each bug. Of every pair `export compare` and
`export certify` give their verdict, and so does what scripts of conversion commonly do: one random input of one row,
and `np.testing.assert_allclose(candidate, reference, rtol=0, atol=1e-3)`.
"""

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
PAGE = HERE.parent / "docs" / "concepts" / "conversion_bugs.md"
ATOL = 1e-3
CONVERSIONS = {
    "classifier": images.CLASSIFIER,
    "decoder": images.DECODER,
    "transformer": sequences.TRANSFORMER,
    "recurrent": sequences.RECURRENT,
    "table": tables.TABLE,
}
CHECKS = {  # key of a result -> title
    "certify": "`export certify`",
    "compare": "`export compare`",
    "fixed": "fixed tolerance of 1e-3, one random row",
    "fixed_pixels": "the same, with pixels in [0, 255]",
}
SHORT = {"certify": "certify", "compare": "compare", "fixed": "fixed", "fixed_pixels": "fixed, pixels"}
MISSED = {  # why `certify` does not find them
    "float16_layer": "it changes probabilities by 4e-6, below the tolerance of 1e-5; the verdict is about outputs, and "
    "weights are compared by value in the proof of a bundle only",
    "bin_edge": "inputs lie on either side of each edge, 0.02 % to 0.1 % away, but not on it: there the reference "
    "jumps when its input moves by one rounding, and such rows are not compared. Whole numbers in real tables do lie "
    "on edges; `--samples` with such rows finds it",
    "clipped": "inputs of a normalisation are drawn within three deviations of its mean, which is where the clipping "
    "starts; `--samples` with larger numbers finds it",
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


def fixed_tolerance(conversion: Conversion, model: Any, path: Path, knows_pixels: bool = False) -> bool:
    """Return whether one random row, compared with a fixed tolerance, finds a difference.

    Real numbers are standard normal, and ids are uniform; with `knows_pixels`, images are uniform in [0, 255].
    """
    import tensorflow as tf

    rng = np.random.default_rng(0)
    inputs = {
        name: (rng.integers(0, ids, (1, *shape)) if ids else rng.standard_normal((1, *shape))).astype(dtype)
        for name, (dtype, shape, ids) in conversion.inputs.items()
    }
    if knows_pixels and "image" in inputs:
        inputs["image"] = rng.uniform(0, 255, inputs["image"].shape).astype(np.float32)
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
            "fixed_pixels": fixed_tolerance(conversion, model, path, knows_pixels=True),
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
    """Return the page: the shares, the table of bugs, those that `export certify` misses, and false alarms."""
    rows = [(model, bug, row) for model, found in results["models"].items() for bug, row in found.items()]
    bugs = [(model, bug, row) for model, bug, row in rows if bug != "right"]
    counts = {name: sum(is_found(row, name) for *_, row in bugs) for name in CHECKS}
    alarms = [model for model, bug, row in rows if bug == "right" and any(is_found(row, name) for name in CHECKS)]
    machine = results["machine"]
    lines = [
        "# Bugs of conversions",
        "",
        f"Written by `python -m benchmarks.seeded_bugs`: {len(bugs)} bugs that conversions have, and which check finds "
        f"each. {len(CONVERSIONS)} small Keras models are implemented a second time in TensorFlow operators and "
        "converted to TFLite files or a SavedModel, once right and once with each bug; the reference is the `.keras` "
        "file. The weights are random. The bugs were chosen before any was run, and none was changed afterwards; the "
        "rows of largest contrast that `certify` adds were written after a first run, for `relu_for_relu6`. Measured "
        f"in {results['minutes']:g} minutes on {machine['cores']} cores of {machine['processor']}, {machine['date']}.",
        "",
        "| check | finds | share |",
        "|---|---:|---:|",
        *(
            f"| {title} | {counts[name]} of {len(bugs)} | {counts[name] / len(bugs):.1%} |"
            for name, title in CHECKS.items()
        ),
        "",
        f"Of the {len(results['models'])} right conversions, {len(alarms)} "
        f"{'is' if len(alarms) == 1 else 'are'} found different by any check"
        f"{': ' + ', '.join(alarms) if alarms else ''}.",
        "",
        "The fixed tolerance is `np.testing.assert_allclose(candidate, reference, rtol=0, atol=1e-3)` on one random "
        "input of one row, as scripts of conversion commonly have it: real numbers are standard normal, and ids "
        "uniform. The last check gives it what it cannot know of itself, the range of pixels.",
        "",
        "| model | bug | what is wrong | " + " | ".join(SHORT.values()) + " |",
        "|---|---|---|" + "---|" * len(SHORT),
        *(
            f"| {model} | `{bug}` | {CONVERSIONS[model].bugs[bug]} | "
            + " | ".join(_cell(row, name) for name in SHORT)
            + " |"
            for model, bug, row in bugs
        ),
        "",
        "## What `export certify` misses, and why",
        "",
    ]
    missed = [(model, bug) for model, bug, row in bugs if not is_found(row, "certify")]
    lines += [f"- {model}, `{bug}`: {MISSED[bug]}" for model, bug in missed] or ["Nothing."]
    return "\n".join([*lines, ""])


def _cell(row: Mapping[str, Any], name: str) -> str:
    verdict = row[name] if isinstance(row[name], str) else "different" if row[name] else "same"
    return f"**{verdict}**" if is_found(row, name) else verdict


def is_found(row: Mapping[str, Any], check: str) -> bool:
    """Return whether a check finds a difference: any verdict but that the two are the same."""
    return row[check] if isinstance(row[check], bool) else not row[check].startswith("same")


@click.command("seeded_bugs")
@click.option("--measure", "measures", is_flag=True, help="Measure first; ten minutes.")
@shell.common_options
def main(measures: bool, console: Console) -> None:
    """Write docs/concepts/conversion_bugs.md."""
    results = measure(console) if measures else json.loads(RESULTS.read_text())
    write_atomic(PAGE, text(results))
    console.print(f"written: {PAGE}")


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.seeded_bugs")
