"""Start and end of a server, and the environment that it is installed in."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from export.runners.environments import Environment
from export.runtime.installation import install
from export.serving.servers import builtin, kserve, launching, local
from export.serving.servers.environments import ENVIRONMENTS
from tests.export.test_cli import run
from zoobase.errors import CheckFailed, ExportError, Unavailable

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


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.delenv("TENSORFLOW_MODEL_SERVER", raising=False)
    return tmp_path


def test_what_pip_cannot_install_leaves_nothing(empty_cache):
    environment = Environment("none", ("./no-such-file.whl",), "")
    with pytest.raises(Unavailable, match=r"^none was not installed: pip failed: .*no-such-file"):
        install(environment)
    assert not environment.installed
    assert not environment.folder.exists()


def test_an_installation_that_was_killed_is_repeated(empty_cache):
    environment = Environment("none", ("pip",), "")
    (environment.folder / "lib").mkdir(parents=True)
    (environment.folder / "lib" / "rest").touch()
    assert not environment.installed
    install(environment)
    assert environment.installed
    assert environment.python.exists()
    assert not (environment.folder / "lib" / "rest").exists()
    install(environment, lambda text: pytest.fail("it is installed twice"))


def test_other_requirements_are_another_environment():
    assert Environment("a", ("x==1",), "").folder != Environment("a", ("x==2",), "").folder
    assert len({e.folder for e in ENVIRONMENTS.values()}) == len(ENVIRONMENTS)


@pytest.mark.both
def test_a_server_that_is_not_installed_names_its_installation(empty_cache, bundles):
    assert local.choose() is builtin
    with pytest.raises(Unavailable, match="--install triton"):
        local.choose("triton")
    result = run("serve", bundles("two_by_two").path, "--server", "kserve")
    assert result.returncode == 3
    assert result.stderr.endswith("python -m export servers --install kserve\n")
    model = local.model_of(bundles("two_by_two").path)
    with pytest.raises(ExportError, match="KServe has no --memory"), local.serving(model, kserve, 1, memory=1 << 30):
        pass


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("serve", "missing"), "missing is neither a bundle nor a folder of versions"),
        (("serve", "missing", "--page"), "missing is not a bundle, for which alone there are pages"),
        (("servers", "--install", "ksreve"), "unknown server 'ksreve'; did you mean kserve?"),
        (("publis", "a"), "unknown command 'publis'; did you mean publish"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, text, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORFLOW_MODEL_SERVER", "/bin/true")
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {text}"), result.stderr
