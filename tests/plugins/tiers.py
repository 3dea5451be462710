"""Two tiers: `make test` proves each behaviour once; `make test-all` then runs what that has not passed.

`@pytest.mark.extended` is for tests of `make test-all` alone. What the first tier skips, because it needs more than
`make setup` installs, is run by the second, too. Tests whose subject is that something is *not* installed are marked
`both`.
"""

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import pytest

_passed: set[str] = set()


def first(values: Iterable[Any], count: int = 1) -> list[Any]:
    """Return parameters of a test, of which those behind the first `count` are for `make test-all`.

    Example:
        >>> first(["a", "b"])[0], first(["a", "b"])[1].values
        ('a', ('b',))
    """
    values = list(values)
    return only(values, values[:count])


def only(values: Iterable[Any], kept: Container[Any], proof: Container[Any] = ()) -> list[Any]:
    """Return parameters of a test, of which those that are not in `kept` are marked `proof` or else `extended`."""
    marks = {True: pytest.mark.proof, False: pytest.mark.extended}
    return [value if value in kept else pytest.param(value, marks=marks[value in proof]) for value in values]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tiers")
    group.addoption("--passed", type=Path, metavar="FILE", help="write the names of the tests that passed")
    group.addoption("--after", type=Path, metavar="FILE", help="leave out what passed in another run (--passed)")
    group.addoption("--complete", action="store_true", help="everything is meant to be installed: a skip is an error")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (file := config.getoption("after")) is None:
        return
    if not file.is_file():
        raise pytest.UsageError(f"{file}: run `make test` first, which writes the names of the tests that pass")
    passed = set(file.read_text().splitlines())
    done = [item for item in items if item.nodeid in passed and item.get_closest_marker("both") is None]
    config.hook.pytest_deselected(items=done)
    items[:] = [item for item in items if item not in set(done)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _passed.add(report.nodeid)
    elif report.failed:
        _passed.discard(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    file = session.config.getoption("passed")
    if file and not hasattr(session.config, "workerinput"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{name}\n" for name in sorted(_passed)))
