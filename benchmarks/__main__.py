"""python -m benchmarks: us and the peers, in turn, on this machine."""

from __future__ import annotations

import dataclasses
import functools
import importlib

import click

from benchmarks import report
from benchmarks.benchmark import HERE, Work, measure
from commandline import console as shell
from commandline.console import Console
from zoo.core.errors import unknown


def works() -> dict[str, Work]:
    """Return every work by the name of its file."""
    names = sorted(p.stem for p in (HERE / "works").glob("*.py") if p.stem != "__init__")
    return {name: importlib.import_module(f"benchmarks.works.{name}").WORK for name in names}


@click.command("benchmarks")
@click.argument("names", metavar="[WORK]...", nargs=-1)
@click.option("--full", is_flag=True, help="Run the long ones too, and all rounds.")
@click.option("--rounds", type=click.IntRange(1), help="Instead of each work's own; 1 without names and --full.")
@shell.common_options
def main(names: tuple[str, ...], full: bool, rounds: int | None, console: Console) -> None:
    """Measure each WORK (all quick ones, if none is named) and write benchmarks/RESULTS.md and results.json."""

    known = works()
    for name in names:
        if name not in known:
            raise unknown("work", name, known)
    results = {}
    for name, work in known.items():
        if name not in names and (names or not (work.quick or full)):
            continue
        work = dataclasses.replace(work, rounds=rounds or (work.rounds if names or full else 1))
        console.print(f"{name}: {work.title}")
        scores = measure(work, console.print, functools.partial(report.save, name, work))
        results[name] = {contender: score.median for contender, score in scores.items()}
    console.print(f"written: {HERE / 'RESULTS.md'}")
    console.result(results)


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks")
