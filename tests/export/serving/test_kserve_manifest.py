"""An InferenceService by its schema, and which version a pod of it serves."""

import json

import pytest

from export import publish
from export.serving.kserve_manifest import inference_service
from export.serving.rollout.state import State, write_state
from tests.cluster_fields import check_manifest
from tests.export.test_cli import run
from zoobase.errors import ExportError


def predictor_of(text):
    return check_manifest(text)["spec"]["predictor"]


def test_each_version_has_a_uri_of_its_own(bundles, tmp_path):
    """A canary is another storageUri with its share; a pod that is started again serves that version and no other."""
    bundle, base = bundles("two_by_two").path, tmp_path / "two"
    assert (
        predictor_of(inference_service(bundle, "s3://m/two/", "two"))["model"]["storageUri"] == "s3://m/two/saved_model"
    )
    publish(bundle, base)
    publish(bundle, base)
    write_state(base, State(1))
    stable = inference_service(base, "pvc://models/two")
    assert "canaryTrafficPercent" not in predictor_of(stable)
    assert predictor_of(stable)["model"]["storageUri"] == "pvc://models/two/version-1"
    assert f"First copy {base / '1'} to pvc://models/two/version-1/1." in stable
    write_state(base, State(1, canary=2, share=0.25))
    canary = predictor_of(inference_service(base, "pvc://models/two"))
    assert (canary["canaryTrafficPercent"], canary["model"]["storageUri"]) == (25, "pvc://models/two/version-2")
    write_state(base, State(2, previous=(1,)))
    promoted = predictor_of(inference_service(base, "pvc://models/two"))
    assert ("canaryTrafficPercent" in promoted, promoted["model"]) == (False, canary["model"])
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
