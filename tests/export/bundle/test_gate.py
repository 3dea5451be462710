"""Attacks: a bundle or an artifact from elsewhere makes this machine do nothing that the user has not trusted by name.

Every attack is built here; none is shipped as a file.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

import export
from export import publish, verify_bundle
from export.__main__ import verbs
from export.artifacts import ANY, describe, is_trusted
from export.bundle import gate
from export.protocol import machine
from export.runtime.backend import load_tensorflow
from tests import commands
from tests.export.conftest import reseal
from zoobase import console
from zoobase.errors import CheckFailed, ExportError, Unavailable

tf = load_tensorflow()

INSTALLED = dict(os.environ) | {"PYTHONPATH": commands.ROOT}


def run(*words, cwd):
    return commands.run("-m", *words, cwd=cwd, env=INSTALLED, fresh=True)


def saved_model(folder, function, dtype="float32", shape=(None, 2), **tracked):
    """Write a SavedModel whose signature x -> y is `function(module, x)`."""

    module = type("Module", (tf.Module,), {})()
    for name, make in tracked.items():
        setattr(module, name, make())
    call = tf.function(lambda x: {"y": function(module, x)}, [tf.TensorSpec(shape, dtype, name="x")])
    module.call = call
    tf.saved_model.save(module, folder, signatures=call.get_concrete_function())
    return folder


def write_file(mark):
    def call(module, x):
        with tf.control_dependencies([tf.io.write_file(str(mark), "x")]):
            return tf.identity(x)

    return call


def cache_dataset(mark):
    def call(module, x):
        cached = tf.data.Dataset.range(3).cache(str(mark))
        return x * tf.cast(cached.reduce(tf.constant(0, tf.int64), lambda a, b: a + b), tf.float32)

    return call


# === Code of a Keras file ===


def test_a_module_in_the_bundle_is_never_imported(damaged, tmp_path):
    """The attack of the issue: the manifest names a module that lies in the bundle, which is the current folder."""
    folder = damaged("functional_cnn")
    mark = tmp_path / "mark"
    (folder / "payload.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    reseal(folder, code_dependency={"package": "payload", "modules": ["payload"]})
    plain = run("export", "verify", ".", "--runtime", "keras", "--json", cwd=folder)
    rows = {row["artifact"]: row for row in json.loads(plain.stdout)["artifacts"]}
    assert plain.returncode == 1
    assert rows["files"]["reason"].startswith("payload.py is no file of this bundle")
    assert rows["model.keras"]["state"] == "not_run"
    assert "needs the code of payload, which is not trusted; --trust payload" in rows["model.keras"]["reason"]
    trusted = run("export", "verify", ".", "--runtime", "keras", "--trust", "payload", "--json", cwd=folder)
    assert "payload, which is not installed" in trusted.stdout
    assert not mark.exists()


def test_a_package_that_is_trusted_and_installed_is_imported_and_confined(damaged, tmp_path):
    folder, packages = damaged("functional_cnn"), tmp_path / "packages"
    packages.mkdir()
    mark = tmp_path / "mark"
    code = f"try:\n    open({str(mark)!r}, 'w')\nexcept PermissionError:\n    raise ImportError('it is confined')\n"
    (packages / "classes_of_theirs.py").write_text(code)
    reseal(folder, code_dependency={"package": "classes_of_theirs", "modules": ["classes_of_theirs"]})
    environment = INSTALLED | {"PYTHONPATH": os.pathsep.join([INSTALLED["PYTHONPATH"], str(packages)])}
    command = [sys.executable, "-m", "export", "verify", folder, "--runtime", "keras", "--trust", "classes_of_theirs"]
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, mark.exists()) == (3, False)
    assert "classes_of_theirs cannot be imported (ImportError: it is confined)" in ran.stdout
    (packages / "classes_of_theirs.py").write_text("")
    assert subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True).returncode == 0


def test_load_imports_nothing_untrusted(damaged):
    folder = damaged("functional_cnn")
    reseal(folder, code_dependency={"package": "antigravity", "modules": ["antigravity"]})
    with pytest.raises(CheckFailed, match="needs the code of antigravity, which is not trusted"):
        export.load(folder, "keras")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("words", [("zoo",), ("export", "formats"), ("pipelines", "datasets"), ("zoo.train", "--help")])
def test_a_module_of_the_current_folder_does_not_shadow_ours(words, tmp_path):
    for name in ("numpy", "click", "rich"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('code of the current folder')\n")
    assert run(*words, cwd=tmp_path).returncode == 0


# === SavedModels that act ===


@pytest.mark.parametrize(("attack", "operator"), [(write_file, "WriteFile"), (cache_dataset, "CacheDatasetV2")])
def test_a_saved_model_that_acts_is_run_by_no_verb(damaged, tmp_path, attack, operator):
    mark = tmp_path / "mark"
    evil = saved_model(tmp_path / "evil", attack(mark))
    mark.unlink(missing_ok=True)
    description = describe(evil)
    assert operator in description.unlisted
    assert is_trusted(description, description.unlisted)
    assert is_trusted(description, [ANY])
    assert not is_trusted(description, ["PartitionedCall"])
    folder = damaged("functional_cnn")
    shutil.rmtree(folder / "saved_model" / "1")
    shutil.copytree(evil, folder / "saved_model" / "1")
    reseal(folder)
    certificate = export.verify_bundle(folder)
    (reason,) = {row.reason for row in certificate.rows if row.format == "saved_model"}
    assert certificate.verdict == "fail"
    assert f"--trust {description.unlisted[0]}" in reason
    with pytest.raises(CheckFailed, match=operator):
        export.load(folder)
    with pytest.raises(CheckFailed, match=operator):
        export.publish(folder, tmp_path / "base")
    with pytest.raises(CheckFailed, match=operator):
        export.compare(evil, folder / "tflite" / "float32.tflite")
    assert not list(tmp_path.glob("mark*"))


def test_a_signature_that_the_contract_does_not_have_is_refused(bundles):
    folder = bundles("functional_cnn").path
    manifest = json.loads((folder / "manifest.json").read_text())
    artifact = gate.find_saved_model(manifest)
    assert artifact["endpoints"][0] == "serving_default"
    assert gate.refusal(folder, artifact, ()) is None
    assert gate.refusal(folder, artifact | {"endpoints": artifact["endpoints"][1:]}, ()) == (
        "it has a signature 'serving_default', which the contract does not have: a server would answer it"
    )


# === Paths and manifests ===


@pytest.mark.parametrize("path", ["/etc", "../elsewhere", "saved_model/../../elsewhere", "a\\b", "C:/x", ""])
def test_paths_of_a_manifest_stay_in_the_bundle(damaged, path):
    folder = damaged("functional_cnn")
    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    artifacts[0]["path"] = path
    reseal(folder, artifacts=artifacts)
    with pytest.raises(
        ExportError, match=r"which is not a path inside it|manifest.json is malformed at artifacts.0.path"
    ):
        export.verify_bundle(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 2}, "manifest schema 2, which this version does not know"),
        ({"schema": "1"}, "malformed at schema"),
        ({"contract": {}}, "malformed at contract"),
        ({"contract": {"endpoints": [{"name": 3}]}}, "malformed at contract.endpoints.0"),
        ({"artifacts": {}}, "malformed at artifacts"),
        ({"artifacts": [{"format": "pickle"}]}, "malformed at artifacts.0"),
        ({"code_dependency": {"package": "x", "modules": ["a b; import os"]}}, "malformed at code_dependency"),
        ({"demanded": None}, "malformed at demanded"),
    ],
)
def test_a_malformed_manifest_is_one_sentence(damaged, change, sentence):
    folder = damaged("functional_cnn")
    reseal(folder, **change)
    for call in (export.verify_bundle, export.load, lambda bundle: export.publish(bundle, bundle.parent / "base")):
        with pytest.raises(ExportError, match=sentence):
            call(folder)


def test_what_the_current_folder_holds_is_not_installed(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    assert gate.home_of("only_here") is None
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # who names it there means it
    assert gate.home_of("only_here") == str(tmp_path.resolve())
    assert gate.home_of("numpy")


@pytest.mark.extended
def test_the_gate_needs_no_tensorflow(bundles, tmp_path):
    code = (
        "import sys, export, numpy as np\n"
        f"net = export.load({str(bundles('functional_cnn').path)!r}, 'c_api')['serving_default']\n"
        "assert net(image=np.ones((3, 12, 12, 1)))['logits'].shape == (3, 4)\n"
        f"export.publish({str(bundles('functional_cnn').path)!r}, {str(tmp_path / 'base')!r})\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], env=INSTALLED, check=True)


def test_what_cannot_be_confined_is_loaded_where_that_is_trusted_only(bundles, monkeypatch, capsys):
    monkeypatch.setattr(machine, "abi", lambda: 0)
    folder = bundles("two_by_two").path
    file = folder / "tflite/float32.tflite"
    with pytest.raises(Unavailable, match=r"cannot confine .*; --trust unconfined loads it without"):
        export.compare(file, file)
    with pytest.raises(SystemExit) as ended:
        console.run(verbs, ["verify", str(folder), "--runtime", "litert"])
    assert ended.value.code == 3
    assert "--trust unconfined" in capsys.readouterr().err
    assert export.compare(file, file, trust=["unconfined"]).verdict == "same"
    certificate = export.verify_bundle(folder, runtimes=["litert"], trust=["unconfined"])
    assert {row.state for row in certificate.rows if row.runtime == "litert"} == {"pass"}


def test_a_bundle_agrees_with_its_certificate(bundles):
    for name in ("functional_cnn", "masked", "text"):  # with an unsupported HDF5 or TFLite file
        folder = bundles(name).path
        manifest, certificate = (json.loads((folder / n).read_text()) for n in ("manifest.json", "parity.json"))
        assert gate.find_contradiction(manifest, certificate) is None
        assert certificate["request"]["formats"] == ["keras", "hdf5", "weights", "saved_model", "tflite"]


def test_verify_and_publish_find_another_manifest_than_the_proven_one(damaged, tmp_path):
    folder = damaged("functional_cnn")
    manifest = json.loads((folder / "manifest.json").read_text())
    next(a for a in manifest["artifacts"] if a["format"] == "tflite").update(state="unsupported", reason="no operator")
    (folder / "tflite/float32.tflite").unlink()
    reseal(folder, artifacts=manifest["artifacts"])
    certificate = verify_bundle(folder, runtimes=["c_api"])
    assert certificate.verdict == "fail"
    assert certificate.problems()[0].startswith("files: manifest.json says that tflite/float32.tflite is unsupported")
    with pytest.raises(CheckFailed, match="is not what was proven"):
        publish(folder, tmp_path / "m")
