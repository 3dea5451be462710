"""Files of a bundle that hold anything: each is refused in one sentence, and none inflates without bound."""

import json
import resource
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import export
from export.__main__ import verbs
from export.artifacts import describe
from export.bundle import card, diff, layout
from export.cli.inputs import read_samples
from export.contract import Contract, Endpoint, Tensor
from export.formats.keras import read_model
from export.parity.cases import read_golden
from export.parity.golden import cases_for, check_samples
from export.proof.certificate import Certificate, Finding, Row
from export.proof.evaluation import Quantization
from export.runtime.backend import load_tensorflow
from zoobase import run
from zoobase.errors import ExportError

BUNDLE = Path(__file__).parents[2] / "fixtures/bundle"  # two layers of the zoo, as .keras, .h5 and weights
CONTRACT = Contract.from_json(layout.read_manifest(BUNDLE)["contract"])
X = Tensor("x", "float32", (None, 2))


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(BUNDLE, tmp_path / "bundle")


@pytest.fixture
def bomb(tmp_path):
    """Return a function: names of members -> a zip file of 300 kB in which each inflates to 300 MB."""

    def write(name, *members):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                with archive.open(member, "w") as file:
                    for _ in range(300):
                        file.write(bytes(1_000_000))
        return path

    return write


JSON = ["[]", "3", "{", "", "[" * 100_000, "null", "\0"]  # what is none of our files


@pytest.mark.parametrize("content", [*JSON, '{"verdict": "pass"}', '{"verdict": []}'])
def test_a_file_that_is_none_of_ours_is_one_sentence(bundle, content):
    for file, read, sentence in (
        ("parity.json", layout.read_verdict, r"is not a bundle: parity\.json"),
        ("golden/cases.json", lambda bundle: read_golden(bundle / "golden", CONTRACT), "are malformed"),
        ("manifest.json", lambda bundle: export.load(bundle, "keras"), r"is not a bundle: manifest\.json"),
    ):
        intact = (bundle / file).read_text()
        (bundle / file).write_text(content)
        with pytest.raises(ExportError, match=sentence):
            read(bundle)
        (bundle / file).write_text(intact)


@pytest.mark.parametrize(
    "change",
    [
        lambda contract: contract["endpoints"][0]["inputs"][0].update(name="not an identifier"),
        lambda contract: contract["endpoints"][0]["inputs"][0].update(meaning="smell"),
        lambda contract: contract["endpoints"][0]["inputs"][0].update(dtype="float33"),
        lambda contract: contract["endpoints"][0].update(formats=["pickle"]),
        lambda contract: contract["endpoints"][0].update(structure="tree"),
        lambda contract: contract["endpoints"][0].update(name="other"),
        lambda contract: contract["endpoints"].clear(),
    ],
)
def test_a_contract_that_is_none_is_one_sentence(bundle, change):
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest["contract"])
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ExportError, match=r"is not a bundle: "):
        layout.read_manifest(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda cases: cases.clear(),
        lambda cases: cases["serving_default"].append(3),
        lambda cases: cases["serving_default"][0].pop("name"),
        lambda cases: cases["serving_default"][0].update(name="unknown"),
        lambda cases: cases["serving_default"][0].update(name="batch_1"),
        lambda cases: cases["serving_default"][0].update(name=3),
        lambda cases: cases["serving_default"][0].update(compared="yes"),
        lambda cases: cases["serving_default"][0].update(rows=["one"]),
        lambda cases: cases["serving_default"][0].update(rows=3),
        lambda cases: cases["serving_default"][0].update(unstable_rows=[1000]),
        lambda cases: cases["serving_default"][0].update(chain={"a": "b"}),
    ],
)
def test_malformed_cases_are_one_sentence(bundle, change):
    cases = json.loads((bundle / "golden/cases.json").read_text())
    change(cases)
    (bundle / "golden/cases.json").write_text(json.dumps(cases))
    with pytest.raises(ExportError, match="are malformed"):
        read_golden(bundle / "golden", CONTRACT)


def test_the_intact_bundle_is_read(bundle):
    assert layout.find_damage(bundle) == []
    assert read_golden(bundle / "golden", CONTRACT)["serving_default"]


