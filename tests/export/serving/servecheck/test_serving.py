"""Files for TF Serving, and the checks of a base path, also those that run servers and older versions."""

import json
import os
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from export import check_serving, publish, verify_bundle
from export.bundle.tf_serving import PINNED, WARMUP, loader_note, models_config, write_warmup
from export.formats.saved_model import newest_version
from export.parity.cases import read_golden
from export.protocol import c_api
from export.runners.run_tensorflow import replay
from export.runtime import process
from export.serving.servecheck import CHECKS, LEVELS, Report, rest_servers, runs, serialization, version
from export.serving.servecheck import version as servecheck_version
from export.serving.servecheck.structure import check as check_structure
from export.serving.servecheck.version import Level, read_version
from export.serving.servers import builtin, launching, tensorflow_model_server
from tests.export.conftest import reseal
from tests.plugins.tiers import only
from zoobase.errors import ExportError, Unavailable


@pytest.fixture
def base(bundles, tmp_path):
    publish(bundles("two_by_two").path, tmp_path / "two")
    return tmp_path / "two"


def rewrite_warmup(folder, saved_model, contract, change):
    """Write warm-up records with other requests or responses."""
    cases = read_golden(folder / "golden", contract)
    for endpoint_cases in cases.values():
        for case in endpoint_cases:
            change(case)
    return write_warmup(saved_model, contract.carried_by("saved_model"), cases)


def test_records_call_every_endpoint(bundles):
    bundle = bundles("functional_cnn")
    data = tf.data.TFRecordDataset(str(bundle.path / "saved_model/1" / WARMUP)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record).predict_log for record in data]
    assert [log.request.model_spec.signature_name for log in logs] == ["serving_default", "bytes"]
    assert set(logs[1].response.outputs) == {"logits", "probabilities", "label", "score"}


def test_the_configuration_is_valid():
    config = text_format.Parse(models_config("flowers"), model_server_config_pb2.ModelServerConfig())
    (entry,) = config.model_config_list.config
    assert (entry.name, entry.base_path, entry.model_platform) == ("flowers", "/models/flowers", "tensorflow")


@pytest.mark.extended
def test_a_stale_record_fails_the_certificate(damaged, bundles):
    folder = damaged("functional_cnn")
    shutil.copy(bundles("two_by_two").path / "saved_model/1" / WARMUP, folder / "saved_model/1" / WARMUP)
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["tensorflow"])
    assert certificate.verdict == "fail"
    assert (
        "warm-up record 0 is stale: it gives left, right to serving_default, which takes image"
        in (certificate.problems()[0])
    )


def test_a_record_with_another_response_fails_the_certificate(damaged, bundles):
    """A stale response: records of an earlier training of the same model."""
    folder, contract = damaged("functional_cnn"), bundles("functional_cnn").contract
    change = lambda case: case.outputs.update({n: v * 2 for n, v in case.outputs.items() if v.dtype.kind == "f"})  # noqa: E731
    assert rewrite_warmup(folder, folder / "saved_model/1", contract, change) == 2
    reseal(folder)
    (problem,) = verify_bundle(folder, runtimes=["tensorflow"]).problems()
    assert "warm-up record 0 is stale: logits of serving_default differs by" in problem


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(lambda data: data[:-3], "cannot be read: DataLossError", marks=pytest.mark.extended),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "cannot be read: DataLossError"),
        (lambda data: data * 1001, "there are more than 1000 warm-up records"),
    ],
)
def test_damaged_records(bundles, tmp_path, change, text):
    folder = shutil.copytree(bundles("two_by_two").path / "saved_model/1", tmp_path / "1")
    loaded = tf.saved_model.load(str(folder))
    assert replay(str(folder), loaded.signatures) == []
    (folder / WARMUP).write_bytes(change((folder / WARMUP).read_bytes()))
    assert text in replay(str(folder), loaded.signatures)[-1]


