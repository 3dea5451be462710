"""onnxruntime's GPU kernels on a driver for processors: operators that they get wrong, and what is said of each."""

import keras
import numpy as np
import pytest

from export import export_model, verify_bundle
from export.artifacts.equivalence import compare
from export.runners import RUNTIMES, environments, members
from zoobase.errors import CheckFailed

pytestmark = pytest.mark.needs("onnx", "onnxruntime-webgpu", "mesa-vulkan-drivers")


def write(path, operator, shape, constants=(), product=True):
    """Write a graph: a product with one, unless it is left out, and the operator."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    first = "t" if product else "x"
    nodes = [helper.make_node("Mul", ["x", "one"], ["t"])] if product else []
    nodes.append(helper.make_node(operator, [first, *(f"c{i}" for i in range(len(constants)))], ["y"]))
    tensors = [numpy_helper.from_array(np.asarray(value), f"c{i}") for i, value in enumerate(constants)]
    tensors.append(numpy_helper.from_array(np.float32(1), "one"))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape])]
    graph = helper.make_graph(nodes, "graph", inputs, [onnx.ValueInfoProto(name="y")], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


@pytest.mark.parametrize(
    ("operator", "shape", "constants", "samples", "wrong"),
    [
        ("Pad", (5, 7), [np.array([0, 1, 2, 0, 0, 1])], (0, 1), False),  # LiteRT #9272
        ("Slice", (7,), [np.array([n]) for n in (0, 5, 1, 1)], (0, 1), False),
        ("Slice", (7,), [np.array([n]) for n in (5, 0, 1, -1)], (0, 1), True),
        ("LayerNormalization", (8,), [np.ones(8, "f4"), np.zeros(8, "f4")], (0, 1), False),
        ("LayerNormalization", (8,), [np.ones(8, "f4"), np.zeros(8, "f4")], (100, 0.01), True),
    ],
    ids=["pad", "slice", "slice backwards", "normalization", "normalization of a large mean"],
)
def test_an_operator_that_the_gpu_gets_wrong_is_named(operator, shape, constants, samples, wrong, tmp_path):
    file = write(tmp_path / "graph.onnx", operator, shape, constants)
    assert file.stat().st_size < 700
    inputs = {"x": np.random.default_rng(0).normal(*samples, (8, *shape)).astype("f4")}
    result = compare(file, file, runtimes=("cpu", "gpu"), samples=inputs)
    assert result.verdict == ("different" if wrong else "same")
    if wrong:
        assert operator in result.findings[-1]


def test_what_runs_on_the_processor_is_said(tmp_path):
    file = write(tmp_path / "none.onnx", "Det", (3, 3), product=False)
    with pytest.raises(CheckFailed, match="the GPU refuses every operator"):
        compare(file, file, runtimes=("cpu", "gpu"))
    file = write(tmp_path / "part.onnx", "Det", (3, 3))
    result = compare(file, file, runtimes=("cpu", "gpu"))
    assert result.verdict == "same"
    assert "onnxruntime_webgpu: 1 operators run on the processor, 1 on the GPU: Det" in result.notes
    assert members(["gpu"], ["onnx"]) == ["onnxruntime_webgpu"]


def test_a_bundle_on_the_gpu(tmp_path, monkeypatch):
    """Whose ReLU returns a number for NaN, which is said."""
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="relu")(inputs))
    export_model(model, tmp_path / "bundle", formats=("keras", "onnx"))
    certificate = verify_bundle(tmp_path / "bundle", runtimes=["gpu"], require=["gpu"])
    (row,) = [row for row in certificate.rows if row.runtime == "onnxruntime_webgpu"]
    assert (certificate.verdict, row.state) == ("pass", "pass")
    assert row.note == "endpoint serving_default: output is a number where the model returns NaN"
    assert row.versions["onnxruntime-webgpu"] == environments.ONNX_GPU.version
    monkeypatch.setattr(environments, "VULKAN", None)
    certificate = verify_bundle(tmp_path / "bundle", runtimes=["gpu"], require=["gpu"])
    assert certificate.verdict == "incomplete"
    assert certificate.problems()[0].endswith(RUNTIMES["onnxruntime_webgpu"].install)
