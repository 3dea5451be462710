"""Predict requests and the PredictionLog of TF Serving as bytes, without its package; only the standard library.

Source: tensorflow_serving/apis/{prediction_log,predict,model}.proto. Tensors are serialised TensorProto messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

if __package__:
    from export.wire.c_api import fields
else:
    from c_api import fields

KINDS = {2: "classify_log", 3: "regress_log", 4: "multi_inference_log", 5: "session_run_log", 6: "predict_log"}
PREDICT_LOG, MODEL_SPEC, SIGNATURE_NAME = 6, 1, 3


@dataclass(frozen=True)
class PredictLog:
    """A request, and the response to it."""

    signature: str  # the name of the signature
    inputs: Mapping[str, bytes] = field(default_factory=dict)  # serialised tensors by name
    outputs: Mapping[str, bytes] = field(default_factory=dict)  # as `inputs`

    def encode(self) -> bytes:
        """Return the PredictionLog, the same bytes for the same values."""
        request = _field(MODEL_SPEC, _field(SIGNATURE_NAME, self.signature.encode())) + _map(2, self.inputs)
        return _field(PREDICT_LOG, _field(1, request) + _field(2, _map(1, self.outputs)))


def decode(record: bytes) -> tuple[str | None, PredictLog | None]:
    """Return the kind of a PredictionLog, and its content if that is "predict_log".

    Raises:
        ValueError: If it is truncated or is not protobuf.
    """
    (kind, content), *_ = [(n, v) for n, v in fields(record) if n in KINDS] or [(None, b"")]
    if kind != PREDICT_LOG:
        return KINDS.get(kind), None
    parts = dict(fields(content))
    request, response = (list(fields(parts.get(number, b""))) for number in (1, 2))
    spec = dict(fields(dict(request).get(MODEL_SPEC, b"")))
    signature = spec.get(SIGNATURE_NAME, b"").decode()
    return KINDS[kind], PredictLog(signature, _entries(request, 2), _entries(response, 1))


def _field(number: int, content: bytes) -> bytes:
    head, size = bytearray([number << 3 | 2]), len(content)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + content


def _map(number: int, values: Mapping[str, bytes]) -> bytes:
    return b"".join(_field(number, _field(1, name.encode()) + _field(2, values[name])) for name in sorted(values))


def _entries(message: list[tuple[int, bytes | int]], number: int) -> dict[str, bytes]:
    entries = [dict(fields(value)) for n, value in message if n == number]
    return {entry[1].decode(): entry.get(2, b"") for entry in entries}
