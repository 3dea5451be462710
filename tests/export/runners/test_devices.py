"""The runtimes of phones and microcontrollers run our files as the model does, and find what is wrong."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import export
from export import verifier
from export.contract import Contract, Endpoint, Tensor
from export.runners import RUNTIMES, run_litert_c, run_tflite_micro
from export.runners.environments import MEDIAPIPE
from tests.export.conftest import reseal
from tests.export.device_runtimes import needs_devices
from tests.export.formats.test_tflite_metadata import (
    forget_the_vocabulary,
    normalized_twice,
    reverse_labels,
    rewritten,
    without_vocabulary,
)
from tests.plugins.tiers import first

pytestmark = needs_devices
LABELS = ("ant", "bee", "cat", "dog")
WORDS = ("", "[UNK]", "a", "good", "bad", "film", "don't", "Ärger")
MICRO = export.Checks(extras=("tflite_micro",))
DEVICES = ("mediapipe", "litert_c", "tflite_micro")
PHOTO = Tensor("image", "float32", (None, 24, 20, 3), "image", 0, 255)
TEXT = Tensor("tokens", "int32", (None, 8), "token", 0, len(WORDS) - 1, words=WORDS, delimiter=r"[^\p{L}']+")
SOUND = Tensor("samples", "float32", (None, 1600), "audio", -1, 1, sample_rate=16000)


def network(kind, tensor, result):
    """Return a small model with preprocessing of its own for inputs of a kind."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name)
    if kind == "image":
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Rescaling(1 / 127.5, -1)(x))
        if len(result.shape) == 2:
            x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, strides=2, activation="relu")(x))
    elif kind == "text":
        x = layers.GlobalAveragePooling1D()(layers.Embedding(len(WORDS), 6)(x))
    else:
        x = layers.Conv1D(8, 80, strides=40, activation="relu")(layers.Reshape((-1, 1))(x))
        x = layers.GlobalMaxPooling1D()(x)
    activation = "softmax" if result.meaning == "probabilities" else None
    dense = layers.Dense(result.shape[-1], activation, kernel_initializer=keras.initializers.RandomNormal(stddev=2.0))
    return keras.Model(inputs, dense(x), name=kind)


