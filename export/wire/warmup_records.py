"""Replay the warm-up records of a SavedModel as TF Serving does before it serves a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000  # kMaxNumRecords of TF Serving: with more it rejects the model
TOLERANCE = 1e-3  # in units of the largest value of a response; this only detects records of another model


def replay(saved_model: str, signatures: Mapping[str, Any]) -> list[str]:
    """Return a message for every record that TF Serving would reject, or whose recorded response differs.

    Args:
        saved_model: The version folder; it need not have records.
        signatures: {signature name: concrete function}, as returned by `tf.saved_model.load`.
    """
    path = Path(saved_model) / FILE
    if not path.exists():
        return []
    messages = []
    try:
        for number, record in enumerate(_records(path)):
            if number >= MAX_RECORDS:
                return [*messages, f"there are more than {MAX_RECORDS} warm-up records; TF Serving rejects the model"]
            if problem := _replay(record, signatures):
                messages.append(f"warm-up record {number} is stale: {problem}")
    except Exception as error:
        return [
            *messages,
            f"the warm-up records cannot be read: {type(error).__name__}: {' '.join(str(error).split())[:200]}",
        ]
    return messages


def read_requests(saved_model: Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Return (signature name, inputs) of each record for a predict request; empty if there are no records."""
    import tensorflow as tf

    path = saved_model / FILE
    requests = [record.predict_log.request for record in _records(path)] if path.exists() else []
    return [
        (request.model_spec.signature_name, {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()})
        for request in requests
    ]


def _records(path: Path) -> Iterator[Any]:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        record = prediction_log_pb2.PredictionLog()
        record.ParseFromString(data)
        yield record


def _replay(record: Any, signatures: Mapping[str, Any]) -> str | None:
    """Return why a record does not fit the model, or None."""
    import tensorflow as tf

    kind = record.WhichOneof("log_type")
    if kind != "predict_log":
        return f"it is a {kind or 'empty record'}, which this model does not serve"
    request, response = record.predict_log.request, record.predict_log.response
    name = request.model_spec.signature_name or "serving_default"
    if name not in signatures:
        return f"it asks for signature {name}; the model has {', '.join(sorted(signatures))}"
    specs = signatures[name].structured_input_signature[1]
    if set(request.inputs) != set(specs):
        return f"it gives {', '.join(sorted(request.inputs))} to {name}, which takes {', '.join(sorted(specs))}"
    inputs = {}
    for key, proto in request.inputs.items():
        value = tf.constant(tf.make_ndarray(proto))
        if value.dtype != specs[key].dtype or not specs[key].shape.is_compatible_with(value.shape):
            return (
                f"it gives {key} as {value.dtype.name} {tuple(value.shape)} to {name}, which takes "
                f"{specs[key].dtype.name} {specs[key].shape}"
            )
        inputs[key] = value
    try:
        outputs = {key: value.numpy() for key, value in signatures[name](**inputs).items()}
    except Exception as error:
        return f"{name} raises {type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return _response_difference(name, response, outputs)


def _response_difference(name: str, response: Any, outputs: Mapping[str, np.ndarray]) -> str | None:
    """Return which output differs from the recorded response, or None."""
    import tensorflow as tf

    for key, proto in response.outputs.items():
        expected = tf.make_ndarray(proto)
        if key not in outputs:
            return f"it expects {key} of {name}, which returns {', '.join(sorted(outputs))}"
        value = outputs[key]
        if value.shape != expected.shape or value.dtype != expected.dtype:
            return f"it expects {key} of {name} as {expected.dtype} {expected.shape}, not {value.dtype} {value.shape}"
        if expected.dtype.kind != "f":
            if not np.array_equal(value, expected):
                return f"{key} of {name} is not what was recorded"
            continue
        a, b = (value.astype(np.float64) for value in (expected, value))
        scale = max(1.0, float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a))))
        if not np.allclose(a, b, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
            return f"{key} of {name} differs by {float(np.max(np.abs(a - b))):.2g} from what was recorded"
    return None
