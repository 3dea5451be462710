"""Files for TF Serving beside a SavedModel: warm-up records, a model configuration, and the command that serves it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.contract import Endpoint
from export.parity.cases import LARGEST_CASE, GoldenCase

WARMUP = "assets.extra/tf_serving_warmup_requests"
CONFIG = "models.config"
PINNED = "2.19.1"  # of the image of TF Serving in the compose file and in examples/; the newest is 2.20


def write_warmup(saved_model: Path, endpoints: Iterable[Endpoint], cases: Mapping[str, Sequence[GoldenCase]]) -> int:
    """Write the calls that TF Serving makes before it serves a version, from golden cases; return how many."""
    # With the response, which shows a record of another model; TF Serving rejects a model for one invalid request.
    import tensorflow as tf

    path = saved_model / WARMUP
    path.parent.mkdir(exist_ok=True)
    records = [record for endpoint in endpoints for record in _records(endpoint, cases[endpoint.name])]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return len(records)


def _records(endpoint: Endpoint, cases: Sequence[GoldenCase]) -> Iterator[bytes]:
    """Yield the smallest ordinary case of an endpoint, and its real samples if it has any."""
    import tensorflow as tf

    for case in cases:
        rows = len(next(iter(case.inputs.values())))
        small = sum(value.nbytes for value in case.inputs.values()) <= LARGEST_CASE
        if case.name not in ("real", "batch_1") or not case.outputs or not small or rows % (endpoint.batch or 1):
            continue
        size = endpoint.batch or rows
        inputs = {t.name: tf.make_tensor_proto(case.inputs[t.name][:size], dtype=t.dtype) for t in endpoint.inputs}
        outputs = {name: tf.make_tensor_proto(value[:size]) for name, value in case.outputs.items()}
        given, answers = ({name: t.SerializeToString() for name, t in part.items()} for part in (inputs, outputs))
        # of tensorflow_serving/apis/{prediction_log,predict,model}.proto; `run_tensorflow.decode_log` reads it
        request = _field(1, _field(3, endpoint.name.encode())) + _map(2, given)
        yield _field(6, _field(1, request) + _field(2, _map(1, answers)))


def _map(number: int, values: Mapping[str, bytes]) -> bytes:
    return b"".join(_field(number, _field(1, name.encode()) + _field(2, values[name])) for name in sorted(values))


def _field(number: int, content: bytes) -> bytes:
    head, size = bytearray([number << 3 | 2]), len(content)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + content


def loader_note(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what `publish` says of the loader that a SavedModel is proven in, where the pinned server has another."""
    ran = [row["versions"] for row in rows if row["runtime"] == "c_api" and row["state"] == "pass"]
    version, minor = next(iter(ran[0].values())) if ran else "", PINNED.rpartition(".")[0]
    if not version or version.startswith(f"{minor}."):
        return None
    return (
        f"proven in the loader of TensorFlow {version}; the compose file and examples/ pin TF Serving {PINNED}, whose "
        f"loader serve-check compares after python -m export servers --install tensorflow-{minor}"
    )


def models_config(name: str) -> str:
    """Return a configuration for `--model_config_file`, for a base path mounted as /models/NAME."""
    return (
        f'model_config_list {{\n  config {{\n    name: "{name}"\n    base_path: "/models/{name}"\n'
        f'    model_platform: "tensorflow"\n  }}\n}}\n'
    )


def docker_command(name: str, folder: str) -> str:
    """Return the command line that serves a base path by REST on port 8501 and by gRPC on 8500."""
    ports, volume = "-p 8500:8500 -p 8501:8501", f'-v "{folder}:/models/{name}"'
    return f"docker run --rm {ports} {volume} -e MODEL_NAME={name} tensorflow/serving"
