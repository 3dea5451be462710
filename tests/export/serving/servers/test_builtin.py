"""The built-in server, asked by the clients of TF Serving: JSON over HTTP, and the stubs of tensorflow-serving-api."""

from __future__ import annotations

import json
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format, text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from export import load, publish
from export.parity.cases import read_golden
from export.serving.builtin import tensors
from export.serving.builtin.request_log import FILES, NAME, RequestLog
from export.serving.servers import builtin, launching, local
from export.wire import rest
from tests.export.serving.rollout.server import settled
from zoobase.errors import CheckFailed


class Client:
    """REST and gRPC of one model."""

    def __init__(self, served):
        self.url, self.name = served.url, served.url.rpartition("/")[2]
        self.channel = grpc.insecure_channel(served.grpc)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.management = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def get(self, path=""):
        return json.loads(launching.fetch(self.url + path))

    def refused(self, path, body=None):
        with pytest.raises(launching.Refused) as error:
            launching.fetch(self.url + path, body)
        return error.value.status, json.loads(error.value.body)["error"]

    def predict(self, inputs, version=None, label=None, **fields):
        request = predict_pb2.PredictRequest(**fields)
        request.model_spec.name = self.name
        if version is not None:
            request.model_spec.version.value = version
        if label is not None:
            request.model_spec.version_label = label
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        return self.prediction.Predict(request, timeout=60)


@pytest.fixture(scope="module")
def base(bundles, tmp_path_factory):
    """Return a base path with two versions."""
    base = tmp_path_factory.mktemp("served") / "net"
    for _ in range(2):
        publish(bundles("functional_cnn").path, base)
    return base


@pytest.fixture(scope="module")
def client(base, tmp_path_factory):
    log = tmp_path_factory.mktemp("log")
    with local.serving(
        local.model_of(base), builtin, *launching.free_ports(1), options=builtin.Options(log=log)
    ) as served:
        client = Client(served)
        client.log = log / NAME
        yield client


def cases_of(bundle):
    cases = read_golden(bundle.path / "golden", bundle.contract)
    return [(name, case) for name, group in cases.items() for case in group if case.outputs and case.compared]


def test_golden_calls_by_rest_and_grpc(client, bundles):
    bundle = bundles("functional_cnn")
    endpoints = {e.name for e in bundle.contract.carried_by("saved_model")}
    asked = 0
    for name, case in cases_of(bundle):
        if name not in endpoints or case.chain:
            continue
        response = client.predict(case.inputs, model_spec={"signature_name": name})
        assert (response.model_spec.signature_name, response.model_spec.version.value) == (name, 2)
        values = {key: tf.make_ndarray(value) for key, value in response.outputs.items()}
        dtypes = {key: value.dtype for key, value in case.outputs.items()}
        for row in (True, False):
            body = rest.encode_request(case.inputs, name, row=row)
            answer = rest.decode_response(launching.fetch(f"{client.url}:predict", body), dtypes)
            for key, value in case.outputs.items():
                assert np.array_equal(answer[key], values[key], equal_nan=value.dtype.kind == "f")
                if value.dtype.kind == "f":
                    np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-5)
        asked += 1
    assert asked >= 4


def test_the_status_is_that_of_tf_serving(client):
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert client.get() == {"model_version_status": [{"version": "2", **available}]}  # the newest one alone
    assert client.get("/versions/2") == client.get() == client.get("/labels/any")
    assert client.refused("/versions/7") == (404, "Could not find version 7 of model net")
    request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "net"})
    response = client.management.GetModelStatus(request)
    assert json_format.ParseDict(client.get(), get_model_status_pb2.GetModelStatusResponse()) == response
    request.model_spec.name = "other"
    with pytest.raises(grpc.RpcError) as error:
        client.management.GetModelStatus(request)
    expected = (grpc.StatusCode.NOT_FOUND, "Could not find any versions of model other")
    assert (error.value.code(), error.value.details()) == expected


