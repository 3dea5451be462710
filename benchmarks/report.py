"""Reports: results.json, RESULTS.md, figures, and the table of docs/benchmarks.md."""

import datetime
import importlib.metadata
import json
import math
import os
import re
from typing import Any

from benchmarks.benchmark import HERE, NEVER, Benchmark, Score, achieved_ratio
from benchmarks.plots import draw
from docs.figures import check_axes, figure
from export.runtime import onednn
from zoo.core.run_folder import git_revision
from zoo.evaluation import plots
from zoobase.files import write_atomic

IMAGES = HERE.parent / "docs" / "benchmarks"
PAGE = HERE.parent / "docs" / "benchmarks.md"
BLOCK = re.compile(r"(<!-- benchmarks:[^\n]*\n).*(<!-- /benchmarks -->)", re.DOTALL)
LOAD = os.getloadavg()[0]  # before the benchmarks start
VERSIONS = ("tensorflow", "keras", "numpy", "ai-edge-litert")

SENTENCES = (  # benchmark, number of its ratio, what it says
    (
        "training",
        1,
        "A small CNN trains {ratio} times as fast as the same network in PyTorch, channels last, in float32.",
    ),
    ("training", 0, "It trains {ratio} times as fast as by Keras' `fit` in float32."),
    ("training", 5, "In bfloat16 it is {ratio} times as fast as Keras' `fit`."),
    (
        "time_to_accuracy",
        1,
        "It has 92 % on Fashion-MNIST {ratio} times as soon as PyTorch's tutorial, which has another network.",
    ),
    ("image_feed", 0, "A folder of JPEGs is read {ratio} times as fast as by `image_dataset_from_directory`."),
    ("frozen_features", 1, "An epoch on features computed once is {ratio} times as fast as through the backbone."),
    (
        "export_and_proof",
        2,
        "Export and proof of MobileNetV2 run at {ratio} of the speed of Keras' export and a reload.",
    ),
    ("word_vectors", 1, "Word vectors train at {ratio} of the speed of gensim, by CPU seconds."),
)


def machine() -> dict[str, Any]:
    """Return the properties of the machine and the software that affect the results."""
    from zoo.training.autotune import (
        has_bfloat16,
        processor,  # starts TensorFlow
    )

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "bfloat16": has_bfloat16(),
        **onednn.describe(),
        "load": round(LOAD, 1),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "git": git_revision(),
        "date": datetime.date.today().isoformat(),
    }


def save(name: str, benchmark: Benchmark, rounds: int, scores: dict[str, Score]) -> None:
    """Write the scores of one benchmark to results.json, RESULTS.md, its figure and docs/benchmarks.md."""
    path = HERE / "results.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    result = {
        "title": benchmark.title,
        "unit": benchmark.unit,
        "higher_is_better": benchmark.higher_is_better,
        "rounds": rounds,
        "growth": benchmark.growth,
        "contenders": {name: score.to_json() for name, score in scores.items()},
        "goals": [
            {
                "ours": goal.ours,
                "peer": goal.peer,
                "of": goal.of,
                "to_reach": goal.ratio,
                "reached": achieved_ratio(goal, benchmark, scores),
            }
            for goal in benchmark.goals
        ],
        "machine": machine(),
    }
    results[name] = _json_numbers(result)
    write_atomic(path, json.dumps(results, indent=2, allow_nan=False) + "\n")
    write_atomic(HERE / "RESULTS.md", markdown(results))
    write_atomic(PAGE, BLOCK.sub(lambda block: block[1] + table(results) + block[2], PAGE.read_text()))
    drawn = draw(results[name])
    check_axes(drawn, name)
    plots.save(drawn, IMAGES / f"{name}.png")


def _json_numbers(value: Any) -> Any:
    """Return the value with infinite numbers replaced by NEVER, because JSON has none."""
    if isinstance(value, dict):
        return {name: _json_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json_numbers(inner) for inner in value]
    return NEVER if value == math.inf else value


