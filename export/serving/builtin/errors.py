"""Errors of the server: one of the canonical codes of gRPC, and a sentence, in TF Serving's words where it has some."""

from __future__ import annotations

from tensorflow.core.protobuf import error_codes_pb2

from tensorflow_serving.apis.status_pb2 import StatusProto  # isort: skip

from export.wire import c_api, rest

HTTP = {  # http_server.cc of TF Serving; other codes are 500
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}


class ServingError(Exception):
    """A request that is not answered.

    Attributes:
        code: The name of the canonical code, such as "NOT_FOUND".
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def http_status(self) -> int:
        """The status of HTTP."""
        return HTTP.get(self.code, 500)


def status_of(error: ServingError | None) -> StatusProto:
    """Return the message of a status; None is OK."""
    if error is None:
        return StatusProto()
    return StatusProto(error_code=error_codes_pb2.Code.Value(error.code), error_message=str(error))


def as_serving_error(error: Exception) -> ServingError:
    """Return the error of a model or of a request as what the client is told."""
    message = " ".join(str(error).split())
    if isinstance(error, ServingError):
        return error
    if isinstance(error, c_api.TensorFlowError):
        return ServingError(error_codes_pb2.Code.Name(error.code), message)
    if isinstance(error, (rest.NotJson, ValueError, KeyError, TypeError, AttributeError)):
        return ServingError("INVALID_ARGUMENT", message or type(error).__name__)
    return ServingError("INTERNAL", f"{type(error).__name__}: {message}")
