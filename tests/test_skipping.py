"""In CI a skipped test is an error, unless its reason is one of the list."""

import pytest

from tests import skipping

FILE = """
import pytest

def test_skips():
    pytest.skip(REASON)

@pytest.mark.skipif(True, reason=REASON)
def test_is_marked():
    pass

def test_passes():
    pass
"""


@pytest.fixture
def outcomes(pytester):
    def run(reason, module=""):
        pytester.makeconftest("from tests.skipping import *")
        pytester.makepyfile(f"{module}\n{FILE}".replace("REASON", repr(reason)))
        return pytester.runpytest_inprocess("-p", "no:cacheprovider")

    return run


def test_a_skip_is_an_error_in_ci(outcomes, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result = outcomes("no Chromium is installed")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*skipped in CI: *no Chromium is installed*"])
    for reason in skipping.ALLOWED:
        outcomes(f"no {reason} here").assert_outcomes(passed=1, skipped=2)


def test_a_module_that_is_skipped_is_an_error_in_ci(outcomes, monkeypatch):
    monkeypatch.setenv("CI", "true")
    module = "import pytest\npytest.importorskip('no_such_module')"
    outcomes("x", module).assert_outcomes(errors=1)


def test_elsewhere_a_line_says_how_to_have_them_run(outcomes, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    result = outcomes("no Chromium is installed")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines([f"2 tests were skipped; {skipping.HINT}"])
