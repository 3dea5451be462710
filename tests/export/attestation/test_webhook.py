"""The webhook on loopback, and the manifests against the types of Kubernetes and KServe."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
import yaml

from export.attestation.policy import Policy
from export.attestation.webhook import ANNOTATION, server
from export.serving.servers.environments import KSERVE
from tests.export.attestation.test_policy import EXAMPLE

pytestmark = pytest.mark.needs("attestation")

FOLDER = EXAMPLE.parent
# Reads each document as its type, and writes it again: a field that the type does not have is lost, or an error.
ROUND_TRIP = """
import json, re, sys
import kserve, kubernetes.client


def read(value, kind):
    if item := re.fullmatch(r"[Ll]ist\\[(.*)\\]", kind):
        return [read(element, item[1]) for element in value]
    model = getattr(kubernetes.client, kind, None) or getattr(kserve, kind, None)
    if model is None:
        return value
    if hasattr(model, "from_dict"):
        return model.from_dict(value).model_dump(mode="json", by_alias=True, exclude_none=True)
    names = {name: attribute for attribute, name in model.attribute_map.items()}
    parts = {name: read(item, model.openapi_types[names[name]]) for name, item in value.items()}
    model(**{names[name]: part for name, part in parts.items()})
    return parts


for document in json.load(sys.stdin):
    version = document["apiVersion"].rpartition("/")[2]
    print(json.dumps(read(document, version[0].upper() + version[1:] + document["kind"])))
"""


@contextmanager
def serving(root, policy, *tls):
    with server(root, policy, ("127.0.0.1", 0), *tls) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.server_port}/"
        finally:
            listening.shutdown()
            thread.join()


def ask(url, content, **options):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30, **options) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def review_of(thing):
    request = {"uid": "705ab4f5", "operation": "CREATE", "object": thing}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def service(uri):
    return {"kind": "InferenceService", "spec": {"predictor": {"model": {"storageUri": uri}}}}


def test_what_is_admitted_and_what_is_refused(signed, keys, tmp_path):
    folder = signed("two_by_two")
    with serving(tmp_path, Policy(signers=[keys[1]])) as url:

        def answer(thing):
            status, content = ask(url, review_of(thing))
            assert (status, content["kind"], content["response"]["uid"]) == (200, "AdmissionReview", "705ab4f5")
            return content["response"]["allowed"], content["response"].get("status", {}).get("message", "")

        assert answer(service("pvc://two_by_two")) == (True, "")
        deployment = {"kind": "Deployment", "metadata": {"annotations": {ANNOTATION: "two_by_two"}}}
        assert answer(deployment) == (True, "")
        for uri, sentence in (
            ("s3://models/net", "is not on a volume"),
            ("pvc://../etc", "leads out of the volumes"),
            ("pvc://", "leads out of the volumes"),
            ("pvc://none", "there is no attestation"),
        ):
            allowed, message = answer(service(uri))
            assert not allowed
            assert sentence in message
        assert "names no bundle" in answer({"kind": "Deployment"})[1]
        (folder / "labels.txt").write_text("x")
        allowed, message = answer(service("pvc://two_by_two"))
        assert not allowed
        assert "labels.txt was added" in message


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"kind": "AdmissionReview"}', b'{"request": 1}'])
def test_what_is_no_review_is_a_bad_request(tmp_path, body):
    with serving(tmp_path, Policy()) as url:
        assert ask(url, body)[0] == 400


def test_https(signed, keys, tmp_path):
    signed("two_by_two")
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    with serving(tmp_path, Policy(signers=[keys[1]]), certificate, key) as url:
        assert ask(url, review_of(service("pvc://two_by_two")), context=context)[1]["response"]["allowed"]


def documents():
    return [d for path in sorted(FOLDER.glob("*.yaml")) for d in yaml.safe_load_all(path.read_text())]


def round_trip(content):
    words = [KSERVE.python, "-c", ROUND_TRIP]
    done = subprocess.run(words, input=json.dumps(content), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.needs("kserve")
def test_the_manifests_are_what_kubernetes_and_kserve_read():
    content = documents()
    assert [d["kind"] for d in content] == [
        *("InferenceService", "Deployment", "Deployment", "Service", "ValidatingWebhookConfiguration"),
    ]
    assert round_trip(content) == content
    misspelled = json.loads(json.dumps(content[1]).replace('"volumeMounts"', '"volumeMount"'))
    assert round_trip([misspelled]) != [misspelled]


def test_the_manifests_call_what_there_is():
    """The commands of the containers parse, and the webhook finds the bundles of both workloads."""
    from export.__main__ import verbs

    containers = [c for d in documents() if "spec" in d for c in containers_of(d["spec"])]
    commands = [c["command"] + c.get("args", []) for c in containers if "command" in c]
    assert len(commands) == 3
    for words in commands:
        assert words[:3] == ["python", "-m", "export"]
        verbs.get_command(None, words[3]).make_context(words[3], words[4:])
    (configuration,) = (d for d in documents() if d["kind"] == "ValidatingWebhookConfiguration")
    (expression,) = configuration["webhooks"][0]["objectSelector"]["matchExpressions"]
    workloads = [d for d in documents() if expression["key"] in d["metadata"].get("labels", {})]
    assert len(workloads) == 2
    rules = [(r["apiGroups"][0], r["apiVersions"][0], r["resources"][0]) for r in configuration["webhooks"][0]["rules"]]
    assert {(*d["apiVersion"].split("/"), d["kind"].lower() + "s") for d in workloads} == {*rules}


def containers_of(value):
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("containers", "initContainers"):
                yield from item
            yield from containers_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from containers_of(item)
