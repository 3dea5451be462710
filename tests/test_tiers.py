"""What is skipped, which tests each tier runs, and what a run leaves behind."""

import os
import signal
import time

import pytest

from tests import commands
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


WRITES = """
import os, signal, subprocess, sys, tempfile, click
from zoobase import run

def leave():
    with tempfile.NamedTemporaryFile("w", prefix="__autograph_generated_file", suffix=".py", delete=False):
        pass
    tempfile.mkdtemp(prefix="keras-")
    END

run(click.Command("leave", callback=leave))
"""
ENDS = {
    "os._exit": "os._exit(0)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "exit": "sys.exit(3)",
    "in a child": "sys.exit(subprocess.call([sys.executable, '-c', 'import tempfile; tempfile.mkdtemp()']))",
}


def becomes_empty(folder):
    end = time.monotonic() + 20
    while list(folder.iterdir()):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("end", ENDS)
def test_a_command_leaves_no_temporary_file(end, fresh, tmp_path):
    environment = os.environ | {"PYTHONPATH": commands.ROOT, "TMPDIR": str(tmp_path)}
    commands.run("-c", WRITES.replace("END", ENDS[end]), env=environment, fresh=fresh)
    assert becomes_empty(tmp_path)


def test_a_function_in_a_process_of_the_user_keeps_its_temporary_folder(tmp_path):
    code = "import click, tempfile; from zoobase import run; before = tempfile.gettempdir()\ntry:\n    "
    code += "run(click.Command('x', callback=lambda: None), [])\nfinally:\n    assert tempfile.gettempdir() == before"
    environment = os.environ | {"PYTHONPATH": commands.ROOT, "TMPDIR": str(tmp_path)}
    assert commands.run("-c", code, env=environment, fresh=True).returncode == 0


@pytest.mark.extended
def test_a_killed_proof_leaves_no_temporary_file(tmp_path):
    """Neither the fork server nor the processes of the runtimes do."""
    from tests.export.models import two_by_two

    two_by_two().save(tmp_path / "two.keras")
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {"PYTHONPATH": commands.ROOT, "TMPDIR": str(tmp_path / "temporary")}
    words = ("-m", "export", "model", tmp_path / "two.keras", "-o", tmp_path / "b")
    command = commands.Command(*words, env=environment, fresh=True)
    end = time.monotonic() + 120
    while not list((tmp_path / "temporary").glob("zoo-*/*-*/results")):
        assert command.poll() is None, command.stderr
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    assert becomes_empty(tmp_path / "temporary")


@pytest.mark.parametrize(("where", "named"), [("tempfile.gettempdir()", False), ("os.environ['REAL']", True)])
def test_files_that_tests_leave_are_named(where, named, pytester, tmp_path, monkeypatch):
    for name in ("REAL", "PYTEST_DEBUG_TEMPROOT", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / "real"))
    monkeypatch.setenv("PYTHONPATH", commands.ROOT)
    (tmp_path / "real").mkdir()
    (tmp_path / "real/keras-of-before").mkdir()
    pytester.makeconftest("from tests.plugins.litter import *")
    code = f"import os, tempfile\n\ndef test_it():\n    os.mkdir(os.path.join({where}, 'keras-x'))"
    pytester.makepyfile(code)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    result.assert_outcomes(passed=1)
    if named:
        result.stdout.fnmatch_lines(["1 files were left in *: keras-x"])
    else:
        result.stdout.no_fnmatch_line("*files were left*")