def test_every_level(base):
    report = check_serving(base)
    states = {level.name: level.state for level in report.levels}
    assert tuple(states) == LEVELS
    always = ("structure", "warmup", "serialization")
    assert {states[name] for name in always} == {"pass"}, report.levels
    assert states["loader"] in ("pass", "not_run")
    assert states["server"] == "not_run"
    assert report.verdict == ("pass" if states["loader"] == "pass" else "incomplete")
    assert "TF Serving: pass" not in report.summary()
    assert sorted(path.name for path in base.parent.iterdir()) == ["two"]
    assert check_structure(base)[0].state == "pass"


@pytest.mark.needs("openvino")
def test_what_a_second_implementation_cannot_run_is_said(bundles, tmp_path):
    version = publish(bundles("functional_cnn").path, tmp_path / "cnn").path
    checked = read_version(tmp_path / "cnn", 1, version)
    servecheck_version.run(checked)
    level = CHECKS["independent"](checked)
    assert (level.state, level.details.partition("; ")[2]) == ("pass", "it does not run bytes")


@pytest.mark.proof
def test_a_stale_record_is_found_on_the_base_path(base, bundles):
    folder = newest_version(base)[1]
    shutil.copy(bundles("functional_cnn").path / "saved_model/1" / WARMUP, folder / WARMUP)
    (folder / "assets.extra/SHA256SUMS").unlink()  # a third-party version has no checksums
    report = check_serving(base)
    level = next(level for level in report.levels if level.name == "warmup")
    assert level.state == "fail"
    assert "it gives image to serving_default, which takes left, right" in level.reason
    assert report.exit_code == 1


def remove(name):
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda folder: (folder / "saved_model.pb").write_bytes(b"x"), "saved_model.pb was changed"),
        (lambda folder: folder.rename(folder.with_name("01")), "'01' is read as version 1"),
        (lambda folder: shutil.copytree(folder, folder.with_name("+1")), "version 1 exists more than once"),
        (lambda folder: folder.rename(folder.with_name("v1")), "no folder with a number"),
        (remove("variables/variables.index"), "variables/variables.index is missing"),
    ],
)
def test_invalid_structures(base, change, text):
    change(base / "1")
    level, version = check_structure(base)
    assert (level.state, version) == ("fail", None)
    assert text in level.reason


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (remove("variables/variables.index"), "has no variables.index"),
        (remove("variables/variables.data-00000-of-00001"), "has 0 of its data files"),
        (remove("saved_model.pb"), "has no saved_model.pb"),
        (lambda folder: (folder / "saved_model.pb").write_bytes(b"VarHandle"), "cannot be read as saved_model"),
    ],
)
def test_invalid_structures_of_third_parties(base, change, text):
    (base / "1/assets.extra/SHA256SUMS").unlink()
    change(base / "1")
    assert text in check_structure(base)[0].reason


def test_paths_that_are_not_base_paths(base, tmp_path):
    with pytest.raises(Unavailable, match="there is no base path"):
        check_serving(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="is a version"):
        check_serving(base / "1")
    with pytest.raises(ExportError, match="did you mean loader"):
        check_serving(base, require=["laoder"])


def test_only_the_server_level_reports_that_it_serves():
    levels = [Level(name, "pass") for name in LEVELS]
    assert Report("m", 3, levels).summary() == "TF Serving: pass (version 3 was served and answered)"
    levels[-1] = Level("server", "not_run", "set TENSORFLOW_MODEL_SERVER")
    assert Report("m", 3, levels).summary().endswith("TF Serving itself was not run")
    levels[1] = Level("loader", "not_run", "not here", required=True)
    assert (Report("m", 3, levels).verdict, Report("m", 3, levels).exit_code) == ("incomplete", 3)
    levels[2] = Level("warmup", "fail", "stale")
    assert Report("m", 3, levels).summary() == "fail: warmup: stale"
    assert json.loads(json.dumps(Report("m", 3, levels).to_json()))["verdict"] == "fail"


PROXY = """#!{python}
# In the place of tensorflow_model_server, which no package index has: it asks the built-in server.
import http.server, sys, urllib.error, urllib.request
options = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        try:
            answer, status = urllib.request.urlopen({url!r} + self.path, body), 200
        except urllib.error.HTTPError as error:
            answer, status = error, {refused}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer.read())
    do_POST = do_GET
http.server.HTTPServer(("127.0.0.1", int(options["rest_api_port"])), Handler).serve_forever()
"""


