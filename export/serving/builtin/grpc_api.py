"""TF Serving's gRPC services: PredictionService (Predict, GetModelMetadata) and ModelService, for this machine only."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.apis.model_pb2 import ModelSpec

from export.serving.builtin import tensors
from export.serving.builtin.errors import ServingError, as_serving_error, status_of
from export.serving.builtin.models import Models
from export.serving.builtin.service import Service, Spec, run
from export.wire import loopback, rest

THREADS, MOST_CALLS = 8, 32
STATES = get_model_status_pb2.ModelVersionStatus.State


def serve(port: int, service: Service) -> grpc.Server:
    """Start the services on a port of 127.0.0.1.

    Raises:
        RuntimeError: If the port is taken.
    """
    options = [("grpc.max_receive_message_length", loopback.LARGEST_BODY), ("grpc.max_send_message_length", -1)]
    options.append(("grpc.so_reuseport", 0))
    server = grpc.server(ThreadPoolExecutor(THREADS), options=options, maximum_concurrent_rpcs=MOST_CALLS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(service), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Management(service.models), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server


def model_status(models: Models, spec: Spec) -> get_model_status_pb2.GetModelStatusResponse:
    """Return the status of a version, or of all versions; as in TF Serving, a label does not choose one."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in models.status(spec.name, spec.version):
        status = response.model_version_status.add(version=version.number, state=STATES.Value(version.state))
        status.status.CopyFrom(status_of(version.error))
    return response


def _answered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Send an exception of a method to the client as its code and message."""

    @functools.wraps(function)
    def method(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return function(self, request)
        except Exception as error:
            answer = as_serving_error(error)
        context.abort(getattr(grpc.StatusCode, answer.code), str(answer))

    return method


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """PredictionService; Classify, Regress and MultiInference answer UNIMPLEMENTED."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @_answered
    def Predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Return the outputs of a signature."""
        name = request.model_spec.signature_name or "serving_default"
        inputs: dict[str, Any] = {}
        body = lambda: rest.encode_request(inputs, name, row=False, plain=True)  # noqa: E731
        spec = _spec(request.model_spec)
        with self.service.answering(spec, "GRPC", body) as version:
            if name not in version.session.signatures:
                raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
            inputs |= {key: tensors.to_array(value) for key, value in request.inputs.items()}
            chosen = _chosen(request.output_filter, version.session.signatures[name].outputs)
            for key, (_, _, dtype) in version.session.signatures[name].inputs.items():
                if key in inputs and dtype != _dtype(inputs[key]):
                    raise ServingError("INVALID_ARGUMENT", f"input {key} is {_dtype(inputs[key])}, not {dtype}")
            outputs = run(version, name, inputs)
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(ModelSpec(name=spec.name, signature_name=name))
            response.model_spec.version.value = version.number
            for key in chosen:
                response.outputs[key].CopyFrom(tensors.to_message(outputs[key]))
            return response

    @_answered
    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Return the signatures."""
        if wrong := [field for field in request.metadata_field if field != "signature_def"]:
            raise ServingError("INVALID_ARGUMENT", f"Metadata field {wrong[0]} is not supported")
        spec = _spec(request.model_spec)
        with self.service.models.using(spec.name, spec.version, spec.label) as version:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = spec.name
            response.model_spec.version.value = version.number
            if request.metadata_field:
                response.metadata["signature_def"].Pack(version.signatures)
            return response


class Management(model_service_pb2_grpc.ModelServiceServicer):
    """ModelService."""

    def __init__(self, models: Models) -> None:
        self.models = models

    @_answered
    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Return the states of the versions of a model."""
        return model_status(self.models, _spec(request.model_spec))

    @_answered
    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serve what a configuration names; the kernel lets this process read only what it was started with."""
        self.models.reload(request.config)
        return model_management_pb2.ReloadConfigResponse(status=status_of(None))


def _spec(message: ModelSpec) -> Spec:
    choice = message.WhichOneof("version_choice")
    version = message.version.value if choice == "version" else None
    return Spec(message.name, version, message.version_label if choice == "version_label" else None)


def _chosen(names: Any, outputs: Any) -> list[str]:
    for name in names:
        if name not in outputs:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(outputs))}}}.",
            )
    if len(set(names)) < len(names):
        raise ServingError("INVALID_ARGUMENT", "duplicate output tensor alias")
    return list(names) or list(outputs)


def _dtype(array: Any) -> str:
    return "string" if array.dtype.kind == "O" else array.dtype.name
