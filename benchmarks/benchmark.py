"""One piece of work, its contenders, and how they are run in turn: A B A B, each time in a fresh process."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.runtime import onednn
from pipelines.sources.storage import cache_root
from zoo.core.errors import ZooError

HERE = Path(__file__).parent
PEER_VENV = HERE.parent / ".venv-peers"  # what would disturb our own packages is installed here
NEVER = "never"  # an infinite cost, in files


@dataclass(frozen=True)
class Contender:
    """Who does the work.

    Attributes:
        name: As tables show it.
        script: Below `benchmarks/`.
        arguments: Of the script.
        requirements: Packages that it needs beside ours; they get a venv of their own.
        environment: Variables that it gets. Whether TensorFlow uses oneDNN is left to it otherwise: a peer runs as its
            users have it.
        missing: Why it cannot run here; empty if it can.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    missing: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """`ours` is to be at least `ratio` times as good as `peer`.

    Attributes:
        ours: Name of a contender.
        peer: Name of another.
        ratio: For a cost, 2 is half of it; 0 if it is only to be told.
        of: Which of the numbers beside the value is judged, a cost; empty for the value itself.
    """

    ours: str
    peer: str
    ratio: float
    of: str = ""


@dataclass(frozen=True)
class Work:
    """What is done, in which unit it is counted, and who does it.

    Attributes:
        title: Heading of its table.
        unit: Of the values.
        higher_is_better: Whether the values are speeds; else they are costs.
        contenders: In the order in which they run.
        goals: What is to be reached.
        rounds: How often each contender runs.
        quick: Whether `make bench` runs it, too; `make bench-full` runs all.
        prepare: Script below `benchmarks/` that is run once before; contenders find its data in $BENCHMARK_DATA.
        growth: What grows from contender to contender, whose amount each tells as "size"; empty if nothing does.
    """

    title: str
    unit: str
    higher_is_better: bool
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()
    rounds: int = 3
    quick: bool = True
    prepare: str = ""
    growth: str = ""


@dataclass
class Score:
    """What came of a contender: a value a round (infinite: never), medians of what it said beside them, or why not."""

    values: list[float] = field(default_factory=list)
    beside: dict[str, float | str] = field(default_factory=dict)
    not_run: str = ""

    @property
    def median(self) -> float | None:
        """The middle value; None if it did not run."""
        return statistics.median(self.values) if self.values else None

    def figure(self, name: str) -> float | None:
        """Return the median, or a number beside it by name; None where there is none."""
        found = self.beside.get(name) if name else self.median
        return found if isinstance(found, int | float) else None


def measure(work: Work, say: Callable[[str], Any], keep: Callable[[int, dict[str, Score]], Any]) -> dict[str, Score]:
    """Run every contender `work.rounds` times, in turn; return their scores by name.

    After each round `keep` is given its number and the scores so far: a round may take long, and nothing is to be lost.
    """
    if work.prepare:
        done = _start(sys.executable, work.prepare)
        if done.returncode != 0:
            raise ZooError(f"{work.prepare} failed: {_last(done.stderr)}")
    scores = {c.name: Score(not_run=c.missing) for c in work.contenders}
    beside: dict[str, list[dict[str, float | str]]] = {c.name: [] for c in work.contenders}
    for turn in range(work.rounds):
        for contender in work.contenders:
            score = scores[contender.name]
            if score.not_run:
                continue
            told = _once(contender, turn)
            if "value" in told:
                score.values.append(float(told["value"]))
                beside[contender.name].append({k: v for k, v in told.items() if k != "value"})
                score.beside = _middle(beside[contender.name])
                say(f"  {turn + 1}/{work.rounds}  {contender.name}: {told['value']:.4g} {work.unit}")
            else:
                score.not_run = told["not_run"]
                say(f"  {contender.name}: not run: {score.not_run}")
        keep(turn + 1, scores)
    return scores


def reached(goal: Goal, work: Work, scores: dict[str, Score]) -> float | None:
    """Return how many times as good as the peer we are, by medians; None where one of the two has no figure."""
    ours, peer = scores[goal.ours].figure(goal.of), scores[goal.peer].figure(goal.of)
    if ours is None or peer is None or ours == peer == math.inf:
        return None
    return ours / peer if work.higher_is_better and not goal.of else peer / ours


def _middle(rounds: list[dict[str, float | str]]) -> dict[str, float | str]:
    """Return the median of each number over the rounds, and the last of what is none."""
    last = rounds[-1]
    return {k: v if isinstance(v, str) else statistics.median([r[k] for r in rounds]) for k, v in last.items()}


def _once(contender: Contender, turn: int) -> dict[str, Any]:
    try:
        python = _python(contender.requirements)
    except subprocess.CalledProcessError:
        return {"not_run": f"pip could not install {', '.join(contender.requirements)}"}
    done = _start(python, contender.script, *contender.arguments, turn=turn, environment=contender.environment)
    if done.returncode != 0 or not done.stdout.strip():
        return {"not_run": f"exit code {done.returncode}: {_last(done.stderr)}"}
    return json.loads(_last(done.stdout))


def _start(
    python: str, script: str, *arguments: str, turn: int = 0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {
        **{k: v for k, v in os.environ.items() if k != onednn.VARIABLE},
        **(environment or {}),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(HERE.parent),
        "BENCHMARK_DATA": str(cache_root() / "benchmarks"),
        "BENCHMARK_TURN": str(turn),  # the seed, where a seed matters
        "BENCHMARK_STARTED": str(time.time()),  # for a cold start
    }
    words = [python, str(HERE / script), *arguments]
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=HERE.parent)


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]


def _python(requirements: tuple[str, ...]) -> str:
    if not requirements:
        return sys.executable
    python = PEER_VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER_VENV)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
    return str(python)
