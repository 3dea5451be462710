"""A contract is written by `inspect`, edited by a person, and read by `model`."""

import json

import keras
import numpy as np
import pytest

from export import ExportError, export_model, infer_contract
from export.__main__ import verbs
from export.cli.inputs import read_contract, write_contract
from export.contract import with_labels
from export.formats import with_formats
from export.formats.keras import read_model
from zoobase.errors import CheckFailed, Unavailable


def run(*arguments):
    return verbs.main([*map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("contract") / "m.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="net").save(path)
    return path


def test_an_edited_contract_is_exported(file, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run("inspect", file, "--contract", tmp_path / "c.json")
    assert ended.value.code == 0
    assert f"model {file} --contract {tmp_path / 'c.json'}" in capsys.readouterr().out
    contract = json.loads((tmp_path / "c.json").read_text())
    (endpoint,) = contract["endpoints"]
    endpoint["inputs"][0] |= {"name": "wavelength", "low": 0, "high": 3000}
    endpoint["outputs"][0] |= {"name": "scores", "meaning": "logits"}
    endpoint["formats"] = ["saved_model"]
    (tmp_path / "c.json").write_text(json.dumps(contract))
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    options = ["--contract", tmp_path / "c.json", "--labels", tmp_path / "labels.txt", "--formats", "saved_model"]
    run("model", file, "-o", tmp_path / "b", *options)
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    assert manifest["contract"] == contract | {"labels": ["no", "yes"]}
    inputs = np.load(tmp_path / "b/golden/serving_default.inputs.npz")
    assert 2000 < inputs["batch_33/wavelength"].max() <= 3000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: "{", "is not a JSON file"),
        (lambda c: json.dumps([]), "is not a contract: malformed at the top level"),
        (lambda c: json.dumps({"endpoints": []}), "malformed at endpoints"),
        (lambda c: json.dumps({"endpoints": c["endpoints"] * 2}), "has 2 endpoints"),
        (lambda c: json.dumps(c).replace('"meaning": "tensor"', '"meaning": "picture"'), "unknown meaning 'picture'"),
        (lambda c: json.dumps(c).replace('"input"', '"in put"'), "not a valid identifier"),
        (lambda c: json.dumps({"endpoints": [c["endpoints"][0] | {"inputs": []}]}), "and model net takes 1"),
    ],
)
def test_contracts_that_do_not_fit(file, tmp_path, change, message):
    contract = with_formats(infer_contract(read_model(file))).to_json()
    (tmp_path / "c.json").write_text(change(contract))
    with pytest.raises(ExportError, match=message):
        run("model", file, "-o", tmp_path / "b", "--contract", tmp_path / "c.json")
    assert not (tmp_path / "b").exists()


def test_inputs_of_a_dict_keep_their_names(tmp_path):
    inputs = {"age": keras.Input((1,), name="age"), "pulse": keras.Input((4,), name="pulse")}
    model = keras.Model(inputs, keras.layers.Concatenate()(list(inputs.values())))
    write_contract(tmp_path / "c.json", infer_contract(model))
    (endpoint,) = read_contract(tmp_path / "c.json", model).endpoints
    assert endpoint.call({"age": np.ones((2, 1)), "pulse": np.zeros((2, 4))})["output"].shape == (2, 5)
    (tmp_path / "c.json").write_text((tmp_path / "c.json").read_text().replace('"pulse"', '"puls"'))
    with pytest.raises(ExportError, match="takes no input 'puls'; did you mean pulse"):
        read_contract(tmp_path / "c.json", model)
    with pytest.raises(Unavailable):
        read_contract(tmp_path / "none.json", model)


def test_contracts_of_keras_files_only(file, tmp_path, bundles):
    with pytest.raises(ExportError, match="is no Keras model"):
        run("inspect", bundles("two_by_two").path / "tflite/float32.tflite", "--contract", tmp_path / "c.json")

    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]).save(tmp_path / "lambda.keras")
    with pytest.raises(CheckFailed, match="no contract is written"):
        run("inspect", tmp_path / "lambda.keras", "--contract", tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_labels_of_export_model(file, tmp_path):
    model = read_model(file)
    bundle = export_model(model, tmp_path / "b", labels=["no", "yes"], formats=("saved_model",))
    assert bundle.contract.labels == ("no", "yes")
    assert (bundle.path / "labels.txt").read_text() == "no\nyes\n"
    assert with_labels(bundle.contract, ["no", "yes"]) == bundle.contract
    x = keras.Input((4,), name="x")
    with pytest.raises(ExportError, match="2 labels for an output of 3 classes"):  # by its shape: it has no activation
        export_model(keras.Model(x, keras.layers.Dense(3)(x)), tmp_path / "d", labels=["no", "yes"])
    for labels, message in ((["yes", "no"], "differs from the labels of the contract"), ("ny", "is one string")):
        with pytest.raises(ExportError, match=message):
            export_model(model, tmp_path / "c", contract=bundle.contract, labels=labels)
