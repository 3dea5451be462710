"""The REST rules of TF Serving's documentation and tests, and the requests among the golden inputs."""

import json

import numpy as np
import pytest

from export import verify_bundle
from export.protocol import rest
from tests.export.conftest import reseal
from tests.plugins.tiers import only

# From https://www.tensorflow.org/tfx/serving/api_rest; checked by hand.
REQUESTS = [
    ('{"instances": ["foo", "bar", "baz"]}', {"text": "string"}, {"text": [b"foo", b"bar", b"baz"]}),
    (
        '{"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}',
        {"image_bytes": "string"},
        {"image_bytes": [b"hello", b"world"]},
    ),
    (
        '{"instances": [{"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},'
        ' {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]}]}',
        {"tag": "string", "signal": "int64", "sensor": "float32"},
        {
            "tag": [b"foo", b"bar"],
            "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
            "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
        },
    ),
    (
        '{"inputs": {"tag": ["foo", "bar"], "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],'
        ' "sensor": [[[1, 2], [3, 4]]]}}',
        {"tag": "string", "signal": "int64", "sensor": "float32"},
        {"tag": [b"foo", b"bar"], "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]], "sensor": [[[1, 2], [3, 4]]]},
    ),
    (
        '{"signature_name": "serving_default", "inputs": [[1.0, NaN], [Infinity, -Infinity]]}',
        {"x": "float32"},
        {"x": [[1, np.nan], [np.inf, -np.inf]]},
    ),
    ('{"inputs": {"b64": "AAE="}}', {"x": "string"}, {"x": b"\x00\x01"}),
]
BAD = [
    ('{"instances": [1], "inputs": [1]}', "either instances or inputs"),
    ("{}", "either instances or inputs"),
    ('{"instances": {"x": 1}}', "instances is not a list"),
    ('{"instances": [{"y": 1.0}]}', "y given where x was expected"),
    ('{"instances": [[1.0], [1.0, 2.0]]}', "of one shape"),
]


@pytest.mark.parametrize(("body", "dtypes", "expected_inputs"), REQUESTS)
def test_requests_of_the_documentation(body, dtypes, expected_inputs):
    inputs = rest.decode_request(body, dtypes)
    assert set(inputs) == set(expected_inputs)
    for name, value in expected_inputs.items():
        expected = np.array(value, inputs[name].dtype)
        assert inputs[name].shape == expected.shape
        assert np.array_equal(inputs[name], expected, equal_nan=expected.dtype.kind == "f")
    for row in (False, None):
        decoded = rest.decode_request(rest.encode_request(inputs, "serving_default", row), dtypes)
        assert all(np.array_equal(decoded[n], v, equal_nan=v.dtype.kind == "f") for n, v in inputs.items())


@pytest.mark.parametrize(("body", "text"), BAD)
def test_invalid_requests_are_rejected(body, text):
    with pytest.raises(rest.NotJson, match=text):
        rest.decode_request(body, {"x": "float32"})


def test_responses():
    probabilities = np.array([[0.25, 0.75]], "float32")
    assert json.loads(rest.encode_response({"probabilities": probabilities})) == {"predictions": [[0.25, 0.75]]}
    outputs = {"probabilities": probabilities, "label": np.array([b"cat"], object)}
    assert json.loads(rest.encode_response(outputs)) == {
        "predictions": [{"probabilities": [0.25, 0.75], "label": "cat"}]
    }
    assert json.loads(rest.encode_response(outputs, row=False)) == {
        "outputs": {"probabilities": [[0.25, 0.75]], "label": ["cat"]}
    }
    decoded = rest.decode_response(rest.encode_response(outputs), {"probabilities": "float32", "label": "object"})
    assert decoded["label"].tolist() == [b"cat"]
    with pytest.raises(rest.NotJson, match="the server returned: no such model"):
        rest.decode_response('{"error": "no such model"}', {})


def test_bytes_need_a_name_that_ends_in_bytes():
    photo = np.array([b"\xff\xd8"], object)
    with pytest.raises(rest.NotJson, match="name it photo_bytes"):
        rest.encode_response({"photo": photo})
    assert json.loads(rest.encode_response({"photo_bytes": photo})) == {"predictions": [{"b64": "/9g="}]}


def test_every_float_is_restored_exactly():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view("float32")
    values = np.concatenate([bits, np.array([0.0, -0.0, 1e-45, 3.4028235e38], "float32")])
    decoded = rest.decode_request(rest.encode_request({"x": values}, ""), {"x": "float32"})["x"]
    assert np.array_equal(values, decoded, equal_nan=True)


def test_rows_need_one_first_dimension():
    inputs = {"x": np.zeros((2, 3), "float32"), "threshold": np.float32(0.5).reshape(())}
    assert set(json.loads(rest.encode_request(inputs, "f"))) == {"signature_name", "inputs"}
    with pytest.raises(rest.NotJson, match="column format"):
        rest.encode_request(inputs, "f", row=True)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        *(("1.5", "int32"), ('"1"', "int32"), ("null", "float32"), ('"x"', "float32"), ("true", "float32")),
        *(("300", "uint8"), ("1", "bool"), ("true", "int64"), ("-1", "uint64")),
    ],
)
def test_a_value_of_another_type_is_refused_as_by_tf_serving(value, dtype):
    with pytest.raises(rest.NotJson, match=f"not {dtype} of one shape"):
        rest.decode_request(f'{{"instances": [[{value}]]}}', {"x": dtype})
    assert rest.decode_request('{"instances": [[]]}', {"x": dtype})["x"].shape == (1, 0)
    large = rest.decode_request('{"instances": [18446744073709551615, 1]}', {"x": "uint64"})["x"]
    assert large.tolist() == [2**64 - 1, 1]


# pixels and image files; tokens of a fixed batch; two inputs and outputs; strings
MODELS = ("functional_cnn", "characters", "two_by_two", "text", "category")


@pytest.mark.parametrize("name", only(MODELS, MODELS[:1], {"characters"}))
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
