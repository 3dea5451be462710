"""Signatures of bundles, which also find who changed the checksums."""

import builtins

import pytest

from export import verify_bundle
from export.__main__ import verbs
from export.bundle.signature import find_forgery, sign, signature_of
from tests.export.attestation.mutations import write_keys
from tests.export.conftest import reseal
from tests.plugins import needs
from zoobase.errors import ExportError, Unavailable


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    needs.require("signing")
    private, public, _, other = write_keys(tmp_path_factory.mktemp("keys"))
    return private, public, other


def test_whoever_changes_the_sums_too_is_found(damaged, keys):
    private, public, other = keys
    folder = damaged("functional_cnn")
    assert "there is no signature" in find_forgery(folder, public)
    assert sign(folder, private) == signature_of(folder)
    certificate = verify_bundle(folder, runtimes=["c_api"], signer=public)
    assert [(row.artifact, row.state) for row in certificate.rows[:2]] == [("files", "pass"), ("signature", "pass")]
    assert certificate.verdict == "pass"
    assert f"does not hold for {other}" in verify_bundle(folder, signer=other).problems()[0]
    reseal(folder, metadata={"author": "another"})
    assert verify_bundle(folder, runtimes=["c_api"]).verdict == "pass"
    certificate = verify_bundle(folder, runtimes=["c_api"], signer=public)
    assert certificate.verdict == "fail"
    assert certificate.problems()[0].startswith("signature: the signature")
    assert len(certificate.rows) == 2, "nothing is loaded"


def test_the_command_line_signs_and_verifies(bundles, keys, tmp_path):
    private, public, _ = keys
    model = bundles("two_by_two").path / "model.keras"
    options = ["--formats", "keras,weights", "--sign", str(private), "--quiet"]
    verbs.main(["model", str(model), "-o", str(tmp_path / "b"), *options], standalone_mode=False)
    with pytest.raises(SystemExit) as ended:
        verbs.main(["verify", str(tmp_path / "b"), "--signer", str(public), "--quiet"], standalone_mode=False)
    assert ended.value.code == 0
    with pytest.raises(Unavailable, match="there is no file"):
        verbs.main(["model", str(model), "-o", str(tmp_path / "c"), "--sign", "/none"], standalone_mode=False)
    assert not (tmp_path / "c").exists()


def test_keys_and_packages_that_are_missing(bundles, keys, monkeypatch):
    folder = bundles("two_by_two").path
    with pytest.raises(ExportError, match="cannot sign"):
        sign(folder, keys[1])  # a public key
    assert not signature_of(folder).exists()
    original = builtins.__import__

    def without(name, *arguments, **options):
        if name == "model_signing":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unavailable, match=r"pip install 'model-signing"):
        find_forgery(folder, keys[1])
