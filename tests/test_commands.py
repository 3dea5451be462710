"""Commands are forked from a process that has imported TensorFlow; no garbage is collected while that is imported."""

import gc
import os
import subprocess
import time

import psutil
import pytest

from tests import commands
from zoobase.importing import without_garbage_collection

PROBE = """
import os, sys
if __name__ == "__main__":
    print(sys.argv[-1], os.getcwd(), os.environ.get("GIVEN"), os.environ.get("OTHER"), "tests" in sys.modules)
    print("problem", file=sys.stderr)
    sys.exit(3)
"""
IMPORTED = "import sys; print('tensorflow' in sys.modules)"


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("first", [["-c", PROBE], ["-m", "probe"], ["probe.py"]])
def test_arguments_folder_environment_output_and_exit_code(first, fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER", "not inherited")
    (tmp_path / "probe.py").write_text(PROBE)
    env = {k: v for k, v in os.environ.items() if k != "OTHER"} | {"GIVEN": "yes"}
    done = commands.run(*first, "last", cwd=tmp_path, env=env, fresh=fresh)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"last {tmp_path} yes None False\n", "problem\n")
    merged = commands.run(*first, "last", cwd=tmp_path, env=env, fresh=fresh, merged=True)
    assert sorted(merged.stdout.splitlines()) == sorted((done.stdout + done.stderr).splitlines())


def test_tensorflow_is_imported_unless_it_would_read_another_environment():
    assert commands.run("-c", IMPORTED).stdout == "True\n"
    assert commands.run("-c", IMPORTED, fresh=True).stdout == "False\n"
    assert commands.run("-c", IMPORTED, env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "2"}).stdout == "False\n"


@pytest.mark.parametrize("fresh", [False, True])
def test_one_that_runs_is_read_and_killed(fresh):
    command = commands.Command("-c", "import time; print(1, flush=True); time.sleep(60)", fresh=fresh)
    while not command.stdout:
        assert command.poll() is None
        time.sleep(0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(0.1)
    command.kill()
    assert command.communicate(60) == ("1\n", "")
    assert command.returncode == -9
    assert not psutil.pid_exists(command.pid) or psutil.Process(command.pid).status() == psutil.STATUS_ZOMBIE


def test_an_error_is_a_traceback_and_a_group_is_its_own():
    done = commands.run("-c", "import os; print(os.getpid() == os.getpgid(0)); 1 / 0", start_new_session=True)
    assert (done.returncode, done.stdout) == (1, "True\n")
    assert "ZeroDivisionError" in done.stderr


GARBAGE = """
import gc, sys
on = []
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "tensorflow.python.data"):
            on.append(gc.isenabled())
sys.meta_path.insert(0, Finder())
IMPORT
print(on, gc.isenabled())
"""


@pytest.mark.extended
@pytest.mark.parametrize(
    "code",
    [
        "from zoo.core import environment; environment.prepare()",
        "from export.runtime.backend import load_tensorflow; load_tensorflow()",
    ],
)
def test_tensorflow_is_imported_without_it(code):
    assert commands.run("-c", GARBAGE.replace("IMPORT", code), fresh=True).stdout == "[False, False] True\n"


LEFT_OUT = """
import gc, sys
from zoo.core import environment
from zoobase.console import Console
Console.is_process = PROCESS
environment.prepare()
print(sum(name in sys.modules for name in ("matplotlib", "pandas", "sklearn")), gc.get_freeze_count() > 100_000)
import pandas, sklearn
"""


@pytest.mark.extended
def test_a_command_imports_keras_without_what_is_optional():
    """And leaves what was imported out of collections of garbage."""
    assert commands.run("-c", LEFT_OUT.replace("PROCESS", "True"), fresh=True).stdout == "0 True\n"


@pytest.mark.extended
def test_a_process_of_others_imports_keras_as_it_is():
    assert commands.run("-c", LEFT_OUT.replace("PROCESS", "False"), fresh=True).stdout == "3 False\n"


def test_it_is_as_it_was_afterwards():
    with without_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), without_garbage_collection():
        raise ZeroDivisionError
    assert gc.isenabled()
    gc.disable()
    try:
        with without_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
