"""The provenance of a training, and the same training again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest

from export.attestation import bom, envelope, statement
from export.bundle.layout import read_manifest, seal
from tests.export.attestation.mutations import write_keys
from tests.zoo.conftest import FIXTURES, data_dir
from zoo import train
from zoo.core.run_folder import RunFolder
from zoo.training.provenance import _digests as digests_of_data
from zoo.training.provenance import spread, weights_digest
from zoobase.errors import CheckFailed, ExportError, UsageError
from zoobase.files import sha256


@pytest.fixture
def bundle(trained, tmp_path):
    """Return a copy of the bundle of a run, which may be changed."""
    return shutil.copytree(trained("mnist") / "bundle", tmp_path / "bundle")


def change(bundle, edit):
    """Edit the provenance in a bundle, and make its sums fit."""
    manifest = read_manifest(bundle)
    edit(manifest["metadata"]["provenance"])
    seal(bundle, manifest)


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


@pytest.mark.needs("attestation")
def test_the_same_training_again_is_bitwise_equal(bundle, tmp_path, capsys):
    private, *_ = write_keys(tmp_path)
    path = envelope.sign(bundle, statement.statements_of(bundle), private)
    words = ["--from", path, "--out", tmp_path / "again", "--data-dir", data_dir("mnist"), "--no-export"]
    train.main.main([*map(str, words)], standalone_mode=False)
    assert capsys.readouterr().out.endswith("again: bitwise equal\n")


def test_other_weights_are_compared_by_the_spread_of_seeds(bundle, tmp_path):
    options = {"data_dir": data_dir("mnist"), "export": False, "seeds": 2}

    def other_weights(provenance):
        provenance["runDetails"]["byproducts"][0]["digest"]["sha256"] = "0" * 64

    change(bundle, other_weights)
    summary = train.repeat(bundle, out=str(tmp_path / "again"), **options)
    assert summary["repeated"] == "equal within the spread of seeds"
    assert summary["spread"][0] <= summary["original"] <= summary["spread"][1]
    assert {"again", "again-seed-1", "again-seed-2"} <= {path.name for path in tmp_path.iterdir()}

    def other_metrics(provenance):
        annotations = provenance["runDetails"]["byproducts"][1]["annotations"]
        annotations[summary["metric"]] = summary["spread"][1] + 0.01

    change(bundle, other_metrics)
    for name in ("again", "again-seed-1", "again-seed-2"):
        shutil.rmtree(tmp_path / name)
    with pytest.raises(CheckFailed, match="is not equal to the training of"):
        train.repeat(bundle, out=str(tmp_path / "again"), **options)


def test_what_cannot_be_repeated(bundle, tmp_path):
    with pytest.raises(UsageError, match="had a folder of data: give it by --data-dir"):
        train.repeat(bundle)
    with pytest.raises(UsageError, match="seed is a setting of the certificate"):
        train.repeat(bundle, seed=1)
    for words in (["mnist"], ["--config", "x.json"], ["--print-config"], ["--workers", "2"], ["--callback", "a:B"]):
        with pytest.raises(Exception, match="omit the others"):
            train.main.main(["--from", str(bundle), *words], standalone_mode=False)
    manifest = read_manifest(bundle)
    del manifest["metadata"]["provenance"]
    seal(bundle, manifest)
    with pytest.raises(UsageError, match="has no provenance of a training"):
        train.repeat(bundle)
    path = tmp_path / "none.intoto.jsonl"
    path.write_text(json.dumps({"payload": "e30="}) + "\n")
    with pytest.raises(UsageError, match="has no provenance of a training"):
        train.repeat(path)
    path.write_text("{}\n")
    with pytest.raises(ExportError, match="is not a file of envelopes"):
        train.repeat(path)


def test_the_spread_is_that_of_student():
    low, high = spread([1.0, 2.0, 3.0])
    assert (round(low, 3), round(high, 3)) == (-2.968, 6.968)  # 2 -+ 4.303 * 1 * sqrt(4 / 3)
