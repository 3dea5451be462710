"""Files that start a model elsewhere: those of examples/, and the manifest of KServe by its schema."""

import io
import json
import re
import runpy
import shlex
import types
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from export import load, publish
from export.__main__ import verbs
from export.bundle.tf_serving import PINNED
from export.protocol import rest
from export.serving.kserve_manifest import inference_service
from export.serving.servers import triton
from tests.cluster_fields import check_manifest
from tests.export.serving.servers.nginx import running_nginx
from tests.export.test_cli import run
from zoobase.errors import ExportError

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"


def test_the_workflow_runs_our_commands_against_the_container_of_the_image():
    (job,) = yaml.safe_load((EXAMPLES / "ci" / "tf_serving.yml").read_text())["jobs"].values()
    image = f"tensorflow/serving:{PINNED}"
    assert job["env"]["IMAGE"] == image
    assert f"FROM {image}\n" in (EXAMPLES / "serving" / "Dockerfile").read_text()
    assert f"image: {image}\n" in (EXAMPLES / "serving" / "compose" / "compose.yaml").read_text()
    words = [
        shlex.split(step["run"].partition(" > ")[0], comments=True)
        for step in job["steps"]
        if "-m export" in step.get("run", "")
    ]
    assert [line[3] for line in words] == ["publish", "serve-check", "verify"]
    contexts = [verbs.commands[verb].make_context(verb, arguments) for _, _, _, verb, *arguments in words]
    assert [c.params.get("base_path", c.params.get("bundle")) for c in contexts[1:]] == [
        Path("models/mnist"),
        Path("out/mnist"),
    ]


@pytest.mark.parametrize("file", ["serving/Dockerfile", "triton/Dockerfile", "cluster/Dockerfile"])
def test_an_image_is_pinned_and_its_lines_can_be_read(file):
    text = (EXAMPLES / file).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    known = {"FROM", "COPY", "RUN", "ENV", "EXPOSE", "CMD", "HEALTHCHECK", "WORKDIR"}
    assert {line.split()[0] for line in lines} <= known
    assert re.search(r":\d", lines[0])
    for line in lines:
        if line.startswith(("CMD", "HEALTHCHECK")):
            assert all(isinstance(word, str) for word in json.loads(line[line.index("[") :]))
        if line.startswith("RUN"):
            shlex.split(line)
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    if file.startswith("cluster"):
        assert {"setup.cfg", "zoo", "export", "requirements/3.11.txt"} <= {*copied}
        assert all((ROOT / name).exists() for name in copied)


def test_the_triton_repository_has_the_form_of_the_starter(bundles, tmp_path):
    """It differs from what `serve --server triton` writes in paths, names and shapes only."""
    endpoint = bundles("functional_cnn").contract["serving_default"]
    triton.write_model(tmp_path / "mine", Path("saved_model"), endpoint)
    written, example = (
        re.sub(r'dims: \[[^]]*\]|(string_value|name): "[^"]*"', "", path.read_text())
        for path in (tmp_path / "mine" / "config.pbtxt", EXAMPLES / "triton" / "models" / "mine" / "config.pbtxt")
    )
    lines = [line for line in example.splitlines() if not line.startswith("#")]
    assert sorted({*lines}) == sorted({*written.splitlines()})
    copied = re.findall(r"export/\S+\.py", (EXAMPLES / "triton" / "Dockerfile").read_text())
    assert len(copied) == 3
    assert all((ROOT / name).is_file() for name in copied)


