"""The level wire: every golden call is encoded and decoded as JSON by the REST rules and as gRPC protos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from export.contract import Endpoint
from export.parity.cases import GoldenCase
from export.parity.comparison import exact_differences
from export.serving.servecheck.version import Level, ServedVersion
from export.wire import rest


def check(version: ServedVersion) -> Level:
    """Encode and decode each golden call as JSON and as protos, and compare the values."""
    messages = [
        f"{endpoint.name}, case {case.name}: {text}"
        for endpoint, case in version.calls
        for text in _check(version, endpoint, case)
    ]
    calls = len(version.calls)
    return Level.concluded("wire", messages, f"{calls} calls as JSON and as PredictRequest", calls)


def _check(version: ServedVersion, endpoint: Endpoint, case: GoldenCase) -> Iterator[str]:
    try:
        body = rest.encode_request(case.inputs, endpoint.name)
        decoded = rest.decode_request(body, {t.name: t.dtype for t in endpoint.inputs})
        yield from exact_differences(case.inputs, decoded, "JSON request")
        response = rest.decode_response(
            rest.encode_response(case.outputs), {name: value.dtype for name, value in case.outputs.items()}
        )
        yield from exact_differences(case.outputs, response, "JSON response")
    except rest.NotJson as error:
        yield str(error)
    yield from exact_differences(case.inputs, _as_predict_request(version, endpoint, case), "PredictRequest")
    yield from exact_differences(case.outputs, _as_predict_response(case), "PredictResponse")


def _as_predict_request(version: ServedVersion, endpoint: Endpoint, case: GoldenCase) -> dict[str, np.ndarray]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = version.base.name, endpoint.name
    request.model_spec.version.value = version.version
    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    for name, value in case.inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtype=dtypes[name]))
    decoded = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    return {name: tf.make_ndarray(proto) for name, proto in decoded.inputs.items()}


def _as_predict_response(case: GoldenCase) -> dict[str, np.ndarray]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    for name, value in case.outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    decoded = predict_pb2.PredictResponse.FromString(response.SerializeToString())
    return {name: tf.make_ndarray(proto) for name, proto in decoded.outputs.items()}
