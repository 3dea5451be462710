"""REST requests among the golden inputs: sent to every runtime of a SavedModel, and part of the verdict."""

import json

import numpy as np
import pytest

from export import verify_bundle
from export.protocol import rest
from tests.export.conftest import reseal

# pixels and image files; tokens of a fixed batch; two inputs and outputs; strings
MODELS = ("functional_cnn", "characters", "two_by_two", "text", "category")


@pytest.mark.parametrize("name", MODELS)
def test_every_endpoint_of_a_saved_model_answers_rows_and_columns(bundles, name):
    bundle = bundles(name)
    rows = [row for row in bundle.certificate.rows if row.format == "saved_model" and row.state == "pass"]
    assert {row.runtime for row in rows} >= {"tensorflow", "c_api"}
    for row in (row for row in rows if not row.extra):
        outcomes = {name: figures["rest"] for name, figures in row.endpoints.items()}
        assert outcomes == {key: {"row": "as reference", "column": "as reference"} for key in row.endpoints}
    for endpoint in bundle.contract.carried_by("saved_model"):
        for form, key in (("row", "instances"), ("column", "inputs")):
            body = json.loads((bundle.path / "golden" / "rest" / f"{endpoint.name}.{form}.json").read_text())
            assert set(body) == {"signature_name", key}


def test_strings_are_plain_in_rows_and_base64_in_columns(bundles):
    folder = bundles("text").path / "golden" / "rest"
    rows = json.loads((folder / "serving_default.row.json").read_text())["instances"]
    columns = json.loads((folder / "serving_default.column.json").read_text())["inputs"]
    assert all(isinstance(r[0] if isinstance(r, list) else r, str) for r in rows)
    assert all(set(c[0] if isinstance(c, list) else c) == {"b64"} for c in columns)
    files = json.loads((bundles("functional_cnn").path / "golden" / "rest" / "bytes.row.json").read_text())
    assert all(set(row) == {"b64"} for row in files["instances"])  # no image file is UTF-8
    mixed = {"x": np.array(["né".encode(), b"\xff\x00"], object)}
    body = rest.encode_request(mixed, "f", plain=True)
    assert json.loads(body)["instances"] == ["né", {"b64": "/wA="}]
    assert rest.decode_request(body, {"x": "string"})["x"].tolist() == mixed["x"].tolist()


def test_a_wrong_request_fails_the_verdict_and_is_named(damaged):
    folder = damaged("two_by_two")
    path = folder / "golden" / "rest" / "serving_default.row.json"
    body = json.loads(path.read_text())
    one = next(iter(body["instances"][0]))
    body["instances"][0][one][0] += 1.0
    path.write_text(json.dumps(body))
    column = path.with_name("serving_default.column.json")
    body = json.loads(column.read_text())
    del body["inputs"][one]
    column.write_text(json.dumps(body))
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["tensorflow"])
    row = next(row for row in certificate.rows if row.runtime == "tensorflow")
    assert certificate.verdict == "fail"
    assert "endpoint serving_default: REST request by row: " in row.reason
    assert "differs by" in row.reason
    assert "was expected" in row.endpoints["serving_default"]["rest"]["column"]
