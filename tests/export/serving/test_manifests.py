"""Manifests: an InferenceService by its schema, a repository that Triton itself serves, an image by what it copies."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from export import load, publish
from export.__main__ import verbs
from export.serving import manifests
from export.serving.rollout.state import State, write_state
from export.serving.servers import launching, triton
from tests.cluster_fields import check_manifest
from tests.export.test_cli import run
from zoobase.errors import ExportError


def test_an_inference_service(bundles, tmp_path):
    bundle = bundles("two_by_two").path
    service = check_manifest(manifests.inference_service(bundle, "s3://models/two/", "two"))
    assert service["spec"]["predictor"]["model"]["storageUri"] == "s3://models/two/saved_model"
    publish(bundle, tmp_path / "two")
    assert "canary" not in manifests.inference_service(tmp_path / "two", "pvc://models/two")
    publish(bundle, tmp_path / "two")
    write_state(tmp_path / "two", State(1, canary=2, share=0.25))
    service = check_manifest(manifests.inference_service(tmp_path / "two", "pvc://models/two"))
    predictor = service["spec"]["predictor"]
    assert (predictor["canaryTrafficPercent"], predictor["model"]["storageUri"]) == (25, "pvc://models/two")
    for arguments, text in (
        ((tmp_path, "models", "two"), "is not a URI"),
        ((tmp_path, "s3://a b", "two"), "is not a URI"),
        ((tmp_path, "s3://a", "Two_1"), "cannot be the name of a service"),
        ((tmp_path / "none", "s3://a"), "is neither a bundle nor a base path"),
    ):
        with pytest.raises(ExportError, match=text):
            manifests.inference_service(*arguments)


@pytest.mark.needs("triton")
def test_triton_serves_its_repository(bundles, tmp_path):
    """The repository is moved: it holds all that its models read."""
    bundle = bundles("functional_cnn").path
    manifests.write_triton(bundle, tmp_path / "written", "net").rename(tmp_path / "moved")
    http, grpc = launching.free_ports(2)
    image = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 1)).astype("float32")
    body = {"name": "image", "shape": image.shape, "datatype": "FP32", "data": image.ravel().tolist()}
    with triton.serving_repository(tmp_path / "moved" / "models", http, grpc):
        answer = launching.fetch(f"http://127.0.0.1:{http}/v2/models/net/infer", json.dumps({"inputs": [body]}))
        launching.fetch(f"http://127.0.0.1:{http}/v2/models/net-bytes")
    (output,) = json.loads(answer)["outputs"]
    expected = load(bundle)["serving_default"](image=image)["logits"]
    np.testing.assert_allclose(np.reshape(output["data"], output["shape"]), expected, rtol=1e-4, atol=1e-5)


def test_the_workflow_runs_our_commands_in_the_container_of_the_project(bundles, tmp_path):
    root = Path(__file__).parents[3]
    (job,) = yaml.safe_load((root / "examples" / "serving" / "tf-serving.yml").read_text())["jobs"].values()
    manifests.write_docker(bundles("two_by_two").path, tmp_path / "image", "two")
    assert f"FROM {job['container']['image']}\n" in (tmp_path / "image" / "Dockerfile").read_text()
    words = [shlex.split(step["run"], comments=True) for step in job["steps"] if "-m export" in step.get("run", "")]
    assert [line[3] for line in words] == ["publish", "serve-check"]
    for _, _, _, verb, *arguments in words:
        context = verbs.commands[verb].make_context(verb, arguments)
        assert context.params["base_path"] == Path("models/mnist")


@pytest.mark.parametrize("kind", ["docker", "triton"])
def test_an_image_copies_what_is_there(kind, bundles, tmp_path):
    bundle = bundles("two_by_two").path
    result = run("manifest", kind, bundle, "-o", tmp_path / "image", "--name", "two", "--json")
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "image" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} <= {"FROM", "COPY", "RUN", "ENV", "EXPOSE", "CMD", "HEALTHCHECK"}
    assert ":" in lines[0]  # a version
    for line in lines:
        if line.startswith("COPY"):
            assert (tmp_path / "image" / line.split()[1]).is_dir()
        if line.startswith(("CMD", "HEALTHCHECK")):
            assert all(isinstance(word, str) for word in json.loads(line[line.index("[") :]))
        if line.startswith("RUN"):
            shlex.split(line)
    assert [*(tmp_path / "image").rglob("saved_model.pb")]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    with pytest.raises(ExportError, match="exists; give a folder that does not"):
        manifests.write_docker(bundle, tmp_path / "image")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("kserve", "BUNDLE"), "needs --uri"),
        (("docker", "BUNDLE", "--uri", "s3://a"), "needs --uri"),
        (("triton", "BUNDLE"), "triton needs -o FOLDER"),
    ],
)
def test_wrong_use(words, text):
    result = run("manifest", *words)
    assert (result.returncode, text in result.stderr) == (2, True), result.stderr