def table(results: dict[str, Any]) -> str:
    """Return the block of docs/benchmarks.md: a row per target, and the figures in pairs."""
    lines = ["| benchmark | comparison | target | ratio | measured on |", "|---|---|---:|---:|---|"]
    for name, result in sorted(results.items()):
        here = result["machine"]
        where = f"{here['processor'].split(' (')[0]}{_instruction_set(here)}, load {here.get('load', 0):g}"
        lines += [
            f"| `{name}` | {_comparison(goal)} | {_target(goal)} | {_ratio(goal)} | {where} |"
            for goal in result["goals"]
        ]
    images = [_figure(f"benchmarks/{name}.png", name, result, cell=True) for name, result in sorted(results.items())]
    pairs = [f"| {' | '.join(images[i : i + 2])} |" for i in range(0, len(images), 2)]
    return "\n".join([*lines, "", "| | |", "|---|---|", *pairs, ""])


def _figure(path: str, name: str, result: dict[str, Any], cell: bool = False) -> str:
    axes = f"{result['unit']} by number of {result['growth']}" if result["growth"] else result["unit"]
    return figure(path, f"{result['title']}: {axes} of each candidate", f"`python -m benchmarks {name}`.", cell)


def summary(results: dict[str, Any]) -> str:
    """Return the block of docs/benchmarks.md that says the most important ratios in ten sentences."""
    lines = []
    for name, number, sentence in SENTENCES:
        if name in results and number < len(results[name]["goals"]):
            ratio = results[name]["goals"][number]["reached"]
            if isinstance(ratio, int | float) and ratio != NEVER:
                shown = f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
                lines.append(f"- {sentence.format(ratio=shown)} (`{name}`)")
    return "\n".join(lines) + "\n"


def _comparison(goal: dict[str, Any]) -> str:
    return f"{goal['ours']} against {goal['peer']}" + (f": {goal['of']}" if goal.get("of") else "")


def _target(goal: dict[str, Any]) -> str:
    return f"{goal['to_reach']:.3g}" if goal["to_reach"] else "report only"


def _ratio(goal: dict[str, Any]) -> str:
    ratio = goal["reached"]
    if ratio is None:
        return "no value"
    if ratio == NEVER:
        return "target not reached by the peer"
    if ratio < goal["to_reach"]:
        return f"**{ratio:.2f}, missed**"
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}"


def markdown(results: dict[str, Any]) -> str:
    """Return all results as tables."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` and `make bench-full` write this file; each result is from one machine.",
        "",
    ]
    for name, result in sorted(results.items()):
        here = result["machine"]
        order = "higher is better" if result["higher_is_better"] else "lower is better"
        where = f"{here['cores']} cores of {here['processor']}{_instruction_set(here)}, {here['date']}{_load(here)}"
        lines += [f"## {result['title']}", "", f"`python -m benchmarks {name}`, {result['unit']}, {order}; medians of "]
        lines[-1] += f"{result['rounds']} interleaved rounds, {where}."
        lines += ["", f"| candidate | {result['unit']} | range, and other measurements |", "|---|---:|---:|"]
        for candidate, score in result["contenders"].items():
            lines.append(f"| {candidate} | {_value(score)} | {_details(score)} |")
        lines += [line for goal in result["goals"] for line in ("", _outcome(goal))]
        lines += ["", _figure(f"../docs/benchmarks/{name}.png", name, result)]
        lines.append("")
    return "\n".join(lines)


def _instruction_set(machine: dict[str, Any]) -> str:
    """Return the instruction set and whether our candidates used oneDNN; empty for older results."""
    if "onednn" not in machine:
        return ""
    return f" with {machine['instruction_set']}, oneDNN {'on' if machine['onednn'] else 'off'}"


def _load(machine: dict[str, Any]) -> str:
    load = machine.get("load", 0)
    return f"; under other load (load average {load:g} at the start): only ratios are meaningful" if load > 0.5 else ""


def _outcome(goal: dict[str, Any]) -> str:
    return f"{_comparison(goal)}: {_ratio(goal)}" + (f" (target {_target(goal)})." if goal["to_reach"] else ".")


def _value(score: dict[str, Any]) -> str:
    return f"not run: {score['not_run']}" if score["median"] is None else _number(score["median"])


def _details(score: dict[str, Any]) -> str:
    values = sorted(score["values"], key=lambda value: math.inf if value == NEVER else value)
    details = [f"{_number(values[0])} to {_number(values[-1])}"] if len(values) > 1 else []
    return ", ".join(details + [f"{name} {_number(value)}" for name, value in score.get("beside", {}).items()])


def _number(value: float | str) -> str:
    if value == NEVER:
        return "not reached"
    return value if isinstance(value, str) else f"{value:,.4g}"