def test_the_script_of_sagemaker(bundles):
    bundle, file = bundles("functional_cnn"), io.BytesIO()
    handler = runpy.run_path(str(EXAMPLES / "sagemaker" / "code" / "inference.py"))
    handler["SIGNATURES"]["text/plain"] = ("text", 1)

    def request(kind, content):
        context = types.SimpleNamespace(request_content_type=kind, accept_header="application/json")
        return handler["input_handler"](io.BytesIO(content), context)

    Image.fromarray(np.full((12, 12), 200, np.uint8)).save(file, "png")
    body = request("image/png", file.getvalue())
    assert body == request("application/x-image", file.getvalue())
    inputs = rest.decode_request(body, {t.name: t.dtype for t in bundle.contract["bytes"].inputs})
    loaded = load(bundle.path)
    expected = loaded["serving_default"](image=np.full((1, 12, 12, 1), 200, np.float32))
    np.testing.assert_allclose(loaded["bytes"](**inputs)["logits"], expected["logits"], atol=1e-5)
    assert json.loads(request("text/plain", "café".encode()))["instances"] == [["café"]]
    assert request("application/json; charset=utf-8", b'{"instances": []}') == '{"instances": []}'
    with pytest.raises(ValueError, match="text/csv is not supported; send one of: application/json, image"):
        request("text/csv; header=present", b"")


def test_nginx_divides_the_requests_and_logs_bodies(tmp_path):
    text = (EXAMPLES / "serving" / "nginx_split" / "nginx.conf").read_text()
    text = text.replace("http://127.0.0.1:8501", f"http://unix:{tmp_path}/model:").replace("10% _canary", "25% _canary")
    text = text.replace("10% 1;", "50% 1;").replace("requests.jsonl", f"{tmp_path}/requests.jsonl")
    stub = f"server {{ listen unix:{tmp_path}/model; location / {{ return 200 $request_uri; }} }}"
    with running_nginx(text.rstrip().removesuffix("}") + stub + "}", tmp_path, "listen 8080;") as address:
        paths = []
        for _ in range(200):
            request = urllib.request.Request(f"{address}/v1/models/mine:predict", b'{"instances": [1]}')
            with urllib.request.urlopen(request) as response:
                paths.append(response.read().decode().rpartition("/v1/")[2])
        assert {*paths} == {"models/mine:predict", "models/mine_canary:predict"}
        assert 20 < sum("canary" in path for path in paths) < 85  # 50 expected, deviation 6
    lines = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert 60 < len(lines) < 140
    assert all(json.loads(line) == {"instances": [1]} for line in lines)


def predictor_of(text):
    return check_manifest(text)["spec"]["predictor"]


def test_each_version_has_a_uri_of_its_own(bundles, tmp_path):
    bundle, base = bundles("two_by_two").path, tmp_path / "two"
    assert (
        predictor_of(inference_service(bundle, "s3://m/two/", "two"))["model"]["storageUri"] == "s3://m/two/saved_model"
    )
    publish(bundle, base)
    publish(bundle, base)
    newest = inference_service(base, "pvc://models/two")
    assert "canaryTrafficPercent" not in predictor_of(newest)
    assert predictor_of(newest)["model"]["storageUri"] == "pvc://models/two/version-2"
    assert f"First copy {base / '2'} to pvc://models/two/version-2/2." in newest
    canary = predictor_of(inference_service(base, "pvc://models/two", canary=0.25))
    assert (canary["canaryTrafficPercent"], canary["model"]) == (25, predictor_of(newest)["model"])
    with pytest.raises(ExportError, match="between 0 and 1"):
        inference_service(base, "pvc://models/two", canary=1)
    with pytest.raises(ExportError, match="holds no version"):
        inference_service(tmp_path, "pvc://models/two", "two")
    for arguments, text in (
        ((tmp_path, "models", "two"), "is not a URI"),
        ((tmp_path, "s3://a b", "two"), "is not a URI"),
        ((tmp_path, "s3://a", "Two_1"), "cannot be the name of a service"),
        ((tmp_path / "none", "s3://a"), "is neither a bundle nor a base path"),
    ):
        with pytest.raises(ExportError, match=text):
            inference_service(*arguments)


def test_the_command(bundles, tmp_path):
    words = ("manifest", "kserve", bundles("two_by_two").path, "--uri", "s3://b/two", "--name", "two")
    text = json.loads(run(*words, "--json").stdout)["manifest"]
    result = run(*words, "-o", tmp_path / "two.yaml")
    assert result.stdout.endswith(f"Next: kubectl apply -f {tmp_path / 'two.yaml'}\n")
    assert (tmp_path / "two.yaml").read_text() == text
    assert run("manifest", "docker", "BUNDLE", "--uri", "s3://b").returncode == 2
