"""The first operator that two runtimes compute differently."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from export import export_model
from export.artifacts import describe
from export.artifacts.calling import endpoints_of
from export.contract import Artifact
from export.parity.cases import GoldenCase
from export.runners import RUNTIMES
from export.versions.operators import first_operator
from export.versions.releases import PACKAGES, Release
from export.versions.script import RUN, write_script
from tests.plugins import needs

WRONG = Path(__file__).parent / "wrong_tanh.py"
FILES = {"onnx": "onnx/model.onnx", "tflite": "tflite/float32.tflite"}
FORMATS = tuple(name for name in FILES if name != "onnx" or needs.missing("onnx") is None)
RIGHT = {"onnx": "onnxruntime", "tflite": "litert"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
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


@pytest.mark.parametrize("format", ["tflite", pytest.param("onnx", marks=pytest.mark.needs("onnx"))])
def test_the_operator_that_is_wrong_is_named(bundle, format, tmp_path):
    path = bundle / FILES[format]
    endpoint, case = case_of(path, 3)
    right = RUNTIMES[RIGHT[format]]
    found = first_operator(path, format, endpoint, case, right, wrong(format), tmp_path)
    assert found is not None
    assert found.type.lower() == "tanh"
    assert found.error == pytest.approx(0.01, rel=0.1)
    assert "the first operator that differs is" in found.sentence()
    assert first_operator(path, format, endpoint, case, right, right) is None
    artifact = Artifact(format, FILES[format], (endpoint.name,), endpoint.batch)
    assert float(output_of(write_script(found, Release(PACKAGES[right.name], "9.9"), artifact, tmp_path))) < 1e-6


def output_of(script):
    assert len(script.read_text().splitlines()) <= 30
    process = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.split()[-1]


def test_each_runtime_of_the_matrix_has_a_script():
    assert set(RUN) == {package.runtime for package in PACKAGES.values() if not package.pinned}


@pytest.mark.needs("openvino")
def test_a_remainder_of_large_integers_in_openvino(tmp_path):
    tokens = keras.Input((2,), dtype="int32", name="x")
    bucket = keras.ops.mod(tokens * 7919, 20_011)
    model = keras.Model(tokens, keras.ops.cast(bucket, "float32") + 1)
    model.export(tmp_path / "model", verbose=False)
    (endpoint,) = [e for e in endpoints_of(describe(tmp_path / "model")) if e.name == "serving_default"]
    case = GoldenCase("x", {"x": np.array([[5, 7], [10_001, 19_999]], np.int32)})
    runtimes = RUNTIMES["tensorflow"], RUNTIMES["openvino"]
    found = first_operator(tmp_path / "model", "saved_model", endpoint, case, *runtimes, tmp_path)
    assert found is not None
    assert found.type == "FloorMod"
    assert "step" in found.sentence()
    artifact = Artifact("saved_model", "saved_model/1", (endpoint.name,))
    assert float(output_of(write_script(found, Release(PACKAGES["openvino"], "9.9"), artifact, tmp_path))) >= 1
