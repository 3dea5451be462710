"""parity.json conforms to its schema and is converted to JUnit XML and SARIF."""

import copy
import json
import xml.etree.ElementTree as ET
from importlib import resources

import jsonschema
import pytest

from export.proof.certificate import Certificate, Finding, Row
from export.proof.reports import to_junit, to_sarif
from tests.export.test_cli import run

SCHEMA = json.loads((resources.files("export") / "parity.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FIGURES = {"max_abs": 0.0, "max_error": 1e-7, "rmse": 0.0, "sqnr_db": None, "tolerance": 1e-5, "top1": "3/4"}
ROWS = (
    Row("files", "bundle", None),
    Row("model.keras", "keras", "keras", seconds=1.5, endpoints={"f": {"outputs": {"y": FIGURES}}}),
    Row("model.h5", "hdf5", None, (Finding("Keras cannot read it back", "unsupported"),)),
    Row("model.onnx", "onnx", None, (Finding("an operator is missing", "unsupported"),), demanded=True),
    Row("saved_model/1", "saved_model", "tensorflow", (Finding('y differs by 1 & "more" <\0>'),)),
    Row("saved_model/1", "saved_model", "c_api", (Finding("not installed", "not_run"),), required=True),
    Row("saved_model/1", "saved_model", "openvino", (Finding("not installed", "not_run"),)),
)


def test_the_schema_is_valid():
    VALIDATOR.check_schema(SCHEMA)


def test_rows_of_every_kind_conform():
    VALIDATOR.validate(Certificate(ROWS, {"relative": 1e-5}, {"f": {"y": 1e-7}}, {"cores": 2}).to_json())


@pytest.mark.parametrize("name", ["functional_cnn", "masked"])
def test_real_certificates_conform(bundles, name):
    VALIDATOR.validate(json.loads((bundles(name).path / "parity.json").read_text()))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.pop("verdict"), "'verdict' is a required property"),
        (lambda c: c.update(verdict="ok"), "'ok' is not one of"),
        (lambda c: c.update(schema=2), "1 was expected"),
        (lambda c: c["artifacts"][0].update(state="passed"), "'passed' is not one of"),
        (lambda c: c["artifacts"][4].update(reason=None), "None is not of type 'string'"),
        (lambda c: c["artifacts"][0].update(reason="but"), "'but' is not of type 'null'"),
        (lambda c: c["artifacts"][1]["endpoints"]["f"]["outputs"]["y"].update(max_error=-1), "less than the minimum"),
        (lambda c: c["artifacts"][1]["endpoints"]["f"]["outputs"]["y"].pop("tolerance"), "'tolerance' is a required"),
    ],
)
def test_invalid_certificates_are_rejected(change, text):
    certificate = copy.deepcopy(Certificate(ROWS).to_json())
    change(certificate)
    with pytest.raises(jsonschema.ValidationError, match=text):
        VALIDATOR.validate(certificate)


def test_junit():
    suite = ET.fromstring(to_junit(Certificate(ROWS), "flowers")).find("testsuite")
    figures = [suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped")]
    assert figures == ["flowers", "7", "2", "1", "2"]
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert kinds == {
        "files": [],
        "model.keras in keras": [],
        "model.h5": ["skipped"],
        "model.onnx": ["failure"],
        "saved_model/1 in tensorflow": ["failure"],
        "saved_model/1 in c_api": ["error"],
        "saved_model/1 in openvino": ["skipped"],
    }
    messages = [failure.get("message") for failure in suite.iter("failure")]
    assert messages[1] == 'fail: y differs by 1 & "more" <\N{REPLACEMENT CHARACTER}>'


def test_sarif(tmp_path):
    folder = tmp_path / "my bundle"
    (folder / "saved_model" / "1").mkdir(parents=True)
    extra = Row("model.tflite", "tflite", "litert_gpu", (Finding("y differs"),), extra=True)
    (run,) = json.loads(to_sarif(Certificate((*ROWS, extra)), folder))["runs"]
    places = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in run["results"]]
    assert [
        (r["ruleId"], r["level"], p.rpartition("/my%20bundle")[2]) for r, p in zip(run["results"], places, strict=True)
    ] == [
        ("onnx", "error", ""),
        ("saved_model/tensorflow", "error", "/saved_model/1"),
        ("saved_model/c_api", "warning", "/saved_model/1"),
        ("tflite/litert_gpu", "warning", ""),
    ]
    assert run["results"][2]["message"]["text"] == "saved_model/1 in c_api: not_run: not installed"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {r["ruleId"] for r in run["results"]}


def test_verify_writes_reports(damaged, tmp_path):
    folder = damaged("two_by_two")
    (folder / "model.h5").write_bytes(b"x")
    reports = tmp_path / "new" / "junit.xml", tmp_path / "new" / "verify.sarif"
    assert run("verify", folder, "--junit", reports[0], "--sarif", reports[1]).returncode == 1
    assert ET.parse(reports[0]).find(".//failure").get("message") == "fail: model.h5 was changed"
    (result,) = json.loads(reports[1].read_text())["runs"][0]["results"]
    assert (result["level"], result["message"]["text"]) == ("error", "files: fail: model.h5 was changed")
