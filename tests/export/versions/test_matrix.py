"""Artifacts in other releases of their runtimes."""

import dataclasses
import importlib.metadata
import json

import keras
import numpy as np
import pytest

from export import Quantization, export_model
from export.bundle import layout
from export.runtime.installation import install
from export.versions import matrix as runs
from export.versions import releases as module
from export.versions.releases import PACKAGES, Release, parse, releases
from export.versions.variants import variants
from tests.export.test_cli import run
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


def test_a_bundle_in_another_environment(bundles, installed):
    (usual, single) = runs.matrix(bundles("two_by_two").path, [installed], variants("usual,1 thread"))
    assert usual.state in (runs.EQUAL, runs.WITHIN)
    assert (usual.artifact, usual.release, single.variant) == (
        "tflite/float32.tflite",
        f"ai-edge-litert {LITERT}",
        "1 thread",
    )
    assert usual.megabytes > 10


def test_a_file_of_a_fixed_batch_size_is_given_its_batches(bundles, installed):
    folder = bundles("category").path
    assert [a["batch"] for a in layout.read_manifest(folder)["artifacts"] if a["format"] == "tflite"] == [1]
    (cell,) = runs.matrix(folder, [installed])
    assert cell.state in (runs.EQUAL, runs.WITHIN), cell.reason


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
    onnx.save(
        helper.make_model(
            helper.make_graph(nodes, "g", values, [output]), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
        ),
        tmp_path / "file.onnx",
    )
    samples = {name: np.full(shape, 2, np.float32) for name, shape in shapes.items()}
    subject = runs._of_file(tmp_path / "file.onnx", (), samples)
    ((case,),) = subject.cases.values()
    np.testing.assert_array_equal(case.outputs["y"], np.full((2, 1, 3), 8))
    del samples["rate"]
    with pytest.raises(ExportError, match=r"those of one call \(rate missing\)"):
        runs._of_file(tmp_path / "file.onnx", (), samples)


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
