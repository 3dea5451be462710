"""What every runtime has in common: a right file passes, that of another model fails, and its absence is one sentence.

A new runtime is tested here without another line, if an export writes one of its formats.
"""

import dataclasses
import json
import shutil

import pytest

import export
from export.contract import Contract, Tensor
from export.contract.endpoints import tensor_endpoint
from export.formats import FORMATS
from export.runners import RUNTIMES
from export.runtime.backend import load_tensorflow
from tests.export.conftest import reseal
from tests.plugins import needs
from tests.plugins.tiers import only

WRITTEN = {name: runtime for name, runtime in RUNTIMES.items() if {*runtime.formats} & {*FORMATS}}
IMAGE = Tensor("image", "float32", (None, 8, 8, 3), "image", low=0.0, high=255.0)
LABELS = ("cat", "dog", "bee")
# `make test-all` has these in test_onnx_gpu.py and test_webgpu.py, with right files and wrong ones
ELSEWHERE = {"onnxruntime_webgpu", "browser_webgpu"}


def write(path, seed, formats):
    """Export a small classifier of images, with one endpoint, as the libraries of devices take it."""
    load_tensorflow()
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, 2, activation="relu")(layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="probabilities")(layers.Flatten()(x)))
    probabilities = Tensor("probabilities", "float32", (None, 3), "probabilities")
    contract = Contract((tensor_endpoint(model, [IMAGE], [probabilities]),), labels=LABELS)
    export.export_model(model, path, contract=contract, formats=formats)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Return a function: formats -> two bundles of one architecture with other weights."""
    folder, written = tmp_path_factory.mktemp("pair"), set()

    def get(formats):
        paths = folder / f"{'-'.join(formats)}-0", folder / f"{'-'.join(formats)}-1"
        if formats not in written:
            for seed, path in enumerate(paths):
                write(path, seed, formats)
            written.add(formats)
        return paths

    return get


def verified(folder, name):
    certificate = export.verify_bundle(folder, runtimes=[name], require=[name], deep=False)
    return certificate, [row for row in certificate.rows if row.runtime == name]


def formats_of(runtime):
    """The formats of a bundle in which a runtime has rows: a few for each, so that the bundles are shared."""
    return next(
        (formats for formats in (("tflite",), ("onnx",)) if formats[0] in runtime.formats),
        ("keras", "hdf5", "weights", "saved_model"),
    )


@pytest.mark.parametrize("name", only(WRITTEN, {"litert"}, ELSEWHERE))
def test_a_right_file_passes_and_that_of_another_model_fails(name, pair, tmp_path):
    if WRITTEN[name].version is None:
        pytest.skip(f"{needs.PREFIX}{name}: {WRITTEN[name].install}")
    right, other = pair(formats_of(WRITTEN[name]))
    _, rows = verified(right, name)
    assert {row.state for row in rows} == {"pass"}, [row.reason for row in rows]
    wrong = shutil.copytree(right, tmp_path / "wrong")
    for path in (entry["path"] for entry in json.loads((right / "manifest.json").read_text())["artifacts"]):
        if (wrong / path).is_dir():
            shutil.rmtree(wrong / path)
            shutil.copytree(other / path, wrong / path)
        else:
            shutil.copy(other / path, wrong / path)
    reseal(wrong)
    certificate, rows = verified(wrong, name)
    assert certificate.verdict == "fail"
    assert {row.state for row in rows} == {"fail"}
    assert all("probabilities " in row.reason for row in rows), [row.reason for row in rows]


@pytest.mark.parametrize("name", only(WRITTEN, {"litert"}))
def test_a_runtime_that_is_not_installed_is_named_with_its_command(name, pair, monkeypatch):
    monkeypatch.setitem(RUNTIMES, name, dataclasses.replace(WRITTEN[name], probe=lambda: None))
    certificate, rows = verified(pair(formats_of(WRITTEN[name]))[0], name)
    assert {row.state for row in rows} == {"not_run"}
    assert all((WRITTEN[name].install or "install") in row.reason for row in rows)
    assert certificate.exit_code == 3
