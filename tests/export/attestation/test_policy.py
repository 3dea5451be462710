"""Each rule of a policy refuses what breaks it, in every verb that takes a policy."""

import json
from pathlib import Path

import pytest
import yaml

from export import publish
from export.__main__ import verbs
from export.attestation import envelope, statement
from export.attestation.policy import ATTESTATION, Policy, admit, read_policy
from export.serving.publisher import find_version_damage
from tests.export.conftest import reseal
from zoobase.errors import CheckFailed, ExportError, UsageError

pytestmark = pytest.mark.needs("attestation")

EXAMPLE = Path(__file__).parents[3] / "examples" / "admission" / "policy.toml"
DROP = {"metric": "accuracy", "reference": 0.9, "value": 0.89, "drop": 0.01, "low": 0.0, "high": 0.02, "examples": 100}


@pytest.fixture
def edited(damaged):
    """Return a function that edits the certificate and the manifest of a copy of a bundle, and makes the sums fit."""

    def edit(certificate=None, **changes):
        folder = damaged("functional_cnn")
        data = json.loads((folder / "parity.json").read_text())
        (certificate or (lambda _: None))(data)
        (folder / "parity.json").write_text(json.dumps(data))
        reseal(folder, **changes)
        return folder

    return edit


def with_quantized(*drops):
    """Return changes of a bundle after which its TFLite file is an int8 file with these metric drops."""

    def change(data):
        for row in data["artifacts"]:
            if row["format"] == "tflite":
                row["endpoints"] = {"serving_default": {"quantised": {}, "budget": {}}}
                row["endpoints"]["serving_default"] |= {"evaluation": drops[0]} if drops else {}

    return change


def as_int8(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    artifacts = [a | {"quantize": "int8"} if a["format"] == "tflite" else a for a in manifest["artifacts"]]
    reseal(folder, artifacts=artifacts)
    return folder


def set_reservation(data):
    data["artifacts"][1]["reservations"] = {"random": ["RandomUniform"]}
    data["verdict"] = "pass, with stated reservations"


def test_the_bundle_as_it_is_is_admitted(bundles):
    assert admit(bundles("functional_cnn").path, Policy())["verdict"] == "pass"


@pytest.mark.parametrize(
    ("certificate", "policy", "sentence"),
    [
        (lambda d: d.update(verdict="incomplete"), Policy(), "its verdict is incomplete, not pass"),
        (set_reservation, Policy(verdict=["pass", "pass, with stated reservations"]), "it has the reservation random"),
        (lambda d: d["environment"].update(confinement=None), Policy(), "its proof was not confined by the kernel"),
        (lambda d: d["environment"].update(confinement={"landlock": 0}), Policy(), "was not confined"),
        (lambda d: d.update(coverage={}), Policy(min_coverage=0.5), "its coverage was not measured"),
        (
            lambda d: d["coverage"]["units"].update(all=100, active=49),
            Policy(min_coverage=0.5),
            "its coverage is 0.490",
        ),
        (None, Policy(licences=["MIT"]), "the licence of the model is not stated"),
    ],
)
def test_a_rule_refuses(edited, certificate, policy, sentence):
    with pytest.raises(CheckFailed, match=sentence):
        admit(edited(certificate), policy)


def test_licences_of_model_and_data(edited):
    data = {"name": "images", "digest": {"sha256": "a" * 64}, "annotations": {"role": "data", "licence": "CC-BY-NC"}}
    provenance = {"buildDefinition": {"resolvedDependencies": [data]}}
    folder = edited(metadata={"licence": "MIT", "provenance": provenance})
    assert admit(folder, Policy(licences=["MIT", "CC-BY-NC"]))
    with pytest.raises(CheckFailed, match="the licence of images is CC-BY-NC"):
        admit(folder, Policy(licences=["MIT"]))


def test_the_whole_interval_of_a_drop_counts(edited):
    folder = as_int8(edited(with_quantized(DROP)))
    assert admit(folder, Policy(max_drop=0.02))
    with pytest.raises(CheckFailed, match=r"float32\.tflite may be 0\.0200; at most 0\.015"):
        admit(folder, Policy(max_drop=0.015))


def test_a_quantized_file_without_a_drop_is_refused(edited):
    folder = as_int8(edited(with_quantized()))
    assert admit(folder, Policy())
    with pytest.raises(CheckFailed, match="was not measured"):
        admit(folder, Policy(max_drop=1))


def write_policy(folder, key, **rules):
    path = folder / "policy.toml"
    rules = {"signers": [str(key)], **rules}
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in rules.items()))
    return path


