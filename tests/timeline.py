"""A picture of when each process of the tests ran which module: `python -m pytest -n 2 ... --timeline FILE.png`."""

from __future__ import annotations

from pathlib import Path

import pytest

NAMED = 30.0  # seconds: modules that ran longer are named in the picture
_intervals: dict[str, list[tuple[float, float, str]]] = {}  # by process: start, stop, module


def record(report: pytest.TestReport) -> None:
    """Keep when a phase of a test ran, and in which process."""
    worker = getattr(getattr(report, "node", None), "gateway", None)
    _intervals.setdefault(worker.id if worker else "main", []).append(
        (report.start, report.stop, report.nodeid.partition("::")[0].removeprefix("tests/"))
    )


def _modules(intervals: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Return one interval for each run of tests of one module in succession."""
    joined: list[tuple[float, float, str]] = []
    for start, stop, module in sorted(intervals):
        if joined and joined[-1][2] == module:
            joined[-1] = joined[-1][0], stop, module
        else:
            joined.append((start, stop, module))
    return joined


def draw(path: Path) -> None:
    """Write the picture of all tests that have run."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    begin = min(start for intervals in _intervals.values() for start, _, _ in intervals)
    figure, axes = pyplot.subplots(figsize=(24, 2 + 2 * len(_intervals)), layout="constrained")
    for row, (_, intervals) in enumerate(sorted(_intervals.items())):
        modules = _modules(intervals)
        bars = [((start - begin) / 60, (stop - start) / 60) for start, stop, _ in modules]
        axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=[f"C{n % 10}" for n in range(len(bars))])
        for start, stop, module in modules:
            if stop - start > NAMED:
                axes.text((start - begin) / 60, row, f" {Path(module).stem} {stop - start:.0f} s", rotation=60, size=7)
    axes.set(yticks=range(len(_intervals)), yticklabels=sorted(_intervals), xlabel="minutes")
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