@pytest.mark.parametrize(
    ("factor", "refused", "problem"),
    [
        (1.001, 400, " in case "),
        pytest.param(1, 400, None, marks=pytest.mark.extended),
        (1, 500, "a body that is not JSON: is answered with status 500 instead of 4xx"),
    ],
)
def test_the_client_side(base, tmp_path, monkeypatch, factor, refused, problem):
    version = read_version(base, 1, base / "1")
    servecheck_version.run(version)
    for case in version.cases["serving_default"]:
        case.outputs = {name: value * np.float32(factor) for name, value in case.outputs.items()}
    program = tmp_path / "server"
    with builtin.serving(base, 1, "model", *launching.free_ports(1)) as url:
        program.write_text(PROXY.format(python=sys.executable, url=url.partition("/v1")[0], refused=refused))
        program.chmod(0o755)
        monkeypatch.setenv(tensorflow_model_server.VARIABLE, str(program))
        level = CHECKS["server"](version)
    assert level.state == ("fail" if problem else "pass"), level.reason
    assert problem is None or problem in level.reason


def test_servers_that_do_not_run(base, monkeypatch):

    version = read_version(base, 1, base / "1")
    monkeypatch.delenv(tensorflow_model_server.VARIABLE, raising=False)
    assert "set TENSORFLOW_MODEL_SERVER" in CHECKS["server"](version).reason
    monkeypatch.setenv(tensorflow_model_server.VARIABLE, "/nowhere/server")
    assert CHECKS["server"](version).state == "not_run"
    monkeypatch.setenv(tensorflow_model_server.VARIABLE, "/bin/false")
    assert "the server ended with exit code 1" in CHECKS["server"](version).reason


def test_arrays_that_json_cannot_represent(base):

    version = read_version(base, 1, base / "1")
    (cases,) = version.cases.values()
    for case in cases:
        case.outputs = {"photo": np.array([b"\xff"], object)}
    level = CHECKS["serialization"](version)
    assert level.state == "fail"
    assert "name it photo_bytes" in level.reason


def test_a_level_without_a_call_does_not_pass(base):
    version = read_version(base, 1, base / "1")
    assert version.calls == []
    levels = [serialization.check(version), rest_servers.check("kserve_v1", version, "http://localhost:9", "no server")]
    assert {level.state for level in levels} == {"not_run"}
    assert "no call" in levels[0].reason


@pytest.fixture(scope="module", params=only(["functional_cnn", "text"], {"functional_cnn"}, {"text"}))
def served(request, bundles, tmp_path_factory):
    base = tmp_path_factory.mktemp("served") / "net"
    published = publish(bundles(request.param).path, base)
    served = version.read_version(base, published.version, published.path)
    version.run(served)
    return served


@pytest.fixture
def changed(served):
    case = served.cases["serving_default"][0]
    before = dict(case.outputs)

    def change():
        name, value = next((n, v) for n, v in case.outputs.items() if v.dtype.kind == "f")
        case.outputs[name] = value + np.float32(1e-3) * (np.arange(value.size).reshape(value.shape) == 0)
        return name

    yield change
    case.outputs.update(before)


@pytest.mark.parametrize(
    ("check", "detail"),
    [
        pytest.param("kserve_v1", "20 of 4 clients at once, 6 bad requests refused", marks=pytest.mark.needs("kserve")),
        pytest.param("triton", "{of_triton} bad requests refused", marks=pytest.mark.needs("triton")),
    ],
)
def test_a_server_of_others(served, changed, check, detail):
    level = CHECKS[check](served)
    assert (level.state, level.reason) == ("pass", None)
    assert detail.format(of_triton=3 * len(served.endpoints)) in level.details
    name = changed()
    level = CHECKS[check](served)
    assert level.state == "fail"
    assert f"{name} in case" in level.reason


def test_servers_that_answer_otherwise_fail(served):
    level = rest_servers.serve_and_check(served, "server", builtin)
    assert (level.state, level.reason) == ("pass", None)
    assert "20 of 4 clients at once, 6 bad requests refused" in level.details
    (port,) = launching.free_ports(1)
    level = rest_servers.check("server", served, f"http://127.0.0.1:{port}/v1/models/net", "it has ended")
    assert level.state == "fail"
    assert "Connection refused" in level.reason


