"""A process that crashes, hangs or exceeds its memory is one failed result, isolated from the others."""

import contextlib
import json
import subprocess
import sys
import time

import psutil
import pytest

from export.contract import Artifact, Contract, Endpoint, Tensor
from export.parity.cases import write_golden
from export.parity.golden import cases_for
from export.parity.noise_floor import Policy
from export.proof.certificate import ProofRequest, Row
from export.proof.prove import check_run
from export.protocol.runner import Runtime
from export.runtime import execution, process
from export.runtime.execution import ArtifactRun
from zoobase.errors import ExportError

FORKED = "run_keras.py"
KINDS = {FORKED: "keras"}  # it is forked from a process that has imported TensorFlow

RUNNER = """
import os, signal, sys
import runner

def open_artifact(artifact, examples):
    if artifact["path"].endswith("crashing"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if artifact["path"].endswith("large"):
        bytearray(1 << 40)
    if artifact["path"].endswith("importing"):
        sys.path.append({local!r})
        import our_secret_model
    return {{"e": {{"main": lambda inputs: {{"y": inputs["x"]}}}}}}

runner.main(runner.Runtime("test", __file__, "", "", (), open_artifact, dict))
"""


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    (tmp_path / "run.py").write_text(RUNNER.format(local=str(tmp_path / "ours")))
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
@pytest.mark.parametrize("script", ["script.py", FORKED])
def test_the_result_of_a_process(scripts, script, code, problem):
    (scripts / script).write_text(code)
    result = process.run_script(script, {}, scripts, forked_from=KINDS.get(script))
    assert (result.problem, result.timed_out) == (problem, False)


@pytest.mark.parametrize("script", ["script.py", FORKED])
def test_a_process_that_hangs_is_stopped(scripts, monkeypatch, script):
    monkeypatch.setenv("EXPORT_TIMEOUT", "0.5")
    process.start_fork_server()
    (scripts / script).write_text("import time; time.sleep(60)")
    result = process.run_script(script, {}, scripts, forked_from=KINDS.get(script))
    assert result.timed_out
    assert result.problem == "stopped after 0.5 s"
    assert result.seconds < 10


PROBE = """
import json, os, sys
job = json.loads(open(sys.argv[1]).read())
ours = sorted({"zoo", "export", "pipelines", "zoobase", "tests"} & set(sys.modules))
state = [ours, os.getsid(0) == os.getpid(), os.getcwd(), "tensorflow" in sys.modules, sys.flags.safe_path]
state.append(os.environ.get("TFHUB_CACHE_DIR"))
json.dump([*state, os.environ["TF_ENABLE_ONEDNN_OPTS"]], open("state.json", "w"))
"""


def state_of(folder, environment=None):
    (folder / FORKED).write_text(PROBE)
    assert process.run_script(FORKED, {}, folder, environment=environment, forked_from="keras").problem is None
    return json.loads((folder / "state.json").read_text())


