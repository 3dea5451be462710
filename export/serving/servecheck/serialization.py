"""The level serialization: golden calls are encoded and decoded as JSON by the REST rules and as the protos of gRPC."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from export.bundle.tf_serving import encode_log
from export.contract import Endpoint
from export.parity.cases import GoldenCase
from export.parity.comparison import exact_differences
from export.protocol import rest
from export.runners.run_tensorflow import decode_log
from export.serving.servecheck.version import Level, ServedVersion


def check(version: ServedVersion) -> Level:
    """Encode and decode each golden call as JSON and as protos, and compare the values."""
    messages = [
        f"{endpoint.name}, case {case.name}: {text}"
        for endpoint, case in version.calls
        for text in _check(endpoint, case)
    ]
    calls = len(version.calls)
    return Level.concluded("serialization", messages, f"{calls} calls as JSON and as PredictRequest", calls)


def _check(endpoint: Endpoint, case: GoldenCase) -> Iterator[str]:
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
    for values, tensors, kind in (
        (case.inputs, {t.name: t.dtype for t in endpoint.inputs}, "PredictRequest"),
        (case.outputs, dict.fromkeys(case.outputs), "PredictResponse"),
    ):
        yield from exact_differences(values, _as_protos(endpoint.name, values, tensors), kind)


def _as_protos(signature: str, values: Mapping[str, np.ndarray], dtypes: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the values after their way through a request with them as its tensors."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    tensors = {n: tf.make_tensor_proto(v, dtype=dtypes[n]).SerializeToString() for n, v in values.items()}
    _, log = decode_log(encode_log(signature, tensors, {}))
    assert log is not None
    return {name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(data)) for name, data in log.inputs.items()}