@pytest.fixture
def older(monkeypatch, tmp_path):
    """Return a function that lets the level find a version in a folder: that of this TensorFlow, or a copy."""

    def place(folder):
        places = {"folder": folder.parent, "packages": folder.parent}
        environment = SimpleNamespace(installed=True, requirements=("tensorflow-cpu==0",), **places)
        monkeypatch.setattr(runs, "OLDER", (environment,))

    return place


def test_older_versions_may_lie_anywhere(served, older, tmp_path, monkeypatch):
    monkeypatch.setenv(process.VARIABLE, "0")  # a server has its library before it is confined
    (tmp_path / "packages/tensorflow").mkdir(parents=True)
    for name in c_api.LIBRARIES:
        path = tmp_path / "packages/tensorflow" / name
        try:
            os.link(c_api.folder() / name, path)  # a gigabyte
        except OSError:
            shutil.copy(c_api.folder() / name, path)
    older(tmp_path / "packages/tensorflow")
    level = CHECKS["older_c_api"](served)
    assert (level.state, level.reason) == ("pass", None)


def test_older_versions(served, changed, older, tmp_path):
    older(c_api.folder())
    name = changed()
    level = CHECKS["older_c_api"](served)
    assert level.state == "fail"
    assert f"{name} in case" in level.reason
    (tmp_path / "tensorflow").mkdir()
    older(tmp_path / "tensorflow")
    level = CHECKS["older_c_api"](served)
    assert level.state == "fail"
    folder = tmp_path / "tensorflow"
    assert f"cannot run it: ended with exit code 1: ImportError: {folder} does not contain" in level.reason


def test_a_server_that_runs_already(base, served, bundles, tmp_path):
    with builtin.serving(base, 1, "model", *launching.free_ports(1)) as url:
        report = check_serving(base, url=url, require=["server"])
        assert (report.levels[-1].name, report.levels[-1].state, report.verdict) == ("server", "pass", "pass")
        assert "20 of 4 clients at once" in report.levels[-1].details
        other = rest_servers.check_running(replace(served, version=2), url)
        assert (other.state, "not version 2" in other.reason) == ("fail", True)
    gone = rest_servers.check_running(served, url)
    assert (gone.state, "give http://HOST:8501" in gone.reason) == ("not_run", True)
    file, options = tmp_path / "served.json", {"runtimes": ["c_api"], "served": tmp_path / "served.json"}
    file.write_text(json.dumps(report.to_json()))
    row = verify_bundle(bundles("two_by_two").path, **options).rows[-1]
    assert (row.place, row.state, row.note) == ("saved_model/1 in tf_serving", "pass", report.levels[-1].details)
    report.levels[-1] = other
    file.write_text(json.dumps(report.to_json()))
    certificate = verify_bundle(bundles("two_by_two").path, **options)
    assert (certificate.verdict, "not version 2" in certificate.rows[-1].reason) == ("fail", True)
    with pytest.raises(ExportError, match=r"served.json is of another SavedModel than that of .*functional_cnn"):
        verify_bundle(bundles("functional_cnn").path, **options)
    file.write_text("{}")
    with pytest.raises(ExportError, match="is not what serve-check --json prints"):
        verify_bundle(bundles("two_by_two").path, **options)


def test_the_loader_of_the_pinned_server():
    row = {"runtime": "c_api", "state": "pass", "versions": {"tensorflow_c": "2.21.0"}}
    assert "loader of TensorFlow 2.21.0; the compose file and examples/ pin" in loader_note([row])
    assert loader_note([row | {"versions": {"tensorflow_c": PINNED}}]) is loader_note([row | {"state": "fail"}]) is None


@pytest.mark.both
def test_without_any_the_level_did_not_run(served, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    for level, name in (("kserve_v1", "kserve"), ("triton", "triton"), ("older_c_api", "tensorflow-2.20")):
        level = CHECKS[level](served)
        assert level.state == "not_run"
        assert level.reason.endswith(f"python -m export servers --install {name}")
    assert os.listdir(tmp_path) == []
