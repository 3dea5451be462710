"""The REST rules, with the requests and responses of TF Serving's documentation and tests."""

import json

import numpy as np
import pytest

from export.protocol import rest

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
