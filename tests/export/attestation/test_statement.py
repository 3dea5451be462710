"""What statements and the bill of materials say, and that only what was signed is read, whatever is changed."""

import base64
import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from export import verify_bundle
from export.attestation import bom, envelope, statement
from export.bundle.layout import files_of, read_certificate, read_manifest
from tests.export.attestation.mutations import (
    KINDS,
    PAGE,
    SCRIPT,
    Ground,
    accepted_by_us,
    accepted_without_us,
    run,
    to_table,
)
from tests.export.conftest import reseal
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.files import sha256

pytestmark = pytest.mark.needs("attestation")


def parsed(payloads):
    contents = [json.loads(payload) for payload in payloads]
    return {content["predicateType"]: content for content in contents}


def test_every_byte_is_a_subject_and_every_file_comes_from_the_keras_file(bundles):
    folder = bundles("functional_cnn").path
    statements = parsed(statement.statements_of(folder))
    assert list(statements) == [statement.CERTIFICATE, statement.TEST_RESULT, statement.BOM]
    for content in statements.values():
        assert content["_type"] == "https://in-toto.io/Statement/v1"
        subjects = {s["name"]: s["digest"]["sha256"] for s in content["subject"]}
        assert subjects == {name: sha256(folder / name) for name in files_of(folder)}
    predicate = statements[statement.CERTIFICATE]["predicate"]
    Draft202012Validator(json.loads(statement.SCHEMA.read_text())).validate(predicate)
    origin = {"name": "model.keras", "digest": {"sha256": sha256(folder / "model.keras")}}
    assert predicate["reference"] == origin
    conversions = {c["artifact"]: c for c in predicate["conversions"]}
    assert conversions.keys() == {a["path"] for a in read_manifest(folder)["artifacts"]}
    assert {path: c["from"] for path, c in conversions.items()} == {
        path: None if path == "model.keras" else origin for path in conversions
    }
    tflite = conversions["tflite/float32.tflite"]
    assert tflite["files"] == [
        {"name": "tflite/float32.tflite", "digest": {"sha256": sha256(folder / "tflite/float32.tflite")}}
    ]
    (run,) = tflite["runs"]
    assert run["runtime"] == "litert"
    assert run["state"] == "pass"
    assert run["versions"].keys() == {"ai-edge-litert"}
    figures = run["outputs"]["serving_default"]
    assert all(0 <= f["max_error"] <= f["tolerance"] for f in figures.values())
    assert {f["name"] for f in conversions["saved_model/1"]["files"]} == {
        name for name in files_of(folder) if name.startswith("saved_model/1/")
    }
    assert predicate["coverage"] == read_certificate(folder)["coverage"]
    assert predicate["confined"] is True
    result = statements[statement.TEST_RESULT]["predicate"]
    assert result["result"] == "PASSED"
    assert "tflite/float32.tflite in litert" in result["passedTests"]
    assert result["failedTests"] == []


def test_a_verification_states_the_structure_too(bundles):
    folder = bundles("two_by_two").path
    predicate = parsed(statement.statements_of(folder))[statement.CERTIFICATE]["predicate"]
    verified = parsed(statement.statements_of(folder, verify_bundle(folder)))[statement.CERTIFICATE]["predicate"]
    assert (predicate["structure"], verified["structure"]) == (None, "pass")
    Draft202012Validator(json.loads(statement.SCHEMA.read_text())).validate(verified)


def test_a_damaged_bundle_is_not_attested(damaged):
    folder = damaged("two_by_two")
    (folder / "README.md").write_text("ours")
    with pytest.raises(CheckFailed, match=r"README\.md was changed"):
        statement.statements_of(folder)


def test_signatures_hold_for_their_key_only(signed, keys):
    folder = signed("two_by_two")
    attestation = envelope.check(folder, [keys[3], keys[1]])
    assert attestation.signer == keys[1]
    with pytest.raises(CheckFailed, match="does not hold for"):
        envelope.check(folder, [keys[3]])
    with pytest.raises(CheckFailed, match="holds for none of 2 keys"):
        envelope.check(folder, [keys[3], keys[3]])
    (folder / "README.md").write_text("ours")
    reseal(folder)
    with pytest.raises(CheckFailed, match=r"is not what was signed: README\.md was changed"):
        envelope.check(folder, [keys[1]])


