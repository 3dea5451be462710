"""Long modules first, so that two processes end together; `--quick` runs only tests that were short when they last ran.

The record of times is in pytest's cache.
"""

from pathlib import Path

import pytest

from tests import timeline

HERE = Path(__file__).parent
LONGEST = (  # modules of more than 40 s, the longest first; for pytest-xdist with --no-loadscope-reorder
    *("zoo/models/test_every_model", "test_notebooks", "course/test_pages", "test_examples"),
    *("export/artifacts/test_compare", "zoo/search/test_search", "zoo/training/test_every_setting"),
    *("zoo/prediction/test_batch", "zoo/distribution/test_workers", "zoo/distribution/test_ray", "zoo/test_cli"),
    *("zoo/training/test_resume", "zoo/models/test_gan", "zoo/core/test_recipes", "zoo/training/test_transfer"),
)
SHORT = 0.5  # seconds
SHARED = {"trained", "bundles"}  # fixtures that take long for whoever needs them first
RECORD = "tests/seconds"
_seconds: dict[str, dict[str, float]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help=f"run the tests that last took less than {SHORT} s")
    parser.addoption("--timeline", metavar="FILE", help="write a picture of what each process ran when (PNG)")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds.setdefault(report.nodeid, {})[report.when] = round(report.duration, 2)
    timeline.record(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and _seconds:
        session.config.cache.set(RECORD, session.config.cache.get(RECORD, {}) | _seconds)
        if file := session.config.getoption("timeline"):
            timeline.draw(Path(file))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    order = {HERE / f"{name}.py": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
    if not config.getoption("quick"):
        return
    seconds = config.cache.get(RECORD, {})
    if not seconds:
        raise pytest.UsageError("--quick knows no test's time yet: run `make test` once")
    long = {name for name, phases in seconds.items() if sum(phases.values()) > SHORT}
    slow_setup = {name.split("::")[0] for name, phases in seconds.items() if phases.get("setup", 0) > SHORT}

    def is_short(item: pytest.Item) -> bool:
        return not (item.nodeid in long or item.location[0] in slow_setup or SHARED & set(item.fixturenames))

    config.hook.pytest_deselected(items=[item for item in items if not is_short(item)])
    items[:] = [item for item in items if is_short(item)]
