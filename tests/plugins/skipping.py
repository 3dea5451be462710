"""Skipped tests are errors where everything is installed (`--complete`); in CI only what is missing may be skipped."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.plugins import needs

ALLOWED = {  # part of the reason of a skip -> why CI cannot run such a test
    "tensorflow_model_server": "no package registry has TF Serving's binary; TENSORFLOW_MODEL_SERVER may name one"
}
HINT = "make test-all installs what they need, as far as the package registries have it, and runs them"
_complete = False


def pytest_configure(config: pytest.Config) -> None:
    global _complete
    _complete = config.getoption("complete")


def is_error(reason: str) -> bool:
    """Return whether a skip for this reason is an error here."""
    if any(part in reason for part in ALLOWED):
        return False
    return _complete or (bool(os.environ.get("CI")) and needs.PREFIX not in reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    return _failed_if_skipped((yield))


def _failed_if_skipped(report: Any) -> Any:
    """Return a report as failed, if it is of a skip that is an error here."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if report.skipped and not hasattr(report, "wasxfail") and is_error(reason):
        report.outcome, report.longrepr = "failed", f"a skip is an error here: {reason}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if count := len(terminalreporter.stats.get("skipped", ())):
        terminalreporter.write_line(f"{count} tests were skipped; {HINT}")
