"""What tests cost: when each process ran which module (`--timeline FILE.png`), and CPU seconds (`--cpu FILE.json`).

CPU seconds are of the process of a test and of all processes below it, as the kernel counts them: other work on the
machine does not change them much.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

NAMED = 30.0  # seconds: modules that ran longer are named in the picture
START = pytest.StashKey[float]()
_seconds: dict[str, list[float]] = {}  # by test: CPU, wall
_intervals: dict[str, list[tuple[float, float, str]]] = {}  # by process: start, stop, module


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--timeline", type=Path, metavar="FILE", help="draw what each process ran when (PNG)")
    parser.addoption("--cpu", type=Path, metavar="FILE", help="write CPU seconds and wall seconds by test (JSON)")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (file := session.config.getoption("timeline")) and _intervals:
        draw(file)
    if (file := session.config.getoption("cpu")) and not hasattr(session.config, "workerinput"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({name: [round(s, 2) for s in both] for name, both in _seconds.items()}, indent=0))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.config.getoption("cpu") is not None:
        item.stash[START] = cpu_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "teardown" and item.config.getoption("cpu") is not None:
        report.user_properties.append(("cpu", cpu_seconds() - item.stash[START]))
    return report


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of all processes below it, those that have ended included."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])  # user, system, and both of children that have ended
    return total


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    cpu = dict(report.user_properties).get("cpu", 0.0) if report.when == "teardown" else 0.0
    seconds = _seconds.setdefault(report.nodeid, [0.0, 0.0])
    _seconds[report.nodeid] = [seconds[0] + cpu, seconds[1] + report.duration]
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