def test_the_metadata_is_that_of_tf_serving(client, base):
    from tensorflow.core.protobuf import saved_model_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec={"name": "net"})
    request.metadata_field.append("signature_def")
    response = client.prediction.GetModelMetadata(request)
    unpacked = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(unpacked)
    graph = saved_model_pb2.SavedModel.FromString((base / "2" / "saved_model.pb").read_bytes()).meta_graphs[0]
    assert dict(unpacked.signature_def) == dict(graph.signature_def)
    answer = client.get("/metadata")
    assert answer["model_spec"] == {"name": "net", "signature_name": "", "version": "2"}
    parsed = json_format.ParseDict(answer["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap())
    assert parsed == unpacked
    assert client.get("/versions/2/metadata") == answer
    request.metadata_field[0] = "graph"
    with pytest.raises(grpc.RpcError, match="Metadata field graph is not supported"):
        client.prediction.GetModelMetadata(request)


IMAGE = {"image": np.zeros((2, 12, 12, 1), "float32")}


def test_refusals(client):
    body = rest.encode_request(IMAGE, "serving_default")
    for path, status, text in (
        (":classify", 400, "Expected classification signature method_name to be tensorflow/serving/classify"),
        (":regress", 400, "Expected regression signature method_name"),
        (":train", 400, "Malformed request: POST"),
        ("/versions/9:predict", 404, "Servable not found for request: Specific(net, 9)"),
        ("/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
    ):
        answer = client.refused(path, body)
        assert (answer[0], text in answer[1]) == (status, True), answer
    assert client.refused(":predict", "{")[0] == 400
    wrong = json.dumps({"signature_name": "no", "instances": [0]})
    assert client.refused(":predict", wrong) == (400, 'Serving signature name: "no" not found in signature def')
    for code, arguments in (
        ("NOT_FOUND", {"version": 9}),
        ("INVALID_ARGUMENT", {"label": "stable"}),
        ("INVALID_ARGUMENT", {"output_filter": ["no"]}),
        ("FAILED_PRECONDITION", {"model_spec": {"signature_name": "no"}}),
    ):
        with pytest.raises(grpc.RpcError) as error:
            client.predict(IMAGE, **arguments)
        assert error.value.code().name == code
    for inputs in ({"other": IMAGE["image"]}, {"image": IMAGE["image"].astype("float64")}, {"image": np.zeros(3, "f")}):
        with pytest.raises(grpc.RpcError) as error:
            client.predict(inputs)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as error:
        client.prediction.Classify(classification_pb2.ClassificationRequest(model_spec={"name": "net"}))
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert set(client.predict(IMAGE, output_filter=["logits"]).outputs) == {"logits"}


def test_figures_and_the_request_log(client):
    entry = json.loads(client.log.read_text().splitlines()[-1])
    body = rest.encode_request(IMAGE, "serving_default", row=False)
    launching.fetch(f"{client.url}/versions/2:predict", body)
    client.predict(IMAGE)
    by_rest, by_grpc = map(json.loads, client.log.read_text().splitlines()[-2:])
    assert by_rest["body"] == body
    assert rest.decode_request(by_grpc["body"], {"image": "float32"})["image"].shape == (2, 12, 12, 1)
    assert (by_rest["version"], by_rest["status"], by_rest["seconds"] > 0) == (2, "OK", True)
    assert by_rest["time"] >= entry["time"]
    assert client.log.stat().st_mode & 0o77 == 0
    host = client.url.partition("/v1/")[0]
    lines = launching.fetch(f"{host}/monitoring/prometheus/metrics").splitlines()
    counts = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    assert counts[':tensorflow:serving:request_count{model_name="net",status="NOT_FOUND",version=""}'] == 2
    latency = ':tensorflow:serving:request_latency_{}{{model_name="net",API="Predict",entrypoint="GRPC",version="2"{}}}'
    assert counts[latency.format("count", "")] == counts[latency.format("bucket", ',le="+Inf"')] > 0


def test_the_request_log_is_sampled_and_bounded(tmp_path):
    log = RequestLog(tmp_path, 0.25, file_size=2000, seed=0)
    for number in range(2000):
        log.add({"n": number}, lambda: "x" * 50)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [NAME, *(f"{NAME}.{i}" for i in range(1, FILES))]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    lines = [json.loads(line) for name in reversed(names) for line in (tmp_path / name).read_text().splitlines()]
    numbers = [line["n"] for line in lines]
    assert numbers == sorted(numbers)
    assert 3 < (numbers[-1] - numbers[0]) / len(numbers) < 5
    log.add({"n": 0}, lambda: "x" * 2_000_000)
    assert [json.loads(line)["body"] for line in (tmp_path / NAME).read_text().splitlines() if '"n": 0,' in line] in (
        [],
        [None],
    )


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "uint64", "bool"]
)
def test_tensors_are_those_of_tensorflow(dtype):
    values = np.array([[0, 1, 2], [3, 100, 1]]).astype(dtype)
    assert np.array_equal(tensors.to_array(tf.make_tensor_proto(values)), values)
    assert np.array_equal(tf.make_ndarray(tensors.to_message(values)), values)
    repeated = tf.make_tensor_proto(values.flat[1], shape=(2, 2))
    assert np.array_equal(tensors.to_array(repeated), tf.make_ndarray(repeated))


def test_tensors_of_strings_and_malformed_ones():
    values = np.array([b"a", b"\xff\x00"], object)
    assert tensors.to_array(tf.make_tensor_proto(values)).tolist() == values.tolist()
    assert tf.make_ndarray(tensors.to_message(values)).tolist() == values.tolist()
    for change in (
        {"dtype": 14},
        {"tensor_shape": {"dim": [{"size": 1 << 40}]}},
        {"tensor_shape": {"dim": [{"size": -1}]}},
    ):
        message = tf.make_tensor_proto(values)
        message.MergeFrom(type(message)(**change))
        with pytest.raises(ValueError, match="cannot be read"):
            tensors.to_array(message)


def test_a_configuration_is_read_again_and_reloaded_by_grpc(base, client, tmp_path):
    """By TF Serving's rule, a label does not move to a version that is not loaded: the configuration is refused."""
    config = model_server_config_pb2.ModelServerConfig()
    entry = config.model_config_list.config.add(name="net", base_path=str(base), model_platform="tensorflow")
    entry.model_version_policy.specific.versions.append(1)
    entry.version_labels["stable"] = 1
    config.model_config_list.config.add(name="another", base_path=str(base), model_platform="tensorflow")
    path = tmp_path / "config" / "models.config"
    path.parent.mkdir()
    path.write_text(text_format.MessageToString(config))
    model, options = local.model_of(path), builtin.Options(poll_seconds=0.05)
    with local.serving(model, builtin, *launching.free_ports(1), options=options) as served:
        other = Client(served)
        assert [status["version"] for status in other.get()["model_version_status"]] == ["1"]
        assert other.predict(IMAGE, label="stable").model_spec.version.value == 1
        settled(other.url.replace("net", "another"), {2: "AVAILABLE"})
        request = model_management_pb2.ReloadConfigRequest(config=config)
        moved = request.config.model_config_list.config[0]
        moved.version_labels["stable"] = 2
        with pytest.raises(grpc.RpcError) as error:
            other.management.HandleReloadConfigRequest(request)
        assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "assign label to version 2 of model net, which is not currently available" in error.value.details()
        assert other.predict(IMAGE, label="stable").model_spec.version.value == 1
        entry.model_version_policy.specific.versions.append(2)
        path.write_text(text_format.MessageToString(config))
        settled(other.url, {2: "AVAILABLE", 1: "AVAILABLE"})
        entry.version_labels["stable"] = 2
        del entry.model_version_policy.specific.versions[0]
        path.write_text(text_format.MessageToString(config))
        settled(other.url, {2: "AVAILABLE", 1: "END"})
        assert other.predict(IMAGE, label="stable").model_spec.version.value == 2
        path.write_text("no { configuration")
        assert other.predict(IMAGE, label="stable").model_spec.version.value == 2


def test_a_version_is_loaded_after_the_gate(base, tmp_path, bundles):
    """A damaged version, and one that can execute code, are not served; the one before stays."""
    import shutil

    shutil.copytree(base / "1", tmp_path / "net" / "1")
    with local.serving(local.model_of(tmp_path / "net"), builtin, *launching.free_ports(1)) as served:
        other = Client(served)
        shutil.copytree(base / "1", tmp_path / "net" / ".staged")
        (tmp_path / "net" / ".staged" / "saved_model.pb").write_bytes(b"x")
        (tmp_path / "net" / ".staged").rename(tmp_path / "net" / "2")
        settled(other.url, {2: "END"})
        (status, *_) = other.get()["model_version_status"]
        assert status["status"]["error_code"] == "FAILED_PRECONDITION"
        assert other.predict(IMAGE, version=None).model_spec.version.value == 1
    with (
        pytest.raises(CheckFailed, match="the server refused version 2"),
        local.serving(local.Model("net", tmp_path / "net", 2, (), None), builtin, *launching.free_ports(1)),
    ):
        pass


def test_eight_clients_at_once_get_their_own_answers(client, bundles):
    images = np.random.default_rng(0).uniform(0, 255, (8, 12, 12, 1)).astype("float32")
    expected = load(bundles("functional_cnn").path)["serving_default"](image=images)["logits"]
    wrong = []

    def ask(i):
        for _ in range(5):
            body = rest.encode_request({"image": images[i : i + 1]}, "serving_default")
            (by_rest,) = json.loads(launching.fetch(f"{client.url}:predict", body))["predictions"]
            (by_grpc,) = tf.make_ndarray(client.predict({"image": images[i : i + 1]}).outputs["logits"])
            wrong.extend(i for answer in (by_rest, by_grpc) if not np.allclose(answer, expected[i], atol=1e-4))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