def test_golden_arrays_that_do_not_fit_are_one_sentence(bundle):
    for kind in ("inputs", "outputs"):
        file = bundle / f"golden/serving_default.{kind}.npz"
        content = file.read_bytes()
        with np.load(file) as stored:
            arrays = dict(stored)
        name = next(name for name in arrays if name.startswith("batch_7/"))
        for value in (arrays[name][..., None], arrays[name].reshape(-1), np.array({}, object)):
            np.savez(file, **arrays | {name: value})
            with pytest.raises(ExportError, match="are malformed"):
                read_golden(bundle / "golden", CONTRACT)
        for damaged in (b"", b"PK", content[:-40], content[: len(content) // 2]):
            file.write_bytes(damaged)
            with pytest.raises(ExportError, match="are malformed"):
                read_golden(bundle / "golden", CONTRACT)
        file.write_bytes(content)


# === Files that inflate ===


@pytest.mark.extended
def test_no_zip_file_inflates_without_bound(bomb, bundle):
    keras = bomb("model.keras", "config.json", "model.weights.h5")
    npz = bomb("x.npz", "x.npy")
    shutil.copy(npz, bundle / "golden/serving_default.outputs.npz")
    for call in (
        lambda: describe(keras),
        lambda: read_model(keras),
        lambda: read_samples(npz),
        lambda: read_golden(bundle / "golden", CONTRACT),
    ):
        with pytest.raises(ExportError, match=r"would inflate to [36]00 MB, more than 100 times its size"):
            call()


def test_weights_that_are_stated_but_not_stored_are_not_read(bundle, monkeypatch):
    import h5py

    with h5py.File(bundle / "model.weights.h5", "a") as file:
        file.create_dataset("huge", (10**9,), "float32", chunks=(10**6,))  # takes no room until it is written
    monkeypatch.setattr(diff.layout, "find_damage", lambda folder: [])
    with pytest.raises(ExportError, match="would inflate to 4,000 MB"):
        diff.diff(BUNDLE, bundle)


def test_compressed_arrays_of_usual_size_are_read(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((1000, 1000), np.float32))
    assert read_samples(tmp_path / "x.npz")["x"].shape == (1000, 1000)


def test_an_array_that_states_more_than_the_memory_is_one_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**15,)})
    with pytest.raises(ExportError, match=r"is not an \.npz file of plain arrays"):
        read_samples(tmp_path / "x.npz")


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited on Linux")
def test_a_config_that_asks_for_a_layer_of_any_size_is_one_sentence(monkeypatch):
    """A layer of 10**9 units takes 16 GB; the file has a few kilobytes. TensorFlow waits 10 s before it gives up."""
    load_tensorflow()
    import keras

    before = resource.getrlimit(resource.RLIMIT_DATA)

    def load_model(*_, **__):
        np.zeros(4 * 10**9, np.float32)

    monkeypatch.setattr(keras.saving, "load_model", load_model)
    with pytest.raises(ExportError, match=r"Keras cannot load .*model\.keras: Unable to allocate 14\.9 GiB"):
        read_model(BUNDLE / "model.keras")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


# === Samples and settings ===


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value):
    with pytest.raises(ExportError, match="samples of input x hold NaN or infinity"):
        cases_for(Endpoint("serving_default", (X,), (X,)), {"x": np.array([[1, value]])})


def test_samples_of_unknown_inputs_and_other_types_are_refused():
    endpoint = Endpoint("serving_default", (X,), (X,))
    with pytest.raises(ExportError, match="samples of unknown input 'y'; one of x"):
        check_samples(["x", "y"], [endpoint])
    with pytest.raises(ExportError, match="samples of input x are not float32"):
        cases_for(endpoint, {"x": np.array([["a", "b"]])})


@pytest.mark.parametrize("drop", [np.nan, -0.1, np.inf])
def test_a_largest_drop_that_is_none_is_refused(drop):
    with pytest.raises(ExportError, match="give a number, zero or more"):
        Quantization(max_drop=drop).check(CONTRACT)


# === The card ===

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![x](http://tracker/x.png)\n\n# heading | cell"


def test_texts_in_a_card_are_neutral(tmp_path):
    facts = dict.fromkeys(("title", "description", "licence", "data", "notes"), HOSTILE)
    facts |= {"command": f"train\n{HOSTILE}", "code": {HOSTILE: "print()\n```\n# out\n"}}
    certificate = Certificate((Row(HOSTILE, "keras", HOSTILE, (Finding(HOSTILE),)),))
    manifest = {"artifacts": [], "code_dependency": None, "contract": CONTRACT.to_json(), "name": "bundle"}
    manifest |= {"card": facts, "metrics": {HOSTILE: 0.5}}
    text = card.documents_of(tmp_path, manifest, certificate)["README.md"]
    code = "    " + f"train\n{HOSTILE}".replace("\n", "\n    ")
    assert code in text
    outside = text.replace(code, "")
    assert "<script" not in outside
    assert "](javascript" not in outside
    assert "](http://tracker" not in outside
    rows = [line for line in outside.splitlines() if "script" in line and line.startswith("|")]
    assert len(rows) == 4  # data, licence, metric and proof, a line each
    assert all(line.endswith(" |") and "heading \\| cell" in line for line in rows)
    assert "````python\nprint()\n```\n# out\n````" in text


# === Quiet ===


def test_quiet_verification_of_damage_speaks(bundle, capsys):
    (bundle / "model.keras").write_bytes(b"")
    with pytest.raises(SystemExit) as stop:
        run(verbs, ["verify", str(bundle), "--quiet"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (1, "")
    assert err == f"error: {bundle}: fail: files: model.keras was changed\n"
