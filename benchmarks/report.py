"""What the measurements say: results.json for programs; RESULTS.md, pictures and a table in the README for people."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import re
from typing import Any

from benchmarks.benchmark import HERE, NEVER, Score, Work, reached
from benchmarks.plots import draw
from export.runtime import onednn
from pipelines.sources.storage import write_atomic
from zoo.core.run_folder import git_revision
from zoo.evaluation import plots

PICTURES = HERE.parent / "docs" / "benchmarks"
README = HERE.parent / "README.md"
BLOCK = re.compile(r"(<!-- benchmarks:[^\n]*\n).*(<!-- /benchmarks -->)", re.DOTALL)
LOAD = os.getloadavg()[0]  # before anything of ours runs
VERSIONS = ("tensorflow", "keras", "numpy", "ai-edge-litert")


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
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


def save(name: str, work: Work, rounds: int, scores: dict[str, Score]) -> None:
    """Keep the scores of one work after some rounds: results.json, RESULTS.md, its picture, the README's block."""
    path = HERE / "results.json"
    held = json.loads(path.read_text()) if path.is_file() else {}
    found = {
        "title": work.title,
        "unit": work.unit,
        "higher_is_better": work.higher_is_better,
        "rounds": rounds,
        "growth": work.growth,
        "contenders": {k: {**dataclasses.asdict(s), "median": s.median} for k, s in scores.items()},
        "goals": [
            {"ours": g.ours, "peer": g.peer, "of": g.of, "to_reach": g.ratio, "reached": reached(g, work, scores)}
            for g in work.goals
        ],
        "machine": machine(),
    }
    held[name] = _plain(found)
    write_atomic(path, json.dumps(held, indent=2, allow_nan=False) + "\n")
    write_atomic(HERE / "RESULTS.md", markdown(held))
    write_atomic(README, BLOCK.sub(lambda block: block[1] + table(held) + block[2], README.read_text()))
    plots.save(draw(held[name]), PICTURES / f"{name}.png")


def _plain(told: Any) -> Any:
    """Return it with NEVER for what is infinite, which JSON does not know."""
    if isinstance(told, dict):
        return {name: _plain(value) for name, value in told.items()}
    if isinstance(told, list):
        return [_plain(value) for value in told]
    return NEVER if told == math.inf else told


def table(results: dict[str, Any]) -> str:
    """Return what the README shows: a row a goal, and the pictures in pairs."""
    lines = ["| work | who, and against whom | to reach | reached | measured on |", "|---|---|---:|---:|---|"]
    for name, work in sorted(results.items()):
        here = work["machine"]
        where = f"{here['processor'].split(' (')[0]}{_instructions(here)}, load {here.get('load', 0):g}"
        lines += [f"| `{name}` | {_pair(goal)} | {_aim(goal)} | {_times(goal)} | {where} |" for goal in work["goals"]]
    pictures = [f"![{name}](docs/benchmarks/{name}.png)" for name in sorted(results)]
    pairs = [f"| {' | '.join(pictures[i : i + 2])} |" for i in range(0, len(pictures), 2)]
    return "\n".join([*lines, "", "| | |", "|---|---|", *pairs, ""])


def _pair(goal: dict[str, Any]) -> str:
    return f"{goal['ours']} against {goal['peer']}" + (f": {goal['of']}" if goal.get("of") else "")


def _aim(goal: dict[str, Any]) -> str:
    return f"{goal['to_reach']:.3g}" if goal["to_reach"] else "tell"


def _times(goal: dict[str, Any]) -> str:
    found = goal["reached"]
    if found is None:
        return "no figure"
    if found == NEVER:
        return "the peer never did"
    return (
        f"{found:,.0f}" if found >= 100 else f"{found:.2f}" if found >= goal["to_reach"] else f"**{found:.2f}, missed**"
    )


def markdown(results: dict[str, Any]) -> str:
    """Return all results as tables."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` and `make bench-full` write this file; every figure is of one machine.",
        "",
    ]
    for name, work in sorted(results.items()):
        here = work["machine"]
        what = "higher is better" if work["higher_is_better"] else "lower is better"
        where = f"{here['cores']} cores of {here['processor']}{_instructions(here)}, {here['date']}{_shared(here)}"
        lines += [f"## {work['title']}", "", f"`python -m benchmarks {name}`, {work['unit']}, {what}; medians of "]
        lines[-1] += f"{work['rounds']} rounds in turn, {where}."
        lines += ["", f"| contender | {work['unit']} | spread, and what else was told |", "|---|---:|---:|"]
        for contender, score in work["contenders"].items():
            lines.append(f"| {contender} | {_value(score)} | {_spread(score)} |")
        lines += [line for goal in work["goals"] for line in ("", _judged(goal))]
        lines += ["", f"![{name}](../docs/benchmarks/{name}.png)"]
        lines.append("")
    return "\n".join(lines)


def _instructions(machine: dict[str, Any]) -> str:
    """Return which instruction set was there and whether our side used oneDNN; nothing for older results."""
    if "onednn" not in machine:
        return ""
    return f" with {machine['instruction_set']}, oneDNN {'on' if machine['onednn'] else 'off'}"


def _shared(machine: dict[str, Any]) -> str:
    load = machine.get("load", 0)
    return f"; other work was running (load {load:g} before this began): trust ratios only" if load > 0.5 else ""


def _judged(goal: dict[str, Any]) -> str:
    return f"{_pair(goal)}: {_times(goal)}" + (f" (to reach {_aim(goal)})." if goal["to_reach"] else ".")


def _value(score: dict[str, Any]) -> str:
    return f"not run: {score['not_run']}" if score["median"] is None else _number(score["median"])


def _spread(score: dict[str, Any]) -> str:
    values = sorted(score["values"], key=lambda value: math.inf if value == NEVER else value)
    told = [f"{_number(values[0])} to {_number(values[-1])}"] if len(values) > 1 else []
    return ", ".join(told + [f"{name} {_number(value)}" for name, value in score.get("beside", {}).items()])


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.4g}"
