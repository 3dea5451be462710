"""The bill of materials is valid by the library's own schema, and has what a training used."""

import json

import pytest

from export.attestation import bom
from export.bundle.layout import read_manifest

pytestmark = pytest.mark.needs("attestation")

PROVENANCE = {
    "buildDefinition": {
        "resolvedDependencies": [
            {"name": "images.gz", "digest": {"sha256": "a" * 64}, "annotations": {"role": "data", "licence": "MIT"}},
            {
                "name": "keras",
                "uri": "pkg:pypi/keras@3.15.1",
                "digest": {"sha256": "b" * 64},
                "annotations": {"role": "package", "version": "3.15.1", "of": "RECORD"},
            },
            {"name": "imagenet", "digest": {"sha256": "c" * 64}, "annotations": {"role": "initial weights"}},
            {"name": "source", "digest": {"gitCommit": "d" * 40}, "annotations": {"role": "source"}},
        ]
    }
}


def problem(content):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(content))


def test_it_is_valid_and_has_model_data_packages_and_lineage(bundles):
    manifest = read_manifest(bundles("two_by_two").path)
    manifest |= {"metadata": {"licence": "Apache-2.0", "provenance": PROVENANCE}, "metrics": {"accuracy": 0.9}}
    content = bom.to_json("two_by_two", manifest)
    assert problem(content) is None
    assert content == bom.to_json("two_by_two", manifest)
    model = content["metadata"]["component"]
    assert (model["type"], model["licenses"][0]["license"]["name"]) == ("machine-learning-model", "Apache-2.0")
    assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == [{"type": "accuracy", "value": "0.9"}]
    components = {c["name"]: c for c in content["components"]}
    assert components.keys() == {*manifest["files"], "images.gz", "keras", "imagenet", "source"}
    assert components["images.gz"]["licenses"][0]["license"]["name"] == "MIT"
    assert components["images.gz"]["bom-ref"] == model["modelCard"]["modelParameters"]["datasets"][0]["ref"]
    assert (components["keras"]["purl"], components["keras"]["version"]) == ("pkg:pypi/keras@3.15.1", "3.15.1")
    assert components["keras"]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert components["imagenet"]["type"] == "machine-learning-model"
    assert {"name": "keras-proof-zoo:digest gitCommit", "value": "d" * 40} in components["source"]["properties"]
    (edges,) = (d for d in content["dependencies"] if d["ref"] == "model")
    assert len(edges["dependsOn"]) == len(components)
    content["components"][0]["type"] = "picture"
    assert problem(content) is not None


def test_a_bundle_of_another_program_has_the_packages_that_wrote_it(bundles):
    content = bom.to_json("two_by_two", read_manifest(bundles("two_by_two").path))
    assert problem(content) is None
    assert {"keras", "tensorflow"} <= {c["name"] for c in content["components"]}
