"""The header of README.md for the Hugging Face Hub, and DEVICES.md."""

import importlib.metadata
import re
import subprocess

import keras
import numpy as np
import pytest

from export import Checks, export_model
from export.bundle.devices import page
from export.bundle.hub_header import header, without_header
from export.contract import Contract, Endpoint, Tensor
from export.contract.preprocessing import ImagePreprocessing
from export.runners import run_litert_c
from export.runners.environments import MEDIAPIPE
from tests.export.conftest import create
from tests.export.device_runtimes import needs_devices

NASTY = 'a "b": \\ <script> [x](http://y) #\n---\n\x85\u2028\x7f\U0001f600 {k: v} %'


def contract(takes, gives, labels=None):
    return Contract((Endpoint("serving_default", tuple(takes), tuple(gives)),), labels)


IMAGE = Tensor("image", "float32", (None, 8, 8, 1), "image")
TOKENS = Tensor("tokens", "int32", (None, None), "token", high=9)
LOGITS = Tensor("logits", "float32", (None, 2), "logits")


def test_names_of_users_do_not_end_the_header():
    import yaml

    text = header({"licence": NASTY}, ["keras", "tflite"])
    data = yaml.safe_load(text.strip("-"))
    assert data["license"] == "other"
    assert "library_name" not in data  # keras.saving.load_model("hf://...") reads no bundle
    assert data["tags"] == ["keras-proof-zoo", "tflite"]
    assert "<" not in text
    assert "](" not in text
    assert without_header(f"{text}\n\n# Net\n---\n") == "# Net\n---\n"


@pytest.mark.parametrize(
    ("licence", "lines"),
    [
        ("MIT", ['license: "mit"']),
        ("CC0", ['license: "cc0-1.0"']),
        ("Apache-2.0, trained on data", ['license: "other"', 'license_name: "apache-2.0-trained-on-data"']),
        (None, []),
    ],
)
def test_licences_as_the_hub_spells_them(licence, lines):
    text = header({"licence": licence}, [])
    assert [line for line in text.splitlines() if line.startswith("license")] == lines


def artifact(format, path, batch, state=None):
    return {"format": format, "path": path, "endpoints": ["serving_default"], "batch": batch, "state": state}


def test_the_code_names_the_files_shapes_and_dtypes(tmp_path):
    artifacts = [artifact("tflite", "tflite/int8.tflite", 1), artifact("onnx", "onnx/model.onnx", None)]
    text, line = page(tmp_path, contract([IMAGE, TOKENS], [LOGITS]), artifacts)
    assert line == "Android, iOS, C++, ONNX: [DEVICES.md](DEVICES.md)."
    for part in (
        'implementation("com.google.ai.edge.litert:litert:2.3.0"); int8.tflite lies in src/main/assets',
        'CompiledModel.create(context.assets, "int8.tflite", CompiledModel.Options(Accelerator.CPU))',
        'inputs["image"]!!.writeFloat(FloatArray(64))  // float32 (1, 8, 8, 1)',
        'val logits = outputs["logits"]!!.readFloat()  // float32 (1, ',
        '#include "tflite/interpreter.h"',
        '"image": Data(count: 256),  // float32 (1, 8, 8, 1)',
        'try runner.resizeInput(named: "tokens", toShape: [1, 16])',
        'runner->ResizeInputTensor("tokens", {1, 16});',
        'const float* logits_output = static_cast<const float*>(runner->output_tensor("logits")->data.data);',
        'int32_t* tokens_input = static_cast<int32_t*>(runner->input_tensor("tokens")->data.data);  // int32 (1, ?)',
        'BuildFromFile("tflite/int8.tflite")',
        'forResource: "int8"',
        'new ort.Tensor("float32", new Float32Array(64), [1, 8, 8, 1])',
    ):
        assert part in text, part
    assert "$" not in text
    assert page(tmp_path, contract([IMAGE], [LOGITS]), [artifact("tflite", "x", 1, "fail")]) is None


def test_strings_have_no_code(tmp_path):
    kind = Tensor("kind", "string", (None, 1), "category", vocabulary=("a",))
    text, _ = page(tmp_path, contract([kind], [LOGITS]), [artifact("tflite", "f", 1), artifact("onnx", "o", None)])
    assert text.count("strings, for which there is no code here") == 2
    assert "| `kind` | string | (1, 1) |" in text