def test_publish_asks_the_policy(signed, keys, tmp_path):
    folder, base = signed("two_by_two"), tmp_path / "served"
    policy, other = write_policy(tmp_path, keys[1]), tmp_path / "other"
    other.mkdir()
    refusing = write_policy(other, keys[3])
    with pytest.raises(CheckFailed, match="does not hold for"):
        publish(folder, base, policy=refusing)
    assert not base.exists()
    version = publish(folder, base, policy=policy).path
    assert (version / ATTESTATION).read_bytes() == envelope.envelopes_of(folder).read_bytes()
    assert find_version_damage(version) == []
    second = publish(folder, base, policy=policy).path
    assert admit(base, read_policy(policy)) == admit(second, read_policy(policy))
    with pytest.raises(CheckFailed, match="does not hold for"):
        admit(base, read_policy(refusing))
    (second / "variables" / "more").write_text("ours")
    with pytest.raises(CheckFailed, match="variables/more was added"):
        admit(base, read_policy(policy))
    (second / "variables" / "more").unlink()
    with pytest.raises(CheckFailed, match="needs signers in the policy"):
        admit(second, Policy())
    unsigned = publish(signed("functional_cnn"), tmp_path / "none").path
    (unsigned / ATTESTATION).unlink()
    with pytest.raises(CheckFailed, match="there is no attestation"):
        admit(tmp_path / "none", read_policy(policy))


def test_the_command_line(signed, keys, tmp_path, capsys):
    def call(*words):
        verbs.main([*map(str, words), "--quiet"], standalone_mode=False)

    folder, base = signed("two_by_two"), tmp_path / "served"
    envelope.envelopes_of(folder).unlink()
    policy = write_policy(tmp_path, keys[1])
    with pytest.raises(CheckFailed, match="python -m export attest"):
        call("admit", folder, "--policy", policy)
    call("attest", folder, "--key", keys[0], "--verify")
    assert envelope.check(folder, [keys[1]]).predicates[statement.CERTIFICATE]["structure"] == "pass"
    call("admit", folder, "--policy", policy)
    call("publish", folder, base, "--policy", policy)
    call("admit", base, "--policy", policy)
    capsys.readouterr()
    call("bom", folder)
    assert json.loads(capsys.readouterr().out)["bomFormat"] == "CycloneDX"
    with pytest.raises(Exception, match="either --key KEY or --keyless"):
        call("attest", folder)


def test_a_policy_that_is_malformed(tmp_path):
    assert read_policy(EXAMPLE).signers == [EXAMPLE.parent / "key.pub"]
    path = tmp_path / "policy.toml"
    for text, error, sentence in (
        ("max_drops = 1", UsageError, "did you mean max_drop"),
        ("max_drop = true", ExportError, "the rule max_drop"),
        ("signers = 'key.pub'", ExportError, "the rule signers"),
        ("confined = 1", ExportError, "the rule confined"),
        ("verdict = ['passed']", UsageError, "unknown verdict"),
        ("verdict =", ExportError, "is not valid TOML"),
    ):
        path.write_text(text)
        with pytest.raises(error, match=sentence):
            read_policy(path)


def test_the_manifests_call_what_there_is():
    documents = [yaml.safe_load(path.read_text()) for path in sorted(EXAMPLE.parent.glob("*.yaml"))]
    commands = [c["command"] for d in documents for c in init_containers(d["spec"])]
    assert len(commands) == 2
    for words in commands:
        assert words[:3] == ["python", "-m", "export"]
        verbs.get_command(None, words[3]).make_context(words[3], words[4:])


def init_containers(value):
    for key, item in value.items() if isinstance(value, dict) else ():
        if key == "initContainers":
            yield from item
        yield from init_containers(item)
