"""A new format is its file, its runner and its test: this is one, which is registered and exported end to end."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest

import export
from export import export_model, load, verify_bundle
from export.artifacts import describe
from export.bundle import layout
from export.contract import Artifact
from export.formats import FORMATS, with_formats
from export.formats.format import Format, Port, Signature
from export.protocol.runner import Runtime
from export.runners import RUNTIMES
from tests.export.conftest import create
from tests.plugins.tiers import first

RUNNER = """
import numpy as np
import runner

def open_artifact(artifact, examples):
    with np.load(artifact["path"]) as stored:
        kernel, bias = stored["kernel"], stored["bias"]
    (endpoint,) = artifact["endpoints"]
    (inputs,), (outputs,) = endpoint["inputs"], endpoint["outputs"]
    return {endpoint["name"]: {"main": lambda x: {outputs["name"]: x[inputs["name"]] @ kernel + bias}}}

RUNTIME = runner.Runtime("toy", __file__, "numpy", "numpy", ("toy",), open_artifact, required=True)

if __name__ == "__main__":
    runner.main(RUNTIME)
"""


def write(model, contract, folder, version):
    kernel, bias = model.get_weights()
    np.savez(folder / "model.toy", kernel=kernel, bias=bias)
    (folder / "model.toy.npz").rename(folder / "model.toy")
    return Artifact("toy", "model.toy", tuple(e.name for e in contract.carried_by("toy")))


def describe_toy(description):
    with np.load(description.path) as stored:
        rows, columns = stored["kernel"].shape
    ports = (Port("x", "float32", (None, rows)),), (Port("y", "float32", (None, columns)),)
    description.signatures, description.parameters = (Signature("", *ports),), (rows + 1) * columns


TOY = Format(
    "toy",
    ".toy",
    write,
    lambda path, head: path.suffix == ".toy",
    describe_toy,
    is_default=False,
    needs_code=False,
    has_strings=False,
)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    runner = tmp_path / "run_toy.py"
    runner.write_text(RUNNER)
    runtime = Runtime("toy", str(runner), "numpy", "numpy", ("toy",), None, required=True)
    monkeypatch.setitem(FORMATS, "toy", TOY)
    monkeypatch.setitem(RUNTIMES, "toy", runtime)
    layout._validator.cache_clear()
    yield
    layout._validator.cache_clear()


def test_a_new_format_is_exported_proven_verified_and_described(toy, tmp_path):
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2)])
    bundle = export_model(model, tmp_path / "b", formats=("toy", "weights"))
    verified = verify_bundle(bundle.path, runtimes=["toy"])
    rows = {row.format: row for row in (*bundle.certificate.rows, *verified.rows)}
    assert (rows["toy"].state, rows["toy"].runtime) == ("pass", "toy")
    assert "toy" in bundle.contract.endpoints[0].formats
    description = describe(bundle.path / "model.toy")
    assert (description.format, description.parameters) == ("toy", 8)
    assert "`model.toy`" in (bundle.path / "README.md").read_text()
    with pytest.raises(export.ExportError, match="holds no toy"):
        load(export_model(model, tmp_path / "c", formats=("weights",)).path, "toy")


def test_a_new_format_that_is_wrong_fails(toy, tmp_path):
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2, activation="tanh")])
    with pytest.raises(export.ExportFailed, match=r"model\.toy in toy: endpoint serving_default: output in case"):
        export_model(model, tmp_path / "b", formats=("toy",))


def test_every_endpoint_is_carried_by_what_can_represent_it():
    _, contract = create("functional_cnn")
    own, files = with_formats(contract).endpoints
    assert own.formats == tuple(FORMATS)
    assert files.formats == ("saved_model",), "it takes strings, and is not the model's own call"
    (text,) = with_formats(export.infer_contract(create("text")[0])).endpoints
    assert "tflite" in text.formats, "nothing else could be carried: it is tried"


NAMED = {  # the key of a job, the name of a folder, the default of an argument
    "saved_model": {
        "bundle/layout.py",
        "bundle/loader.py",
        "serving/servers/programs/triton_model.py",
        "serving/servers/triton.py",
    },
    "tflite": {"contract/endpoints.py"},
}


@pytest.mark.parametrize(
    "name", first(["tflite", "hdf5", "saved_model", "onnx"])
)  # keras and weights are words of their own
def test_the_name_of_a_format_stands_in_its_file_and_its_runners(name):
    root = Path(export.__file__).parent
    files = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == name
    }
    others = {file for file in files if not file.startswith("runners/")}
    own = {file for file in others if file.startswith("formats/")}
    assert others - own == NAMED.get(name, set())
