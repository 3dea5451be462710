"""What the statements of a bundle say, and that only what was signed is read."""

import base64
import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from export import verify_bundle
from export.attestation import envelope, statement
from export.bundle.layout import files_of, read_certificate, read_manifest
from tests.export.attestation.mutations import SCRIPT
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
