"""The provenance of a training."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from export.attestation import bom, envelope, statement
from export.bundle.layout import read_manifest
from tests.export.attestation.mutations import write_keys
from tests.zoo.conftest import FIXTURES
from zoo.core.run_folder import RunFolder
from zoo.training.provenance import _digests as digests_of_data
from zoo.training.provenance import weights_digest
from zoobase.files import sha256


@pytest.fixture
def bundle(trained, tmp_path):
    """Return a copy of the bundle of a run, which may be changed."""
    return shutil.copytree(trained("mnist") / "bundle", tmp_path / "bundle")


@pytest.mark.extended
def test_the_provenance_has_what_a_training_used(trained, bundle):
    run = RunFolder.open(trained("mnist"))
    config, provenance = run.read("config.json"), read_manifest(bundle)["metadata"]["provenance"]
    definition = provenance["buildDefinition"]
    settings = definition["externalParameters"]["settings"]
    assert (settings["seed"], settings["recipe"]["epochs"]) == (config["seed"], 2)
    assert definition["internalParameters"]["machine"]["cpus"] == config["machine"]["cpus"]
    roles = {}
    for entry in definition["resolvedDependencies"]:
        roles.setdefault(entry["annotations"]["role"], {})[entry["name"]] = entry
    files = {path.name: sha256(path) for path in (FIXTURES / "fashion_mnist").iterdir()}
    assert {name: e["digest"]["sha256"] for name, e in roles["data"].items()} == files
    assert {name: e["annotations"]["version"] for name, e in roles["package"].items()} == config["versions"]
    assert len(roles["package"]["tensorflow"]["digest"]["sha256"]) == 64
    revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert roles["source"]["source"]["digest"]["gitCommit"] == revision
    assert roles["source"]["source"]["annotations"]["changed"] in (True, False)
    weights, metrics = provenance["runDetails"]["byproducts"]
    assert weights["digest"]["sha256"] == weights_digest(run.model())
    assert metrics["annotations"] == run.metrics()


def test_many_files_have_one_digest(tmp_path):
    for number in range(17):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    ((name, digest),) = digests_of_data(str(tmp_path)).items()
    assert name == "SHA256SUMS of 17 files"
    sums = subprocess.run("sha256sum $(ls | LC_ALL=C sort)", shell=True, cwd=tmp_path, capture_output=True).stdout
    assert digest == hashlib.sha256(sums).hexdigest()
    assert digests_of_data("https://example.com/data.zip") == digests_of_data(None) == {}


@pytest.mark.needs("attestation")
def test_it_is_a_statement_and_in_the_bill_of_materials(bundle, tmp_path):
    private, public, *_ = write_keys(tmp_path)
    envelope.sign(bundle, statement.statements_of(bundle), private)
    attestation = envelope.check(bundle, [public])
    manifest = read_manifest(bundle)
    assert attestation.predicates[statement.PROVENANCE] == manifest["metadata"]["provenance"]
    assert attestation.predicates[statement.CERTIFICATE]["data"][0]["digest"]["sha256"]
    content = bom.to_json("bundle", manifest)
    assert {"keras", "t10k-images-idx3-ubyte.gz", "source"} <= {c["name"] for c in content["components"]}
