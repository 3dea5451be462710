"""python -m benchmarks: run this project and the alternatives in turn on this machine."""

import dataclasses
import functools
import importlib

import click

from benchmarks import report
from benchmarks.benchmark import HERE, Benchmark, measure
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import unknown


def all_benchmarks() -> dict[str, Benchmark]:
    """Return every benchmark by the name of its file."""
    names = sorted(p.stem for p in (HERE / "suites").glob("*.py") if p.stem != "__init__")
    return {name: importlib.import_module(f"benchmarks.suites.{name}").BENCHMARK for name in names}


@click.command("benchmarks")
@click.argument("names", metavar="[BENCHMARK]...", nargs=-1)
@click.option("--full", is_flag=True, help="Include the long benchmarks, and run all rounds.")
@click.option("--rounds", type=click.IntRange(1), help="Number of rounds.  [default: 1 without names and --full]")
@shell.common_options
def main(names: tuple[str, ...], full: bool, rounds: int | None, console: Console) -> None:
    """Run each benchmark NAME (by default all quick ones) and write benchmarks/RESULTS.md and results.json."""

    benchmarks = all_benchmarks()
    for name in names:
        if name not in benchmarks:
            raise unknown("benchmark", name, benchmarks)
    results = {}
    for name, benchmark in benchmarks.items():
        if name not in names and (names or not (benchmark.quick or full)):
            continue
        benchmark = dataclasses.replace(benchmark, rounds=rounds or (benchmark.rounds if names or full else 1))
        console.print(f"{name}: {benchmark.title}")
        scores = measure(benchmark, console.print, functools.partial(report.save, name, benchmark))
        results[name] = {candidate: score.median for candidate, score in scores.items()}
    console.print(f"written: {HERE / 'RESULTS.md'}")
    console.result(results)


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks")