SCORES = Tensor("probabilities", "float32", (None, 4), "probabilities")
MASKS = Tensor("probabilities", "float32", (None, 24, 20, 4), "probabilities")
VECTOR = Tensor("features", "float32", (None, 5))
TASKS = {
    "ImageClassifier": ("image", PHOTO, SCORES),
    "ImageSegmenter": ("image", PHOTO, MASKS),
    "ImageEmbedder": ("image", PHOTO, VECTOR),
    "TextClassifier": ("text", TEXT, SCORES),
    "TextEmbedder": ("text", TEXT, VECTOR),
    "AudioClassifier": ("sound", SOUND, SCORES),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("tasks"), {}

    def bundle(name):
        if name not in made:
            kind, takes, gives = TASKS[name]
            model = network(kind, takes, gives)
            call = lambda x: {gives.name: model(x[takes.name], training=False)}  # noqa: E731
            contract = Contract((Endpoint("run", (takes,), (gives,), call),), None if gives is VECTOR else LABELS)
            options = {"formats": ("tflite",), "checks": export.Checks(extras=DEVICES)}
            made[name] = export.export_model(model, folder / name, contract=contract, **options)
        return made[name]

    return bundle


def row_of(certificate, runtime, path="tflite/float32.tflite"):
    return next(r for r in certificate.rows if (r.runtime, r.artifact) == (runtime, path))


@pytest.mark.parametrize("name", first(TASKS))
def test_a_task_of_mediapipe_gives_the_values_of_the_model(name, files):
    """Whose inputs are images, texts and sounds: the library reads from the file how they are preprocessed."""
    row, of_c = (row_of(files(name).certificate, runtime) for runtime in ("mediapipe", "litert_c"))
    assert (row.state, row.reason, row.extra) == ("pass", None, True)
    assert (of_c.state, of_c.reason) == ("pass", None)
    (figures,) = row.endpoints.values()
    (output,) = figures["outputs"].values()
    assert output["max_error"] < 1e-5
    assert row.versions == {"mediapipe": MEDIAPIPE.version}


def test_the_processes_are_confined(files):
    state = files("ImageClassifier").certificate.environment["confinement"]
    assert state["landlock"] > 0
    assert not state["network"]


RED = {
    "a wrong normalization": ("ImageClassifier", normalized_twice, None, "probabilities in case raw differs by"),
    "permuted labels": ("ImageClassifier", lambda graph: None, reverse_labels, "class 2 is called 'bee', not 'cat'"),
    "a missing vocabulary": ("TextClassifier", forget_the_vocabulary, without_vocabulary, "PreprocessorCalculator"),
}


@pytest.mark.parametrize("case", RED)
def test_mediapipe_finds_wrong_metadata(case, files, tmp_path, monkeypatch):
    """Where the comparison of the metadata with the contract, which comes first, is left out."""
    monkeypatch.setattr(verifier, "_contradiction", lambda *arguments: None)
    name, change, of_files, clause = RED[case]
    folder = shutil.copytree(files(name).path, tmp_path / "bundle")
    rewritten(folder / "tflite/float32.tflite", change, of_files)
    reseal(folder)
    certificate = export.verify_bundle(folder, runtimes=["mediapipe"], require=["mediapipe"])
    assert certificate.verdict == "fail"
    row = row_of(certificate, "mediapipe")
    assert row.state == "fail"
    assert re.search(clause, row.reason), row.reason
    assert export.verify_bundle(folder, runtimes=["litert", "mediapipe"]).verdict == "pass", "an extra blames nothing"


def test_several_signatures_and_grey_images_are_not_for_mediapipe(bundles):
    certificate = export.verify_bundle(bundles("autoencoder").path, runtimes=["mediapipe"])
    row = row_of(certificate, "mediapipe")
    assert (row.state, certificate.verdict) == ("unsupported", "pass")
    assert row.reason == "ValueError: MediaPipe Tasks open files of one signature, and it has more"
    row = row_of(export.verify_bundle(bundles("functional_cnn").path, runtimes=["mediapipe"]), "mediapipe")
    assert row.reason == "ValueError: no MediaPipe Task is for its inputs and outputs"


def test_a_runtime_that_is_not_there_is_one_line(files, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    certificate = export.verify_bundle(files("ImageClassifier").path, runtimes=["litert", *DEVICES])
    assert certificate.verdict == "pass"
    reasons = {name: row_of(certificate, name).reason for name in DEVICES}
    assert {row_of(certificate, name).state for name in DEVICES} == {"not_run"}
    assert reasons["mediapipe"] == "mediapipe is not installed; python -m export servers --install mediapipe"
    assert reasons["tflite_micro"].endswith("python -m export servers --install tflite-micro")
    assert reasons["litert_c"].startswith("litert_c is not installed; install a C compiler")
    certificate = export.verify_bundle(files("ImageClassifier").path, require=["mediapipe"])
    assert certificate.verdict == "incomplete"


def test_microcontrollers_run_float_and_int8_and_say_how_much_memory_they_need(tmp_path):
    kind, takes, gives = TASKS["ImageClassifier"]
    model = network(kind, takes, gives)
    contract = Contract((Endpoint("run", (takes,), (gives,), lambda x: {gives.name: model(x["image"])}),), LABELS)
    calibration = {"image": np.random.default_rng(0).integers(0, 256, (100, *takes.shape[1:])).astype("float32")}
    options = {"quantization": export.Quantization(("int8",), calibration), "checks": MICRO, "formats": ("tflite",)}
    certificate = export.export_model(model, tmp_path / "b", contract=contract, **options).certificate
    rows = {name: row_of(certificate, "tflite_micro", f"tflite/{name}.tflite") for name in ("float32", "int8")}
    assert [row.state for row in rows.values()] == ["pass", "pass"]
    arenas = {name: row.facts["arena_bytes"] for name, row in rows.items()}
    assert 24 * 20 * 3 * 4 < arenas["int8"] < arenas["float32"] < 2e5
    assert "npu_operators" not in rows["float32"].facts
    facts = rows["int8"].facts  # what Arm's compiler reports
    assert facts["npu_operators"] > facts["cpu_operators"] > 0
    assert min(facts["npu_memory_bytes"], facts["npu_flash_bytes"], facts["npu_microseconds"]) > 0
    text = (tmp_path / "b" / "DEVICES.md").read_text()
    assert f"ethos-u-vela 5.2.0 would put {facts['npu_operators']} of" in text
    assert "A report of the compiler; nothing ran there." in text


def test_what_microcontrollers_lack_is_named(tmp_path, monkeypatch):
    inputs = keras.Input((6,), name="x")
    model = keras.Model(inputs, keras.ops.top_k(inputs, 2)[0])
    bundle = export.export_model(model, tmp_path / "b", formats=("tflite",), checks=MICRO)
    row = row_of(bundle.certificate, "tflite_micro")
    assert (row.state, bundle.certificate.verdict) == ("unsupported", "pass")
    assert re.search("microcontrollers have no operator [A-Z_0-9]+$", row.reason), row.reason
    assert row.facts == {}


def test_a_file_that_no_microcontroller_holds_is_not_run(files, monkeypatch, tmp_path):
    folder = shutil.copytree(files("ImageClassifier").path, tmp_path / "bundle")
    source = run_tflite_micro.__file__
    runner = tmp_path / "run_tflite_micro.py"
    runner.write_text(Path(source).read_text().replace("FLASH = 2**21", "FLASH = 1000"))
    small = dataclasses.replace(RUNTIMES["tflite_micro"], file=str(runner))
    monkeypatch.setitem(RUNTIMES, "tflite_micro", small)
    row = row_of(export.verify_bundle(folder, runtimes=["tflite_micro"]), "tflite_micro")
    assert row.state == "unsupported"
    assert "and microcontrollers have at most about 0 MB" in row.reason


def test_the_program_in_c_is_compiled_without_a_warning(tmp_path):

    folder = run_litert_c.library_folder()
    command = [run_litert_c.compiler(), "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "program", run_litert_c.SOURCE]
    subprocess.run([*command, f"-L{folder}", "-lLiteRt", f"-Wl,-rpath,{folder}"], check=True)
    result = subprocess.run([tmp_path / "program", "missing", "run"], capture_output=True, text=True)
    assert result.returncode == 1
    assert "LiteRtCreateModelFromFile returned status" in result.stderr


def test_each_runtime_of_devices_is_an_extra():
    assert all(RUNTIMES[name].extra and RUNTIMES[name].on_request for name in DEVICES)
