"""Real models of every kind, exported to every format and proven in real runtimes."""

import io
import json
import os
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import Documents, ExportError, ExportFailed, export_model, load, verify_bundle
from tests import commands
from tests.export.conftest import create
from tests.plugins.tiers import first, only

ALL = ("reference", "keras", "hdf5", "weights", "saved_model", "c_api", "tflite")
UNSUPPORTED = dict.fromkeys(("masked", "subclassed", "autoencoder", "characters"), ("hdf5", "model.h5"))
UNSUPPORTED["text"] = ("tflite", "tflite")  # the format that a model is not written in, and its path
WHOLE = ("functional_cnn", "sequential_cnn", "two_by_two", "dictionary", "category", "built")


def rows_of(certificate):
    return {row.runtime if row.runtime == "c_api" else row.format: row for row in certificate.rows if not row.extra}


FIRST = {"functional_cnn", "category", "two_by_two", "subclassed", "text"}


@pytest.mark.parametrize("name", only([*WHOLE, *UNSUPPORTED], FIRST))
def test_every_format_is_proven(bundles, name):
    bundle, (lost, path) = bundles(name), UNSUPPORTED.get(name, (None, None))
    rows = rows_of(bundle.certificate)
    assert bundle.certificate.verdict == "pass"
    assert {f: r.state for f, r in rows.items()} == {f: "unsupported" if f == lost else "pass" for f in ALL}
    assert not lost or not (bundle.path / path).exists()
    assert lost != "tflite" or "Flex" in rows["tflite"].reason
    written = json.loads((bundle.path / "parity.json").read_text())
    assert written["verdict"] == "pass"
    assert [row["artifact"] for row in written["artifacts"] if not row["extra"]] == [r.artifact for r in rows.values()]
    of_c = rows["c_api"]
    assert (of_c.required, list(of_c.versions)) == (True, ["tensorflow C API"])
    assert set(of_c.endpoints) == {e.name for e in bundle.contract.carried_by("saved_model")}


@pytest.mark.parametrize("name", first(["functional_cnn", "autoencoder"]))
def test_verify_in_another_process(bundles, name):
    words = ("verify", bundles(name).path, "--json", "--trust", "tests")
    environment = os.environ | {"PYTHONPATH": commands.ROOT}  # where `tests` is found
    process = commands.run("-m", "export", *words, timeout=300, env=environment)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["verdict"] == "pass"
    assert process.stderr == ""


def test_saved_models_hold_their_weights_once(bundles):
    path = bundles("functional_cnn").path
    model, _ = create("functional_cnn")

    prefix = str(path / "saved_model/1/variables/variables")
    dtypes = tf.train.load_checkpoint(prefix).get_variable_to_dtype_map()
    weights = [shape for name, shape in tf.train.list_variables(prefix) if shape and dtypes[name].is_floating]
    assert sum(int(np.prod(shape)) for shape in weights) == model.count_params()  # the rest is random state


@pytest.mark.extended
def test_rows_state_the_code_that_they_need(bundles):
    rows = rows_of(bundles("built").certificate)
    needs_code, needs_none = ("keras", "hdf5", "weights"), ("saved_model", "c_api", "tflite")
    expected = dict.fromkeys(needs_code, "tests") | dict.fromkeys(needs_none)
    assert {f: r.code_dependency for f, r in rows.items() if f != "reference"} == expected
    assert rows_of(bundles("functional_cnn").certificate)["keras"].code_dependency is None


@pytest.mark.parametrize("format", ["saved_model", "tflite", "keras"])
def test_load_runs_any_number_of_rows(bundles, format):
    loaded = load(bundles("two_by_two").path, format)
    outputs = loaded["serving_default"](left=np.ones((3, 5)), right=np.ones((3, 3)))
    assert {name: value.shape for name, value in outputs.items()} == {"mean": (3, 2), "spread": (3, 2)}
    with pytest.raises(ExportError, match="takes left, right"):
        loaded["serving_default"](image=np.ones(3))


def test_bytes_endpoint_names_the_class(bundles):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(stream, "JPEG")
    outputs = load(bundles("functional_cnn").path)["bytes"](image_bytes=[stream.getvalue()])
    assert outputs["label"][0] == [b"ant", b"bee", b"cat", b"dog"][int(np.argmax(outputs["logits"]))]
    assert 0.25 <= outputs["score"][0] <= 1


