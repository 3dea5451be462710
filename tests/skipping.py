"""Skipped tests are errors in CI, but for those below; elsewhere one line says how to have them run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

ALLOWED = {  # part of the reason of a skip -> why CI cannot run such a test
    "tensorflow_model_server": "no package registry has TF Serving's binary; TENSORFLOW_MODEL_SERVER may name one",
}
HINT = "make setup-all installs what they need, as far as the package registries have it"


def is_error(reason: str) -> bool:
    """Return whether a skip for this reason is an error here."""
    return bool(os.environ.get("CI")) and not any(part in reason for part in ALLOWED)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and is_error(_reason(report)):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    if report.skipped and is_error(_reason(report)):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if count := len(terminalreporter.stats.get("skipped", ())):
        terminalreporter.write_line(f"{count} tests were skipped; {HINT}")
