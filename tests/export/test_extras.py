"""Optional runtimes: ONNX and OpenVINO add rows, which are not_run where they are not installed."""

import importlib.util
from dataclasses import replace

import pytest

from export import ExportFailed, export_model, verify_bundle
from export.artifacts import describe
from export.proof.certificate import FAIL, NOT_RUN, Certificate, Finding, Row
from export.runners import RUNTIMES
from tests.export.conftest import create, exchanged, row_of


@pytest.mark.needs("openvino")
@pytest.mark.parametrize("name", ["functional_cnn", "two_by_two"])
def test_openvino_agrees(bundles, name):
    row = row_of(verify_bundle(bundles(name).path, runtimes=["openvino"]), runtime="openvino")
    assert (row.state, row.extra, row.required) == ("pass", True, False)
    assert set(row.endpoints) == {"serving_default"}
    if name == "functional_cnn":
        assert row.note == "did not run bytes"


@pytest.mark.needs("openvino")
def test_openvino_cannot_run_text(bundles):
    certificate = verify_bundle(bundles("category").path, runtimes=["openvino"])
    row = row_of(certificate, runtime="openvino")
    assert (row.state, certificate.verdict) == ("unsupported", "pass")
    assert row.reason == "openvino can run no endpoint of it"


@pytest.mark.needs("openvino")
def test_an_extra_decides_the_verdict_only_where_it_is_required(with_saved_model):
    folder = with_saved_model("two_by_two", exchanged)
    optional = verify_bundle(folder, runtimes=["openvino"])
    assert (row_of(optional, runtime="openvino").state, optional.verdict) == ("fail", "pass")
    assert verify_bundle(folder, runtimes=["openvino"], require=["openvino"]).verdict == "fail"


@pytest.mark.needs("onnx")
def test_onnx_is_proven_where_it_is_installed(tmp_path):
    model, contract = create("functional_cnn")
    bundle = export_model(model, tmp_path / "b", contract=contract, formats=("onnx",))
    row = row_of(bundle.certificate, runtime="onnxruntime")
    assert (row.state, row.artifact, set(row.endpoints)) == ("pass", "onnx/model.onnx", {"serving_default"})
    assert row.weights["of"] == 8
    assert 1 <= row.weights["matched"] < 8  # batch normalisation is folded
    assert {p.name for p in bundle.path.iterdir()} >= {"onnx", "parity.json"}
    assert not (bundle.path / ".onnx-work").exists()
    assert set(bundle.manifest["artifacts"][0]["producer"]) == {"tf2onnx", "onnx", "tensorflow"}
    data = (bundle.path / "onnx/model.onnx").read_bytes()
    assert len(data) > 1000
    import onnx

    file, network = tmp_path / "external.onnx", onnx.load_from_string(data)
    constant = onnx.helper.make_node("Constant", [], ["c"], value=onnx.TensorProto(name="w", data_type=1, dims=[1]))
    constant.attribute[0].t.external_data.add(key="location", value="/etc/passwd")
    network.graph.node.append(constant)
    file.write_bytes(network.SerializeToString())
    assert describe(file).risks == ["w is in external files at paths of its choice"]


@pytest.mark.needs("onnx")
def test_text_is_unsupported_in_onnx(tmp_path):
    """tf2onnx writes a file with operators of TensorFlow that no runtime has."""
    model, _ = create("text")
    with pytest.raises(ExportFailed, match=r"no ONNX operator for .*StringSplitV2") as failure:
        export_model(model, tmp_path / "b", formats=("onnx",))
    assert row_of(failure.value.certificate, runtime=None).state == "unsupported"
    assert not (failure.value.bundle_path / "onnx").exists()


@pytest.mark.both
def test_requested_onnx_without_tf2onnx_is_incomplete(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find_spec(name))
    model, _ = create("two_by_two")
    with pytest.raises(ExportFailed, match=r"tf2onnx.* not installed; pip install 'tf2onnx") as failure:
        export_model(model, tmp_path / "b", formats=("onnx",))
    assert (failure.value.exit_code, failure.value.bundle_path.name) == (3, "b.incomplete")


@pytest.mark.both
def test_extras_that_are_not_installed_are_not_run(bundles, monkeypatch):
    absent = replace(RUNTIMES["openvino"], module="no_such_module")
    monkeypatch.setitem(RUNTIMES, "openvino", absent)
    certificate = verify_bundle(bundles("two_by_two").path, runtimes=["openvino"])
    row = row_of(certificate, runtime="openvino")
    assert (row.state, row.reason) == ("not_run", "openvino is not installed; pip install openvino")
    assert certificate.verdict == "pass"
    assert (
        verify_bundle(bundles("two_by_two").path, runtimes=["openvino"], require=["openvino"]).verdict == "incomplete"
    )


def test_the_verdict_ignores_extras():
    rows = tuple(Row("x", "saved_model", "openvino", (Finding("why", state),), extra=True) for state in (FAIL, NOT_RUN))
    assert Certificate(rows).verdict == "pass"
    assert Certificate(rows).problems() == []