@pytest.mark.parametrize(
    "respell",
    [
        lambda text: text.replace('": "', '":"', 1),
        lambda text: text.replace("{", '{"payload": "", ', 1),
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: text + "x",
        lambda text: text.replace('"sig": "', '"sig": " ', 1),
        lambda text: text.replace('"payloadType"', '"more": 1, "payloadType"', 1),
    ],
)
def test_a_statement_has_one_spelling(signed, keys, respell):
    folder = signed("two_by_two")
    path = envelope.envelopes_of(folder)
    path.write_text(respell(path.read_text()))
    with pytest.raises(CheckFailed, match="does not hold for"):
        envelope.check(folder, [keys[1]])
    assert run_script(folder, keys[1]).returncode == 1


def test_keys_that_are_none(signed, keys, tmp_path):
    folder = signed("two_by_two")
    with pytest.raises(ExportError, match="is not a private key"):
        envelope.sign(folder, [b"{}"], keys[1])
    with pytest.raises(ExportError, match="is not a public key"):
        envelope.check(folder, [keys[0]])
    with pytest.raises(Unavailable, match="there is no file"):
        envelope.check(folder, [tmp_path / "none"])
    with pytest.raises(ExportError, match="no key is given"):
        envelope.check(folder, [])


def test_keyless_signing_is_not_run_without_an_identity(signed, monkeypatch):
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_ACTIONS", "CI", "GITLAB_CI", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unavailable, match="not run: keyless signing needs an identity"):
        envelope.sign_keyless(signed("two_by_two"), [b"{}"])


def test_a_statement_of_a_signer_that_is_malformed_is_one_sentence(signed, keys):
    folder = signed("two_by_two")
    subjects = statement.digests_of(folder)
    envelope.sign(folder, [statement.encode(subjects, statement.CERTIFICATE, {"verdict": "pass"})], keys[0])
    with pytest.raises(ExportError, match="the predicate is malformed"):
        envelope.check(folder, [keys[1]])
    with pytest.raises(ValueError, match="At least one subject"):
        statement.encode({}, statement.CERTIFICATE, {"verdict": "pass"})


OURS = {"zoo", "export", "pipelines", "zoobase", "tensorflow", "keras", "numpy"}


def run_script(*words):
    code = (
        f"import runpy, sys; sys.argv = {[str(SCRIPT), *map(str, words)]}\n"
        f"try: runpy.run_path({str(SCRIPT)!r})\n"
        f"finally: print(sorted({OURS} & {{*sys.modules}}))"
    )
    return subprocess.run([sys.executable, "-P", "-c", code], cwd="/", capture_output=True, text=True, timeout=60)


def test_the_thirty_lines_import_nothing_of_ours(signed, keys):
    folder = signed("two_by_two")
    assert len(SCRIPT.read_text().split("\nimport hashlib")[1].splitlines()) <= 30
    done = run_script(folder, keys[1])
    assert (done.returncode, done.stdout) == (0, f"{folder}: pass\n[]\n"), done.stderr
    assert run_script(folder, keys[3]).returncode == 1
    line = json.loads(envelope.envelopes_of(folder).read_text().splitlines()[0])
    assert json.loads(base64.b64decode(line["payload"]))["predicate"]["verdict"] == "pass"
    (folder / "labels.txt").write_text("x")
    done = run_script(folder, keys[1])
    assert (done.returncode, done.stdout) == (1, f"{folder}: not what was signed\n[]\n")


def source(name, digest, uri=None, **annotations):
    return {"name": name, "digest": digest, "annotations": annotations} | ({"uri": uri} if uri else {})


SOURCES = [
    source("images.gz", {"sha256": "a" * 64}, role="data", licence="MIT"),
    source("keras", {"sha256": "b" * 64}, "pkg:pypi/keras@3.15.1", role="package", version="3.15.1", of="RECORD"),
    source("imagenet", {"sha256": "c" * 64}, role="initial weights"),
    source("source", {"gitCommit": "d" * 40}, role="source"),
]
PROVENANCE = {"buildDefinition": {"resolvedDependencies": SOURCES}}


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


@pytest.fixture
def ground(bundles, keys, tmp_path):
    return Ground(tmp_path, bundles("two_by_two").path, bundles("functional_cnn").path, keys)


@pytest.mark.parametrize("count", [104, pytest.param(1000, marks=pytest.mark.proof)])
def test_no_mutation_is_accepted(ground, count):
    assert accepted_by_us(ground)
    assert accepted_without_us(ground)
    rows, _ = run(ground, count)
    assert rows == {kind: [count // len(KINDS), 0, 0] for kind in KINDS}
    assert accepted_by_us(ground)  # everything is as it was: it was the mutations that were refused
    assert accepted_without_us(ground)


def test_the_table_of_the_page_is_that_of_a_thousand_mutations():
    assert to_table({kind: [1000 // len(KINDS), 0, 0] for kind in KINDS}) in PAGE.read_text()