def test_a_bundle_has_both(bundles):
    folder = bundles("functional_cnn").path
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n")
    assert 'tags: ["keras-proof-zoo", ' in text
    assert "netron tflite/float32.tflite" in text
    assert "(DEVICES.md)" in text
    assert "DEVICES.md" in bundles("functional_cnn").manifest["files"]
    text = (folder / "DEVICES.md").read_text()
    assert 'model.run(inputs, outputs, "serving_default")' in text
    version = importlib.metadata.version("ai-edge-litert")  # which the certificate ran
    assert f"litert:{version}" in text
    assert "println(labels[logits.indices.maxBy { logits[it] }])" in text
    assert "print(labels[logits.indices.max { logits[$0] < logits[$1] }!])" in text
    assert "tensorflow/lite/interpreter.h" not in text


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(2, 3, strides=2, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(x)), name="tiny")
    takes = Tensor("image", "float32", (None, 8, 8, 3), "image", 0, 255, preprocessing=ImagePreprocessing())
    gives = Tensor("probabilities", "float32", (None, 2), "probabilities")
    call = lambda x: {"probabilities": model(x["image"])}  # noqa: E731
    served = Contract((Endpoint("classify", (takes,), (gives,), call),), ("cat", "dog"))
    runtimes = ("mediapipe", "litert_c", "tflite_micro")
    folder = tmp_path_factory.mktemp("devices") / "bundle"
    return export_model(model, folder, contract=served, formats=("tflite",), checks=Checks(extras=runtimes))


def blocks(folder, language):
    return re.findall(rf"```{language}\n(.*?)```", (folder / "DEVICES.md").read_text(), re.DOTALL)


@needs_devices
def test_the_program_in_c_is_compiled_and_runs_the_file(devices, tmp_path):
    source = next(code for code in blocks(devices.path, "c") if "int main" in code)
    (tmp_path / "litert_run.c").write_text(source)
    library = run_litert_c.library_folder()
    command = [run_litert_c.compiler(), "-Wall", "-Werror", "-o", "litert_run", "litert_run.c", f"-L{library}"]
    subprocess.run([*command, "-l", "LiteRt", f"-Wl,-rpath,{library}"], cwd=tmp_path, check=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("float32")
    file = devices.path / "tflite/float32.tflite"
    result = subprocess.run([tmp_path / "litert_run", file, "classify"], input=pixels.tobytes(), capture_output=True)
    values = np.frombuffer(result.stdout, np.float32).reshape(3, 2)
    expected = devices.contract["classify"].call({"image": pixels})["probabilities"]
    np.testing.assert_allclose(values, expected, atol=1e-6)


@needs_devices
def test_the_array_in_c_is_the_file(devices, tmp_path):
    source = next(code for code in blocks(devices.path, "c") if "_Alignas(16) const unsigned char" in code)
    program = (
        "#include <stdio.h>\n" + source + "int main(void) { fwrite(float32_tflite, 1, sizeof float32_tflite, stdout); }"
    )
    (tmp_path / "array.c").write_text(program)
    subprocess.run([run_litert_c.compiler(), "-Wall", "-Werror", "-o", "array", "array.c"], cwd=tmp_path, check=True)
    written = subprocess.run([tmp_path / "array"], capture_output=True).stdout
    assert written == (devices.path / "tflite/float32.tflite").read_bytes()


@needs_devices
def test_what_a_device_needs_is_in_the_page(devices):
    text = (devices.path / "DEVICES.md").read_text()
    row = next(row for row in devices.certificate.rows if row.runtime == "tflite_micro")
    for part in (
        "## MediaPipe Tasks: ImageClassifier",
        f"tasks-vision:{MEDIAPIPE.version}",
        'ImageClassifier.createFromFile(context, "float32.tflite")',
        'inputs["image"]!!.writeFloat(preprocess(file))',
        '"image": try preprocess(url).withUnsafeBufferPointer { Data(buffer: $0) },',
        f"{row.facts['arena_bytes'] / 1024:.1f} |",
        f"measured: {row.facts['arena_bytes']} bytes",
        "resolver.AddConv2D();",
        "resolver.AddFullyConnected();",
        "not compiled.",
    ):
        assert part in text, part


@pytest.mark.needs("onnx")
def test_the_onnx_lines_run(tmp_path):
    model, served = create("functional_cnn")
    folder = export_model(model, tmp_path / "b", contract=served, formats=("onnx",)).path
    code = re.search(r"```python\n(.*?)```", (folder / "DEVICES.md").read_text(), re.DOTALL)[1]
    namespace = {}
    exec(code.replace("onnx/model.onnx", str(folder / "onnx/model.onnx")), namespace)
    assert [value.shape[0] for value in namespace["outputs"]] == [1] * len(namespace["outputs"])
