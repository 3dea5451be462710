"""Start and end of a server."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from export.serving.servers import launching
from zoobase.errors import CheckFailed

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_server_that_ends_is_an_error_with_the_last_line_of_its_log():
    command = [sys.executable, "-c", "raise SystemExit('port is taken')"]
    with (
        pytest.raises(CheckFailed, match="ended with exit code 1: port is taken"),
        launching.running(command, lambda: False),
    ):
        pass


def test_a_server_that_is_never_ready_is_stopped(monkeypatch):
    monkeypatch.setattr(launching, "START_TIMEOUT", 1.0)
    seen = []

    def is_ready():
        children = psutil.Process().children(recursive=True)
        seen.append([child.pid for child in children if SLEEP[-1] in child.cmdline()])
        raise ConnectionRefusedError

    with pytest.raises(CheckFailed, match="was not ready after 1 s: up"), launching.running(SLEEP, is_ready):
        pass
    assert seen[-1]
    assert not any(is_running(number) for number in seen[-1])


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import sys, os, signal; from export.serving.servers import launching\n"
        f"with launching.running({SLEEP!r}, lambda: True) as process:\n"
        "    print(process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    number = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    end = time.monotonic() + 30
    while is_running(number):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("confined", [True, False])
def test_a_server_reads_what_it_serves_and_writes_its_own_folder(tmp_path, confined):
    for name in ("served", "secret"):
        (tmp_path / name).write_text(name)
    code = (
        "import tempfile\ndone = []\n"
        f"for path in ({str(tmp_path / 'served')!r}, {str(tmp_path / 'secret')!r}, '/etc/passwd'):\n"
        "    try:\n        done.append(len(open(path).read()) > 0)\n    except OSError:\n        done.append(False)\n"
        "tempfile.NamedTemporaryFile().close()\n"
        f"try:\n    open({str(tmp_path / 'new')!r}, 'w')\nexcept OSError:\n    done.append('confined')\n"
        "raise SystemExit(str(done))"
    )
    command = [sys.executable, "-c", code]
    reads = [tmp_path / "served"] if confined else None
    with pytest.raises(CheckFailed) as raised, launching.running(command, lambda: False, reads=reads):
        pass
    assert str(raised.value).endswith("[True, False, False, 'confined']" if confined else "[True, True, True]")
