"""A benchmark, its candidates, and the interleaved runs: A B A B, each in a fresh process."""

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
from zoobase.errors import ZooError
from zoobase.files import cache_root

HERE = Path(__file__).parent
PEER_VENV = HERE.parent / ".venv-peers"  # for packages that may conflict with those of this project
TORCH = ("torch>=2.9", "numpy")  # requirements of candidates of PyTorch
NEVER = "never"  # an infinite cost in results.json: the target was not reached


def with_block(page: str, marks: tuple[str, str], block: str) -> str:
    """Return the text of a page with another block between two marks, each of which is on a line of its own."""
    start, end = marks
    head, rest = page.split(start)
    return f"{head}{start}\n{block}\n{end}{rest.split(end, 1)[1]}"


@dataclass(frozen=True)
class Candidate:
    """One script of a benchmark.

    Attributes:
        name: Display name.
        script: Path below `benchmarks/`.
        arguments: Arguments of the script.
        requirements: Additional packages, which are installed in a separate virtual environment.
        missing: Reason why it cannot run on this machine; empty if it can.
        environment: Environment variables. Our own oneDNN setting is not passed on: an alternative runs with its
            defaults.
        rounds: Largest number of runs; 0 is that of the benchmark.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    missing: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    rounds: int = 0


@dataclass(frozen=True)
class Goal:
    """A target: `ours` must be at least `ratio` times as good as `peer`.

    Attributes:
        ours: Name of a candidate.
        peer: Name of the candidate to compare with.
        ratio: For a cost, 2 is half of it; 0 is report only.
        of: Name of the additional number that is compared, a cost; empty for the value itself.
    """

    ours: str
    peer: str
    ratio: float
    of: str = ""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Attributes:
        title: Heading of its table.
        unit: Unit of the values.
        higher_is_better: Whether the values are speeds; else they are costs.
        candidates: The candidates in the order in which they run.
        goals: The targets.
        rounds: Number of runs of each candidate.
        quick: Whether `make bench` includes it; `make bench-full` runs all.
        prepare: Script below `benchmarks/` that runs once before; it writes data to $BENCHMARK_DATA.
        growth: Name of the quantity that grows from candidate to candidate, which they report as "size"; else empty.
    """

    title: str
    unit: str
    higher_is_better: bool
    candidates: tuple[Candidate, ...]
    goals: tuple[Goal, ...] = ()
    rounds: int = 3
    quick: bool = True
    prepare: str = ""
    growth: str = ""


@dataclass
class Score:
    """The results of a candidate.

    Attributes:
        values: One value per round; infinite if the target was not reached.
        extra: Medians of the additional numbers.
        not_run: Reason why it did not run; empty if it did.
    """

    values: list[float] = field(default_factory=list)
    extra: dict[str, float | str] = field(default_factory=dict)
    not_run: str = ""

    @property
    def median(self) -> float | None:
        """The median value; None if the candidate did not run."""
        return statistics.median(self.values) if self.values else None

    def figure(self, name: str) -> float | None:
        """Return the median, or an additional number by name; None if there is none."""
        value = self.extra.get(name) if name else self.median
        return value if isinstance(value, int | float) else None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of results.json."""
        return {"values": self.values, "beside": self.extra, "not_run": self.not_run, "median": self.median}


def measure(
    benchmark: Benchmark, report: Callable[[str], Any], save: Callable[[int, dict[str, Score]], Any]
) -> dict[str, Score]:
    """Run every candidate `benchmark.rounds` times, or its own `rounds`, interleaved; return their scores by name.

    After each round `save` is called with its number and the scores so far, so that an interrupted benchmark keeps
    them.
    """
    if benchmark.prepare:
        process = _start(sys.executable, benchmark.prepare)
        if process.returncode != 0:
            raise ZooError(f"{benchmark.prepare} failed: {_last_line(process.stderr)}")
    scores = {c.name: Score(not_run=c.missing) for c in benchmark.candidates}
    extra: dict[str, list[dict[str, float | str]]] = {c.name: [] for c in benchmark.candidates}
    for turn in range(benchmark.rounds):
        for candidate in benchmark.candidates:
            score = scores[candidate.name]
            if score.not_run or (candidate.rounds and turn >= candidate.rounds):
                continue
            result = _run(candidate, turn)
            if "value" in result:
                score.values.append(float(result["value"]))
                extra[candidate.name].append({k: v for k, v in result.items() if k != "value"})
                score.extra = _medians(extra[candidate.name])
                report(f"  {turn + 1}/{benchmark.rounds}  {candidate.name}: {result['value']:.4g} {benchmark.unit}")
            else:
                score.not_run = result["not_run"]
                report(f"  {candidate.name}: not run: {score.not_run}")
        save(turn + 1, scores)
    return scores


def achieved_ratio(goal: Goal, benchmark: Benchmark, scores: dict[str, Score]) -> float | None:
    """Return the achieved ratio of a target, by medians; None if one of the two candidates has no value."""
    ours, peer = scores[goal.ours].figure(goal.of), scores[goal.peer].figure(goal.of)
    if ours is None or peer is None or ours == peer == math.inf:
        return None
    return ours / peer if benchmark.higher_is_better and not goal.of else peer / ours


def _medians(rounds: list[dict[str, float | str]]) -> dict[str, float | str]:
    """Return the median of each number over the rounds, and the last value of what is not a number."""
    last = rounds[-1]
    return {k: v if isinstance(v, str) else statistics.median([r[k] for r in rounds]) for k, v in last.items()}


def _run(candidate: Candidate, turn: int) -> dict[str, Any]:
    try:
        python = peer_python(candidate.requirements)
    except subprocess.CalledProcessError:
        return {"not_run": f"pip could not install {', '.join(candidate.requirements)}"}
    process = _start(python, candidate.script, *candidate.arguments, turn=turn, environment=candidate.environment)
    if process.returncode != 0 or not process.stdout.strip():
        return {"not_run": f"exit code {process.returncode}: {_last_line(process.stderr)}"}
    return json.loads(_last_line(process.stdout))


def _start(
    python: str, script: str, *arguments: str, turn: int = 0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {
        **{k: v for k, v in os.environ.items() if k != onednn.VARIABLE},
        **(environment or {}),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(HERE.parent),
        "BENCHMARK_DATA": str(cache_root() / "benchmarks"),
        "BENCHMARK_TURN": str(turn),  # used as the seed
        "BENCHMARK_STARTED": str(time.time()),  # for the cold start time
    }
    command = [python, str(HERE / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE.parent)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]


def peer_python(requirements: tuple[str, ...]) -> str:
    """Return the Python of the environment of peers, with these packages installed; this one if there are none."""
    if not requirements:
        return sys.executable
    python = PEER_VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER_VENV)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
    return str(python)
