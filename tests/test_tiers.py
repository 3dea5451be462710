"""What is skipped, where that is an error, and which tests each tier runs."""

import pytest

from tests.plugins import needs, skipping

MODULE = """
import pytest
from tests.plugins.needs import require

@pytest.mark.needs("absent")
def test_needs():
    pass

@pytest.fixture
def tool():
    require("absent")

def test_needs_by_a_fixture(tool):
    pass

def test_skips():
    pytest.skip(REASON)

@pytest.mark.extended
def test_extended():
    pass

@pytest.mark.both
def test_both():
    pass

def test_passes():
    pass
"""


@pytest.fixture
def session(pytester, monkeypatch):
    """Return a function that runs the module above and returns its result."""
    plugins = [f"tests.plugins.{name}" for name in ("needs", "skipping", "tiers")]
    pytester.makeconftest(f"pytest_plugins = {plugins}")
    pytester.makeini("[pytest]\nmarkers =\n    needs: x\n    extended: x\n    both: x\naddopts = -m 'not extended'")
    missing = needs.missing
    monkeypatch.setattr(needs, "missing", lambda name: "make it" if name == "absent" else missing(name))
    monkeypatch.delenv("CI", raising=False)

    def run(*arguments, reason="no network", text=MODULE):
        pytester.makepyfile(text.replace("REASON", repr(reason)))
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rs", *arguments)

    return run


def test_what_is_missing_is_skipped_with_the_command_that_installs_it(session):
    result = session()
    result.assert_outcomes(passed=2, skipped=3, deselected=1)
    result.stdout.fnmatch_lines_random(["*needs absent: make it*", f"3 tests were skipped; {skipping.HINT}"])


def test_in_ci_only_what_is_missing_may_be_skipped(session, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result = session()
    result.assert_outcomes(passed=2, skipped=2, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*a skip is an error here: *no network*"])


def test_where_everything_is_installed_a_skip_is_an_error(session):
    session("--complete").assert_outcomes(passed=2, failed=1, errors=2, deselected=1)
    for reason in skipping.ALLOWED:
        session("--complete", reason=f"no {reason} here").assert_outcomes(passed=2, skipped=1, errors=2, deselected=1)


def test_a_module_that_is_skipped_is_an_error_in_ci(session, monkeypatch):
    monkeypatch.setenv("CI", "true")
    session(text="import pytest\npytest.importorskip('no_such_module')").assert_outcomes(errors=1)


def test_the_second_tier_leaves_out_what_passed_in_the_first(session, monkeypatch):
    session("--passed", "passed.txt")
    result = session("--after", "passed.txt", "-m", "")
    result.assert_outcomes(passed=2, skipped=3, deselected=1)  # test_extended and test_both; not test_passes
    assert session("--after", "none.txt").ret == pytest.ExitCode.USAGE_ERROR


def test_needs_are_extras_environments_and_programs():
    assert needs.missing("test") is None
    assert needs.missing("node") in (None, "apt-get install nodejs")
    with pytest.raises(pytest.UsageError, match="unknown need 'onxn'; did you mean onnx"):
        needs.missing("onxn")