@pytest.mark.extended
def test_a_forked_process_holds_tensorflow_and_nothing_of_ours(scripts, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", "a")
    assert state_of(scripts)[-2] == "a"
    monkeypatch.setenv("TFHUB_CACHE_DIR", "b")  # of the process, not of the server
    ours, leads_session, folder, has_tensorflow, safe_path, cache, onednn = state_of(scripts)
    assert cache == "b"
    assert (ours, leads_session, folder) == ([], True, str(scripts))
    assert has_tensorflow
    assert safe_path
    changed = {"TF_ENABLE_ONEDNN_OPTS": "1" if onednn == "0" else "0"}  # read at import: another server
    *_, has_tensorflow, _, _, other = state_of(scripts, changed)
    assert (has_tensorflow, other) == (True, changed["TF_ENABLE_ONEDNN_OPTS"])
    servers = list(process._servers.values())
    assert state_of(scripts)[-1] == onednn
    assert state_of(scripts, changed)[-1] == other
    assert list(process._servers.values()) == servers  # neither is started again
    monkeypatch.setenv(process.VARIABLE, "0")
    assert state_of(scripts)[3] is False


def test_a_process_of_the_c_api_holds_its_library_and_no_tensorflow_in_python(scripts):
    state = "'tensorflow' in sys.modules, 'libtensorflow_cc' in open('/proc/self/maps').read()"
    (scripts / "run_c_api.py").write_text(f"import json, sys; json.dump([{state}], open('x', 'w'))")
    assert process.run_script("run_c_api.py", {}, scripts, forked_from="c_api").problem is None
    assert json.loads((scripts / "x").read_text()) == [False, True]
    missing = {"TENSORFLOW_C_API": str(scripts)}  # another server
    assert process.run_script("run_c_api.py", {}, scripts, environment=missing).problem is None
    assert json.loads((scripts / "x").read_text()) == [False, False]


def test_a_server_that_was_killed_is_replaced(scripts):
    state_of(scripts)
    for _, server in process._servers.values():
        server.kill()
        server.wait()
    assert state_of(scripts)[3]


def test_a_request_is_run_although_its_server_is_replaced_at_once(scripts):
    (scripts / "empty.py").write_text("")
    (scripts / "job").write_text(json.dumps({"confine": {"reads": [str(scripts)], "writes": [str(scripts)]}}))
    paths = {name: str(scripts / name) for name in ("script", "job", "log")} | {"script": str(scripts / "empty.py")}
    request = paths | {"cwd": str(scripts), "paths": []}
    kinds = [process._environment([str(process.PROTOCOL)], {"TENSORFLOW_C_API": str(n)}) for n in range(4)]
    connections = [process._submit("c_api", request | {"environment": kind}) for kind in kinds]
    assert [connection.recv(16) for connection in connections] == [b"0"] * 4


def test_the_others_run_again_after_a_crash(scripts):
    contract = Contract((Endpoint("e", (Tensor("x", "float32", (None, 2)),), (Tensor("y", "float32", (None, 2)),)),))
    write_golden(scripts / "golden", {"e": cases_for(contract["e"])})
    artifacts = [Artifact("tflite", name, ("e",)) for name in ("good", "crashing", "large", "fine", "importing")]
    runtime = Runtime("test", "run.py", "numpy", "numpy", ("tflite",), None, None)
    runs = execution.run_all(scripts, contract, {"test": (runtime, artifacts)}, ())
    assert runs["test", "crashing"].problem == "crashed with SIGSEGV"
    assert runs["test", "large"].report["memory_error"]
    assert runs["test", "fine"].report["local"] == []
    assert runs["test", "importing"].report["local"] == ["our_secret_model"]
    for name in ("good", "fine"):
        assert runs["test", name].problem is None
        assert runs["test", name].of("e").get("batch_7", "y").shape == (7, 2)


def test_a_row_fails_if_the_artifact_imports_code_that_it_must_not_need():
    def check(format, dependency, modules, local=()):
        row = Row("x", format, "keras")
        request = ProofRequest(None, Contract(()), (), {}, dependency)
        report = dict.fromkeys(("missing", "error", "weights")) | {
            "skipped": [],
            "findings": [],
            "remarks": [],
            "memory_error": False,
        }
        run = ArtifactRun(report=report | {"modules": modules, "local": local})
        return check_run(request, Artifact(format, "x", ()), row, run, {}, Policy())

    dependency = {"package": "zoo, mine", "modules": ["zoo.models", "mine"]}
    assert check("keras", None, ["numpy"]).state == "pass"
    assert check("keras", dependency, ["zoo", "mine"]).state == "pass"
    assert check("keras", None, ["zoo"]).reason == "loaded the code of zoo, which it must not need"
    assert check("keras", None, [], ["other"]).reason == "loaded the code of other, which it must not need"
    assert check("saved_model", dependency, ["mine", "zoo"]).reason.startswith("loaded the code of mine, zoo,")


@pytest.mark.parametrize("text", ["abc", "", "nan", "-1", "0", "inf", "1e400"])
def test_a_time_limit_that_is_none_is_one_sentence(scripts, monkeypatch, text):
    monkeypatch.setenv("EXPORT_TIMEOUT", text)
    (scripts / "script.py").write_text("pass")
    with pytest.raises(ExportError, match=r"EXPORT_TIMEOUT='.*' is not a positive number of seconds"):
        process.run_script("script.py", {}, scripts)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is of Linux")
@pytest.mark.parametrize("script", ["script.py", FORKED])
def test_a_process_ends_with_its_parent(scripts, script):
    (scripts / script).write_text(
        "import os, pathlib, time\nimport machine\nmachine.read_job()\n"
        "pathlib.Path('new').write_text(str(os.getpid()))\nos.rename('new', 'pid')\ntime.sleep(60)\n"
    )
    code = (
        f"import pathlib; from export.runtime import process; process.RUNNERS = pathlib.Path({str(scripts)!r})\n"
        f"process.run_script({script!r}, {{}}, process.RUNNERS, forked_from={KINDS.get(script)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (scripts / "pid").exists():
        assert parent.poll() is None
        time.sleep(0.05)
    runner = psutil.Process(int((scripts / "pid").read_text()))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    with contextlib.suppress(psutil.NoSuchProcess):
        while runner.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)
