"""A process that crashes, hangs or exceeds its memory is one failed result, isolated from the others."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from export.contract import Contract, Endpoint, Tensor
from export.contract.artifact import Artifact
from export.errors import ExportError
from export.parity.golden import cases_for, write_golden
from export.parity.policy import Policy
from export.proof.certificate import Row
from export.proof.prove import Subject, _check_run
from export.runners.lib import jobs
from export.runtime import execution, process
from export.runtime.execution import Run
from export.runtime.runtimes import Runtime

RUNNER = """
import os, signal, sys
sys.path.insert(0, {folder!r})
import protocol

def open_artifact(artifact, examples):
    if artifact["path"].endswith("crashing"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if artifact["path"].endswith("large"):
        bytearray(1 << 40)
    if artifact["path"].endswith("importing"):
        sys.path.append({local!r})
        import our_secret_model
    return {{"e": {{"main": lambda inputs: {{"y": inputs["x"]}}}}}}

protocol.main(open_artifact, dict)
"""


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Replace the folder of runners by one with our own scripts."""
    (tmp_path / "run.py").write_text(RUNNER.format(folder=str(process.RUNNERS / "lib"), local=str(tmp_path / "ours")))
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "our_secret_model.py").write_text("")
    monkeypatch.setattr(process, "RUNNERS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("pass", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV"),
        ("raise SystemExit(7)", "ended with exit code 7"),
        ("raise ValueError('no such thing')", "ended with exit code 1: ValueError: no such thing"),
    ],
)
def test_the_result_of_a_process(scripts, code, problem):
    (scripts / "script.py").write_text(code)
    result = process.run_script("script.py", {}, scripts)
    assert (result.problem, result.timed_out) == (problem, False)


def test_a_process_that_hangs_is_stopped(scripts, monkeypatch):
    monkeypatch.setenv("EXPORT_TIMEOUT", "0.5")
    (scripts / "script.py").write_text("import time; time.sleep(60)")
    result = process.run_script("script.py", {}, scripts)
    assert result.timed_out
    assert result.problem == "stopped after 0.5 s"
    assert result.seconds < 10


def test_the_others_run_again_after_a_crash(scripts):
    contract = Contract((Endpoint("e", (Tensor("x", "float32", (None, 2)),), (Tensor("y", "float32", (None, 2)),)),))
    write_golden(scripts / "golden", {"e": cases_for(contract["e"])})
    artifacts = [Artifact("tflite", name, ("e",)) for name in ("good", "crashing", "large", "fine", "importing")]
    runtime = Runtime("test", "run.py", "numpy", "numpy", ("tflite",), True)
    runs = execution.run_all(scripts, contract, {"test": (runtime, artifacts)}, ())
    assert runs["test", "crashing"].problem == "crashed with SIGSEGV"
    assert runs["test", "large"].report["memory_error"]
    assert runs["test", "fine"].report["local"] == []
    assert runs["test", "importing"].report["local"] == ["our_secret_model"]
    for name in ("good", "fine"):
        assert runs["test", name].problem is None
        assert runs["test", name].arrays["e"]["batch_7/main/y"].shape == (7, 2)


def test_a_row_fails_if_the_artifact_imports_code_that_it_must_not_need():
    def check(format, dependency, modules, local=()):
        row = Row("x", format, "keras", "pass")
        subject = Subject(None, Contract(()), (), {}, dependency)
        run = Run(
            report={
                "missing": None,
                "memory_error": False,
                "error": None,
                "modules": modules,
                "local": local,
                "skipped": [],
                "findings": [],
            }
        )
        _check_run(subject, Artifact(format, "x", ()), row, run, {}, Policy())
        return row

    dependency = {"package": "zoo, mine", "modules": ["zoo.models", "mine"]}
    assert check("keras", None, ["numpy"]).state == "pass"
    assert check("keras", dependency, ["zoo", "mine"]).state == "pass"
    assert check("keras", None, ["zoo"]).reason == "loaded the code of zoo, which it must not need"
    assert check("keras", None, [], ["other"]).reason == "loaded the code of other, which it must not need"
    assert check("saved_model", dependency, ["mine", "zoo"]).reason.startswith("loaded the code of mine, zoo,")


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is of Linux")
def test_a_runner_ends_with_its_parent(scripts):
    lib = str(Path(jobs.__file__).parent)
    (scripts / "run.py").write_text(
        f"import os, sys, time\nsys.path.insert(0, {lib!r})\nimport jobs\njobs.read_job()\n"
        f"print(os.getpid(), file=open({str(scripts / 'pid')!r}, 'w'), flush=True)\ntime.sleep(60)\n"
    )
    code = (
        "import pathlib; from export.runtime import process\n"
        f"process.RUNNERS = pathlib.Path({str(scripts)!r})\nprocess.run_script('run.py', {{}}, process.RUNNERS)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (scripts / "pid").is_file() or not (scripts / "pid").read_text().strip():
        assert parent.poll() is None
        time.sleep(0.05)
    runner = psutil.Process(int((scripts / "pid").read_text()))
    parent.kill()
    parent.wait()
    assert not psutil.wait_procs([runner], timeout=10)[1]


@pytest.mark.parametrize("text", ["abc", "", "nan", "-1", "0", "inf", "1e400"])
def test_a_time_limit_that_is_none_is_one_sentence(scripts, monkeypatch, text):
    monkeypatch.setenv("EXPORT_TIMEOUT", text)
    (scripts / "script.py").write_text("pass")
    with pytest.raises(ExportError, match=r"EXPORT_TIMEOUT='.*' is not a positive number of seconds"):
        process.run_script("script.py", {}, scripts)
