"""Level 5: serialization. Every golden call is encoded and decoded as JSON by the REST rules and as gRPC protos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from export.contract import Endpoint
from export.parity.golden import Case
from export.proof.certificate import FAIL, PASS
from export.runners.lib import rest
from export.serving.servecheck.subject import Level, Subject


def check(subject: Subject) -> Level:
    """Encode and decode each golden call as JSON and as protos, and compare the values."""
    messages = [
        f"{endpoint.name}, case {case.name}: {text}"
        for endpoint, case in subject.calls
        for text in _check(subject, endpoint, case)
    ]
    reason = messages[0] if messages else None
    details = f"{len(subject.calls)} calls as JSON and as PredictRequest"
    return Level("wire", FAIL if messages else PASS, reason, details)


def _check(subject: Subject, endpoint: Endpoint, case: Case) -> Iterator[str]:
    try:
        body = rest.encode_request(case.inputs, endpoint.name)
        decoded = rest.decode_request(body, {t.name: t.dtype for t in endpoint.inputs})
        yield from _compare(case.inputs, decoded, "JSON request")
        response = rest.decode_response(
            rest.encode_response(case.outputs), {name: value.dtype for name, value in case.outputs.items()}
        )
        yield from _compare(case.outputs, response, "JSON response")
    except rest.NotJson as error:
        yield str(error)
    yield from _compare(case.inputs, _as_predict_request(subject, endpoint, case), "PredictRequest")
    yield from _compare(case.outputs, _as_predict_response(case), "PredictResponse")


def _as_predict_request(subject: Subject, endpoint: Endpoint, case: Case) -> dict[str, np.ndarray]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = subject.base.name, endpoint.name
    request.model_spec.version.value = subject.version
    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    for name, value in case.inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtype=dtypes[name]))
    decoded = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    return {name: tf.make_ndarray(proto) for name, proto in decoded.inputs.items()}


def _as_predict_response(case: Case) -> dict[str, np.ndarray]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    for name, value in case.outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    decoded = predict_pb2.PredictResponse.FromString(response.SerializeToString())
    return {name: tf.make_ndarray(proto) for name, proto in decoded.outputs.items()}


def _compare(values: dict[str, np.ndarray], decoded: dict[str, np.ndarray], what: str) -> Iterator[str]:
    if set(values) != set(decoded):
        yield f"a {what} with {', '.join(sorted(values))} is decoded with {', '.join(sorted(decoded))}"
        return
    for name, value in values.items():
        other = decoded[name]
        if value.shape != other.shape:
            yield f"{name} of shape {value.shape} is decoded from a {what} as {other.shape}"
        elif not np.array_equal(value, other, equal_nan=value.dtype.kind == "f"):
            yield f"{name} is decoded from a {what} with other values"
