"""Artifacts in other releases of their runtimes, and the first operator that two of them compute differently."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from export import Quantization, export_model
from export.artifacts import describe
from export.artifacts.calling import endpoints_of
from export.artifacts.operators import first_operator
from export.bundle import layout
from export.parity.cases import GoldenCase
from export.runners import RUNTIMES
from export.runtime.installation import install
from export.versions import matrix as runs
from export.versions import releases as module
from export.versions.releases import PACKAGES, Release, parse, releases
from export.versions.variants import variants
from tests.export.test_cli import run
from tests.plugins import needs
from tests.plugins.tiers import only
from zoobase.errors import ExportError, Unavailable

LITERT = importlib.metadata.version("ai-edge-litert")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("onnxruntime>=1.20,<1.22,litert>=2", [("onnxruntime", "<1.22,>=1.20"), ("litert", ">=2")]),
        ("tensorflow_c==2.20.0", [("c_api", "==2.20.0")]),
        ("openvino>=2025; litert", [("openvino", ">=2025"), ("litert", "")]),
    ],
)
def test_lists_of_releases(text, expected):
    assert [(package.runtime, str(wanted.specifier)) for package, wanted in parse(text)] == expected


@pytest.mark.parametrize(("text", "sentence"), [("tvm>=1", "unknown runtime 'tvm'"), ("litert>=x", "is not a runtime")])
def test_what_is_no_release_is_one_sentence(text, sentence):
    with pytest.raises(ExportError, match=sentence):
        parse(text)
    with pytest.raises(ExportError, match="unknown variant"):
        variants("avx3")


def test_the_newest_patch_of_each_minor_release(monkeypatch):
    listed = ["1.20.0", "1.20.1", "1.19.2", "1.21.0", "1.18.1"]
    monkeypatch.setattr(module, "_published", lambda distribution: listed)
    assert [release.version for release in releases("onnxruntime>=1.19")] == ["1.19.2", "1.20.1", "1.21.0"]
    assert [release.version for release in releases("onnxruntime==1.20.0")] == ["1.20.0"]
    with pytest.raises(ExportError, match=r"no release onnxruntime>=2"):
        releases("onnxruntime>=2")
    old, new = (Release(PACKAGES["onnxruntime"], version).environment for version in ("1.18.1", "1.19.2"))
    assert "numpy==1.26.4" in old.requirements
    assert "numpy==2.4.6" in new.requirements


@pytest.fixture(scope="module")
def installed():
    """Return the installed release of LiteRT, in an environment of its own."""
    release = Release(PACKAGES["litert"], LITERT)
    try:
        install(release.environment)
    except Unavailable as error:
        pytest.skip(str(error))
    return release


@pytest.mark.extended
def test_a_bundle_in_another_environment(bundles, installed):
    (usual, single) = runs.matrix(bundles("two_by_two").path, [installed], variants("usual,1 thread"))
    assert usual.state in (runs.EQUAL, runs.WITHIN)
    assert (usual.artifact, usual.release) == ("tflite/float32.tflite", f"ai-edge-litert {LITERT}")
    assert single.variant == "1 thread"
    assert usual.megabytes > 10


def test_a_file_of_a_fixed_batch_size_is_given_its_batches(bundles, installed):
    folder = bundles("category").path
    assert [a["batch"] for a in layout.read_manifest(folder)["artifacts"] if a["format"] == "tflite"] == [1]
    (cell,) = runs.matrix(folder, [installed])
    assert cell.state in (runs.EQUAL, runs.WITHIN), cell.reason


@pytest.mark.extended
def test_a_quantised_file_is_compared_as_the_certificate_does(installed, tmp_path):
    model = keras.Sequential([keras.Input((8,), name="x"), keras.layers.Dense(64, "relu"), keras.layers.Dense(4)])
    bundle = export_model(model, tmp_path / "bundle", formats=("tflite",), quantization=Quantization(("dynamic",)))
    cells = runs.matrix(bundle.path, [installed])
    assert len(cells) == 2
    assert {cell.state for cell in cells} <= {runs.EQUAL, runs.WITHIN}, cells


def test_a_difference_is_found_and_another_release_is_not_taken_for_the_one_that_was_asked_for(
    bundles, installed, monkeypatch
):
    folder = bundles("two_by_two").path
    subject = runs._of_bundle(folder, ())
    for cases in subject.cases.values():
        for case in cases:
            case.outputs = {name: value + np.float32(1e-3) for name, value in case.outputs.items()}
    monkeypatch.setattr(runs, "_of_bundle", lambda *arguments: subject)
    (cell,) = runs.matrix(folder, [installed])
    assert cell.state == runs.DIFFERENT
    assert "mean" in cell.reason
    other = dataclasses.replace(installed, version="9.9")
    monkeypatch.setattr(Release, "environment", installed.environment)
    (cell,) = runs.matrix(folder, [other])
    assert cell.state == runs.NOT_RUN
    assert LITERT in cell.reason


def test_a_file_of_third_parties_is_compared_with_the_installed_release(bundles, installed):
    (cell,) = runs.matrix(bundles("two_by_two").path / "tflite/float32.tflite", [installed])
    assert (cell.state, cell.difference) == (runs.EQUAL, 0.0)


def test_upgrade_says_yes_or_no(bundles, installed):
    folder = bundles("two_by_two").path
    process = run("upgrade", folder, "--to", f"litert=={LITERT}", "--json")
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["safe"] == "yes"
    process = run("upgrade", folder, "--to", "litert==9.9.9")
    assert process.returncode == 2
    assert "there is no release litert==9.9.9" in process.stderr


def test_nothing_for_a_runtime_is_one_sentence(bundles):
    folder = bundles("two_by_two").path
    with pytest.raises(ExportError, match="holds no artifact that one of these runtimes reads"):
        runs.matrix(folder, [Release(PACKAGES["onnxruntime"], "1.20.1")])


@pytest.mark.needs("onnx")
def test_inputs_without_common_rows_are_given_as_those_of_one_call(tmp_path):
    import onnx

    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    shapes = {"x": [1, 3], "state": [2, 1, 3], "rate": []}
    values = [helper.make_tensor_value_info(name, floats, shape) for name, shape in shapes.items()]
    nodes = [helper.make_node("Add", ["x", "state"], ["sum"]), helper.make_node("Mul", ["sum", "rate"], ["y"])]
    output = helper.make_tensor_value_info("y", floats, [2, 1, 3])
    graph = helper.make_graph(nodes, "g", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "file.onnx")
    samples = {name: np.full(shape, 2, np.float32) for name, shape in shapes.items()}
    subject = runs._of_file(tmp_path / "file.onnx", (), samples)
    ((case,),) = subject.cases.values()
    np.testing.assert_array_equal(case.outputs["y"], np.full((2, 1, 3), 8))
    del samples["rate"]
    with pytest.raises(ExportError, match=r"those of one call \(rate missing\)"):
        runs._of_file(tmp_path / "file.onnx", (), samples)


@pytest.mark.extended
def test_the_change_of_the_metric_on_data(bundles, installed, tmp_path):
    folder = bundles("two_by_two").path
    inputs = {"left": np.ones((50, 5), np.float32), "right": np.ones((50, 3), np.float32)}
    (cell,) = runs.matrix(folder, [installed], data={**inputs, "truth": np.zeros(50, int)})
    assert (cell.metric["metric"], cell.metric["drop"]) == ("accuracy", 0)
    assert (cell.metric["low"], cell.metric["high"]) == (-3 / 50, 3 / 50)
    np.savez(tmp_path / "data.npz", **inputs, truth=np.zeros(50, int))
    process = run("upgrade", folder, "--to", f"litert=={LITERT}", "--data", tmp_path / "data.npz")
    assert process.returncode == 0, process.stderr
    assert "drop +0.0000" in process.stdout
    with pytest.raises(ExportError, match="takes the inputs in the data"):
        runs.matrix(folder, [installed], data={"other": np.zeros(3), "truth": np.zeros(3, int)})


@pytest.mark.needs("chromium")
def test_webassembly_in_a_browser(bundles):
    (release,) = releases("litert_js")
    (cell,) = runs.matrix(bundles("two_by_two").path, [release], variants("usual,1 thread"))
    assert cell.state in (runs.EQUAL, runs.WITHIN), cell.reason
    assert release.name == f"@litertjs/core {release.version}"


WRONG = Path(__file__).parent / "wrong_tanh.py"
FILES = {"onnx": "onnx/model.onnx", "tflite": "tflite/float32.tflite"}
FORMATS = tuple(name for name in FILES if name != "onnx" or needs.missing("onnx") is None)
RIGHT = {"onnx": "onnxruntime", "tflite": "litert"}


@pytest.fixture(scope="module")
def operators(tmp_path_factory):
    layers = [keras.layers.Dense(8, activation) for activation in ("relu", "tanh", "relu", "softmax")]
    model = keras.Sequential([keras.Input((5,), name="x"), *layers])
    return export_model(model, tmp_path_factory.mktemp("operators") / "bundle", formats=FORMATS).path


def case_of(path, rows):
    (endpoint,) = endpoints_of(describe(path))
    inputs = {t.name: np.random.default_rng(0).normal(size=(rows, 5)).astype("float32") for t in endpoint.inputs}
    return endpoint, GoldenCase("x", inputs)


def wrong(format):
    runtime = RUNTIMES[RIGHT[format]]
    environment = {**runtime.process.environment, "WRONG_TANH": format}
    process = dataclasses.replace(runtime.process, environment=environment, forked_from=None)
    return dataclasses.replace(runtime, file=str(WRONG), process=process)


@pytest.mark.parametrize("format", only(["onnx", "tflite"], ["onnx"], ["tflite"]))  # of TFLite, test_litert_gpu.py
@pytest.mark.extended
def test_the_operator_that_is_wrong_is_named(operators, format):
    path = operators / FILES[format]
    endpoint, case = case_of(path, 3)
    right = RUNTIMES[RIGHT[format]]
    found = first_operator(path, format, endpoint, case, right, wrong(format))
    assert found is not None
    assert found.type.lower() == "tanh"
    assert found.error == pytest.approx(0.01, rel=0.1)
    assert "the first operator that differs is" in found.sentence()
    assert first_operator(path, format, endpoint, case, right, right) is None


@pytest.mark.needs("openvino")
def test_a_remainder_of_large_integers_in_openvino(tmp_path):
    tokens = keras.Input((2,), dtype="int32", name="x")
    bucket = keras.ops.mod(tokens * 7919, 20_011)
    model = keras.Model(tokens, keras.ops.cast(bucket, "float32") + 1)
    model.export(tmp_path / "model", verbose=False)
    (endpoint,) = [e for e in endpoints_of(describe(tmp_path / "model")) if e.name == "serving_default"]
    case = GoldenCase("x", {"x": np.array([[5, 7], [10_001, 19_999]], np.int32)})
    runtimes = RUNTIMES["tensorflow"], RUNTIMES["openvino"]
    found = first_operator(tmp_path / "model", "saved_model", endpoint, case, *runtimes)
    assert found is not None
    assert found.type == "FloorMod"
    assert "step" in found.sentence()
    assert found.error >= 1
