"""The header of README.md for the Hugging Face Hub, and DEVICES.md."""

from __future__ import annotations

import re

import pytest

from export.bundle.devices import write_devices
from export.bundle.hub_header import header, pipeline_tag, without_header
from export.contract import Contract, Endpoint, Tensor

NASTY = 'a "b": \\ <script> [x](http://y) #\n---\n\x85\u2028\x7f\U0001f600 {k: v} %'


def contract(takes, gives, labels=None):
    return Contract((Endpoint("serving_default", tuple(takes), tuple(gives)),), labels)


IMAGE = Tensor("image", "float32", (None, 8, 8, 1), "image")
TOKENS = Tensor("tokens", "int32", (None, None), "token", high=9)
LOGITS = Tensor("logits", "float32", (None, 2), "logits")


def test_names_of_users_stay_strings():
    yaml = pytest.importorskip("yaml")
    card = {
        "title": NASTY,
        "licence": "Apache-2.0",
        "data": f"{NASTY}: more",
        "metrics": {NASTY: 0.5, "loss": float("nan")},
    }
    text = header(card, contract([IMAGE], [LOGITS]), ["keras", "tflite"], "net")
    data = yaml.safe_load(text.strip("-"))
    assert (data["license"], data["library_name"], data["pipeline_tag"]) == (
        "apache-2.0",
        "keras",
        "image-classification",
    )
    assert data["tags"] == ["keras", "keras-proof-zoo", "tflite"]
    assert data["metrics"] == [NASTY]
    (entry,) = data["model-index"]
    assert entry["name"] == NASTY
    assert entry["results"][0]["metrics"] == [{"type": NASTY, "value": 0.5}]
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
    text = header({"licence": licence}, contract([IMAGE], [LOGITS]), [], "net")
    assert [line for line in text.splitlines() if line.startswith("license")] == lines


def test_tasks_of_the_hub():
    picture = Tensor("out", "float32", (None, 8, 8, 3), "image")
    mask = Tensor("logits", "float32", (None, 8, 8, 2), "logits")
    state = Tensor("s", "float32", (None, 4), "state")
    step = Endpoint("step", (TOKENS, state), (LOGITS,))
    assert pipeline_tag(contract([IMAGE], [mask])) == "image-segmentation"
    assert pipeline_tag(contract([IMAGE], [picture])) == "image-to-image"
    assert (
        pipeline_tag(contract([Tensor("z", "float32", (None, 4), "noise")], [picture]))
        == "unconditional-image-generation"
    )
    assert pipeline_tag(contract([TOKENS], [LOGITS], ("bad", "good"))) == "text-classification"
    assert pipeline_tag(contract([TOKENS], [LOGITS])) is None
    assert pipeline_tag(Contract((*contract([TOKENS], [LOGITS]).endpoints, step))) == "text-generation"
    assert pipeline_tag(contract([Tensor("x", "float32", (None, 4))], [LOGITS])) is None


def artifact(format, path, batch, state=None):
    return {"format": format, "path": path, "endpoints": ["serving_default"], "batch": batch, "state": state}


def test_the_code_names_the_files_shapes_and_dtypes(tmp_path):
    artifacts = [artifact("tflite", "tflite/int8.tflite", 1), artifact("onnx", "onnx/model.onnx", None)]
    line = write_devices(tmp_path, contract([IMAGE, TOKENS], [LOGITS]), artifacts)
    assert line == "Android, iOS, C++, ONNX: [DEVICES.md](DEVICES.md)."
    text = (tmp_path / "DEVICES.md").read_text()
    for part in (
        '"image" to Array(1) { Array(8) { Array(8) { FloatArray(1) } } },  // float32 (1, 8, 8, 1)',
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
    assert write_devices(tmp_path, contract([IMAGE], [LOGITS]), [artifact("tflite", "x", 1, "fail")]) is None


def test_strings_have_no_code(tmp_path):
    kind = Tensor("kind", "string", (None, 1), "category", vocabulary=("a",))
    write_devices(tmp_path, contract([kind], [LOGITS]), [artifact("tflite", "f", 1), artifact("onnx", "o", None)])
    text = (tmp_path / "DEVICES.md").read_text()
    assert text.count("strings, for which there is no code here") == 2
    assert "| `kind` | string | (1, 1) |" in text


def test_a_bundle_has_both(bundles):
    folder = bundles("functional_cnn").path
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n")
    assert 'pipeline_tag: "image-classification"' in text
    assert "netron tflite/float32.tflite" in text
    assert "(DEVICES.md)" in text
    assert "DEVICES.md" in bundles("functional_cnn").manifest["files"]
    assert 'runSignature(inputs, outputs, "serving_default")' in (folder / "DEVICES.md").read_text()


def test_the_onnx_lines_run(tmp_path):
    for module in ("tf2onnx", "onnx", "onnxruntime"):
        pytest.importorskip(module)
    from export import export_model
    from tests.export.conftest import create

    model, served = create("functional_cnn")
    folder = export_model(model, tmp_path / "b", contract=served, formats=("onnx",)).path
    code = re.search(r"```python\n(.*?)```", (folder / "DEVICES.md").read_text(), re.DOTALL)[1]
    namespace = {}
    exec(code.replace("onnx/model.onnx", str(folder / "onnx/model.onnx")), namespace)
    assert [value.shape[0] for value in namespace["outputs"]] == [1] * len(namespace["outputs"])
