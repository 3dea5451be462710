"""A process that loads an artifact reads the bundle and its libraries, writes its scratch folder, and nothing else."""

import json
import os
import socket

import pytest

from export.protocol import machine
from export.runtime import process

FORKED = "run_keras.py"
KINDS = {FORKED: "keras"}
pytestmark = pytest.mark.skipif(not machine.abi(), reason="this kernel has no Landlock")

TRY = """
import json, os, socket, subprocess, sys, tempfile
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text())

def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", ("127.0.0.1", 9))

def connect(address, family):
    with socket.socket(family) as s:
        s.settimeout(2)
        s.connect(address)

attempts = {
    "read the bundle": lambda: Path(job["bundle"], "file").read_text(),
    "write scratch": lambda: Path("written").write_text("x"),
    "write a temporary file": lambda: tempfile.NamedTemporaryFile(dir=None).close(),
    "import a library": lambda: __import__("numpy"),
    "write the bundle": lambda: Path(job["bundle"], "file").write_text("x"),
    "delete from the bundle": lambda: os.unlink(os.path.join(job["bundle"], "file")),
    "read elsewhere": lambda: Path(job["outside"], "secret").read_text(),
    "list elsewhere": lambda: os.listdir(job["outside"]),
    "write elsewhere": lambda: Path(job["outside"], "new").write_text("x"),
    "delete elsewhere": lambda: os.rmdir(os.path.join(job["outside"], "folder")),
    "rename out of scratch": lambda: os.rename("written", os.path.join(job["outside"], "moved")),
    "link a file into scratch": lambda: os.link(os.path.join(job["outside"], "secret"), "linked"),
    "follow a link out of scratch": lambda: (os.symlink(job["outside"], "out"), os.listdir("out"))[1],
    "read the passwords": lambda: Path("/etc/passwd").read_text(),
    "read the environment of the parent": lambda: Path(f"/proc/{job['parent']}/environ").read_text(),
    "connect by TCP": lambda: connect(("127.0.0.1", job["port"]), socket.AF_INET),
    "send by UDP": udp,
    "connect to an abstract socket": lambda: connect(job["abstract"], socket.AF_UNIX),
    "signal the parent": lambda: os.kill(job["parent"], 0),
    "write a file of 9 GB": lambda: os.truncate(os.open("large", os.O_CREAT | os.O_RDWR), 9 * 2**30),
    "in a child": lambda: subprocess.run([sys.executable, "-c", f"open({job['outside']!r} + '/secret')"], check=True),
}
done = []
for name, attempt in attempts.items():
    try:
        attempt()
        done.append(name)
    except (OSError, subprocess.CalledProcessError):
        pass
import machine
Path("result.json").write_text(json.dumps({"done": done, "state": machine.state, "names": sorted(os.environ)}))
"""
ALLOWED = ["read the bundle", "write scratch", "write a temporary file", "import a library"]


@pytest.fixture
def attempts(tmp_path, monkeypatch):
    """Run the attempts; return which were possible, the state, and the names of environment variables."""
    for folder in ("runners", "bundle", "outside/folder", "scratch"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bundle/file").write_text("file")
    (tmp_path / "outside/secret").write_text("secret")
    monkeypatch.setattr(process, "RUNNERS", tmp_path / "runners")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def run(script, **options):
        (tmp_path / "runners" / script).write_text(TRY)
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind(f"\0test-confine-{tmp_path.name}")
            abstract.listen()
            job = {"bundle": str(tmp_path / "bundle"), "outside": str(tmp_path / "outside"), "parent": os.getpid()}
            job |= {"port": server.getsockname()[1], "abstract": f"\0test-confine-{tmp_path.name}"}
            result = process.run_script(
                script, job, tmp_path / "scratch", forked_from=KINDS.get(script), reads=[tmp_path / "bundle"], **options
            )
        assert result.problem is None, result.problem
        return json.loads((tmp_path / "scratch/result.json").read_text())

    return run


@pytest.mark.parametrize("script", ["script.py", FORKED])
def test_only_the_bundle_is_read_and_only_scratch_is_written(attempts, tmp_path, script):
    result = attempts(script)
    assert result["done"] == ALLOWED
    assert result["state"] == {"landlock": machine.abi(), "network": False}
    assert "AWS_SECRET_ACCESS_KEY" not in result["names"]
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["folder", "secret"]
    assert (tmp_path / "bundle/file").read_text() == "file"


def test_without_rules_everything_is_possible(attempts, monkeypatch):
    """Each attempt succeeds where nothing forbids it: the test above cannot pass by accident."""
    without = process.RUNNERS.parent / "without_rules.py"
    without.write_text("import runpy, sys\ndel sys.argv[0]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n")
    monkeypatch.setattr(process, "LAUNCHER", without)
    assert len(attempts("script.py")["done"]) == 21


def test_a_network_is_there_if_it_is_asked_for(attempts):
    done = attempts("script.py", network=True)["done"]
    assert {*done} - {*ALLOWED} == {
        "connect by TCP",
        "send by UDP",
        "connect to an abstract socket",
        "signal the parent",
    }


def test_it_is_said_if_the_kernel_cannot_confine(monkeypatch):
    monkeypatch.setattr(machine, "abi", lambda: 0)
    monkeypatch.setattr(machine, "_leave_network", lambda: False)
    monkeypatch.setattr(machine.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(machine, "state", {"landlock": 0, "network": True})
    machine.confine([], [])
    assert machine.state == {"landlock": 0, "network": True}