@pytest.mark.extended
def test_steps_agree_with_forward(bundles):
    run = load(bundles("characters").path, "tflite")
    tokens = np.arange(9) % 7
    forward = run["serving_default"](tokens=tokens[None])["logits"][0]
    state = np.zeros((1, 6))
    for token, expected in zip(tokens, forward, strict=True):
        outputs = run["step"](token=[token], state=state)
        state = outputs["next_state"]
        np.testing.assert_allclose(outputs["logits"][0], expected, atol=1e-6)


@pytest.mark.parametrize("loss", first(["mse", None]))
def test_compiled_models_can_be_loaded_from_hdf5(tmp_path, loss):
    """A loss given by name makes Keras' own .h5 unreadable; ours can be loaded with compile=True."""
    model, _ = create("two_by_two")
    if loss:
        model.compile("adam", loss=loss)
        model.fit([np.ones((4, 5)), np.ones((4, 3))], [np.ones((4, 2))] * 2, verbose=0)
    bundle = export_model(model, tmp_path / "b", formats=("keras", "hdf5"))
    keras.saving.load_model(bundle.path / "model.h5")
    loaded = keras.saving.load_model(bundle.path / "model.keras")
    assert (getattr(loaded, "optimizer", None) is not None) == bool(loss)


def test_a_class_that_calls_build_without_building_layers_is_reported(tmp_path):
    """Keras reads its .keras file without an error, and creates random weights at the first call."""
    model, _ = create("called_built")
    with pytest.raises(ExportFailed, match=r"CalledBuilt comes back without any: it calls self.build\(\) in __init__"):
        export_model(model, tmp_path / "b", formats=("keras",))


def test_unsupported_is_a_failure_when_requested_by_name(tmp_path):
    model, _ = create("masked")
    with pytest.raises(ExportFailed, match="mask_zero") as failure:
        export_model(model, tmp_path / "b", formats=("hdf5",))
    assert failure.value.exit_code == 1
    assert failure.value.bundle_path == tmp_path / "b.failed"
    assert not (tmp_path / "b").exists()


def test_samples_card_assets_and_metadata(tmp_path):
    model, contract = create("functional_cnn")
    samples = {"image": np.random.default_rng(0).uniform(0, 255, (20, 12, 12, 1))}
    card = {"title": "Small animals", "licence": "CC0", "metrics": {"accuracy": 0.5}, "command": "make animals"}
    documents = Documents(card, {"words.txt": b"one\ntwo\n"}, {"model": "animals"})
    options = {"samples": samples, "formats": ("tflite",), "documents": documents}
    bundle = export_model(model, tmp_path / "b", contract=contract, **options)
    text = (bundle.path / "README.md").read_text()
    assert all(part in text for part in ("# Small animals", "CC0", "0.5000", "make animals", "tflite/float32.tflite"))
    assert bundle.manifest["metadata"] == {"model": "animals"}
    assert (bundle.path / "words.txt").read_bytes() == b"one\ntwo\n"
    assert (bundle.path / "labels.txt").read_text().splitlines() == list(contract.labels)
    cases = json.loads((bundle.path / "golden" / "cases.json").read_text())
    assert cases["serving_default"][0]["name"] == "real"


def test_sums_are_checkable_with_coreutils(bundles):
    path = bundles("functional_cnn").path
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=path, check=True)


def test_invalid_arguments_are_reported(tmp_path, bundles):
    model, contract = create("functional_cnn")
    with pytest.raises(ExportError, match="exists already"):
        export_model(model, bundles("functional_cnn").path)
    with pytest.raises(ExportError, match="did you mean saved_model"):
        export_model(model, tmp_path / "b", formats=("savedmodel",))
    with pytest.raises(ExportError, match="leave the bundle"):
        export_model(model, tmp_path / "b", formats=("keras",), documents=Documents(assets={"../x": b""}))
    with pytest.raises(ExportError, match="shape"):
        export_model(model, tmp_path / "b", contract=contract, samples={"image": np.ones((2, 3))})
    with pytest.raises(ExportError, match="unknown runtime"):
        verify_bundle(bundles("functional_cnn").path, runtimes=["lite"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extended
def test_functions_that_autograph_converts_are_no_foreign_code(tmp_path, capfd):
    """The generated module lies in the temporary folder; the warning about retracing is not for the user."""
    image = keras.Input((8, 8, 8), name="image")
    # Keras compiles grouped convolutions on CPU by a tf.function, which AutoGraph converts
    x = keras.layers.Conv2D(8, 3, groups=4, name="grouped")(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    bundle = export_model(model, tmp_path / "bundle", formats=["keras", "saved_model"])
    assert bundle.certificate.verdict == "pass"
    assert "retracing" not in capfd.readouterr().err
