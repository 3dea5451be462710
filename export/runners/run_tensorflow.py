"""Run the signatures of a SavedModel in a fresh TensorFlow, and replay its warm-up records as TF Serving does."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.protocol import calls, runner
    from export.protocol.c_api import fields
else:
    import calls
    import runner
    from c_api import fields

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000  # kMaxNumRecords of TF Serving: with more it rejects the model
LOGS = {2: "classify_log", 3: "regress_log", 4: "multi_inference_log", 5: "session_run_log", 6: "predict_log"}
TOLERANCE = 1e-3  # in units of the largest value of a response; this only detects records of another model


@dataclass(frozen=True)
class PredictLog:
    """A predict request and the response to it, with serialised TensorProto messages by name."""

    signature: str
    inputs: Mapping[str, bytes]
    outputs: Mapping[str, bytes]


def decode_log(record: bytes) -> tuple[str | None, PredictLog | None]:
    """Return the kind of a PredictionLog, and its content if that is "predict_log"; ValueError if it is damaged."""
    (kind, content), *_ = [(LOGS[n], v) for n, v in fields(record) if n in LOGS] or [(None, b"")]
    if kind != "predict_log":
        return kind, None
    parts = dict(fields(content))
    request, response = (list(fields(parts.get(number, b""))) for number in (1, 2))
    spec = dict(fields(dict(request).get(1, b"")))
    return kind, PredictLog(spec.get(3, b"").decode(), _entries(request, 2), _entries(response, 1))


def _entries(message: Iterable[tuple[int, bytes | int]], number: int) -> dict[str, bytes]:
    entries = [dict(fields(value)) for n, value in message if n == number]
    return {entry[1].decode(): entry.get(2, b"") for entry in entries}


def replay(saved_model: str, signatures: Mapping[str, Any]) -> list[str]:
    """Return a message for every record, if there are any, that TF Serving would reject, or whose response differs."""
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
        return [*messages, f"the warm-up records cannot be read: {calls.one_line(error)[:220]}"]
    return messages


def _records(path: Path) -> Iterator[bytes]:
    import tensorflow as tf

    yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()


def _array(data: bytes) -> np.ndarray:
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    return tf.make_ndarray(tensor_pb2.TensorProto.FromString(data))


def _replay(record: bytes, signatures: Mapping[str, Any]) -> str | None:
    """Return why a record does not fit the model, or None."""
    import tensorflow as tf

    kind, log = decode_log(record)
    if log is None:
        return f"it is a {kind or 'empty record'}, which this model does not serve"
    name = log.signature or "serving_default"
    if name not in signatures:
        return f"it asks for signature {name}; the model has {', '.join(sorted(signatures))}"
    specs = signatures[name].structured_input_signature[1]
    if set(log.inputs) != set(specs):
        return f"it gives {', '.join(sorted(log.inputs))} to {name}, which takes {', '.join(sorted(specs))}"
    inputs = {}
    for key, data in log.inputs.items():
        value = tf.constant(_array(data))
        if value.dtype != specs[key].dtype or not specs[key].shape.is_compatible_with(value.shape):
            return (
                f"it gives {key} as {value.dtype.name} {tuple(value.shape)} to {name}, which takes "
                f"{specs[key].dtype.name} {specs[key].shape}"
            )
        inputs[key] = value
    try:
        outputs = {key: value.numpy() for key, value in signatures[name](**inputs).items()}
    except Exception as error:
        return f"{name} raises {calls.one_line(error)[:180]}"
    return _response_difference(name, log, outputs)


def _response_difference(name: str, log: PredictLog, outputs: Mapping[str, np.ndarray]) -> str | None:
    """Return which output differs from the recorded response, or None."""
    for key, data in log.outputs.items():
        expected = _array(data)
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


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a SavedModel and return its signatures."""
    import tensorflow as tf

    loaded = tf.saved_model.load(artifact["path"])

    def function(endpoint: dict[str, Any]) -> runner.Function:
        signature = loaded.signatures[endpoint["name"]]
        dtypes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}

        def call(inputs: runner.Arrays) -> runner.Arrays:
            outputs = signature(**{k: tf.constant(v, dtypes[k]) for k, v in inputs.items()})
            return {k: calls.widened(v).numpy() for k, v in outputs.items()}

        call.keep_alive = loaded  # a signature does not keep a reference to its variables
        return call

    return runner.by_endpoint(artifact, function, loaded.signatures)


def check(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Replay the warm-up records."""
    loaded = next(iter(opened.values()))["main"].keep_alive
    return replay(artifact["path"], loaded.signatures)


def constants(artifact: dict[str, Any], opened: runner.Opened) -> Any:
    """Yield (name, array) of the variables."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(os.path.join(artifact["path"], "variables", "variables"))
    for name in reader.get_variable_to_shape_map():
        if not name.startswith("_CHECKPOINTABLE"):
            yield name, reader.get_tensor(name)


def versions() -> dict[str, str]:
    """Return the versions of the runtime."""
    import tensorflow as tf

    return {"tensorflow": tf.__version__}


RUNTIME = runner.Runtime(
    "tensorflow",
    __file__,
    distribution="tensorflow",
    module="tensorflow",
    formats=("saved_model",),
    open=open_artifact,
    versions=versions,
    required=True,
    process=runner.Process(imports=("keras", "tensorflow"), forked_from="keras"),
    capabilities=runner.Capabilities(measures_noise=("saved_model",), check=check, serves=True, constants=constants),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
