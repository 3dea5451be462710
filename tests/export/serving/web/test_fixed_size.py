"""A model that takes images of any size gets a page for one size."""

import keras
import numpy as np
import pytest
from keras import layers

from export import Contract, Tensor, export_model
from export.contract.endpoints import tensor_endpoint
from export.parity.noise_floor import Policy
from export.serving.web import fixed_size
from export.serving.web.browser import check
from export.serving.web.site import write_site
from zoobase.errors import CheckFailed

IMAGE = Tensor("image", "float32", (None, None, None, 3), "image", 0, 255)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="sigmoid")(x)
    model = keras.Model(inputs, layers.Rescaling(255.0)(x))
    out = Tensor("stylised", "float32", (None, None, None, 3), "image", 0, 255)
    contract = Contract((tensor_endpoint(model, [IMAGE], [out]),))
    return export_model(
        model, tmp_path_factory.mktemp("free") / "bundle", contract=contract, formats=("saved_model", "tflite")
    )


def test_the_browser_runs_a_file_of_one_size(bundle, tmp_path, litert, browser):
    site = write_site([bundle.path], tmp_path / "site", size=24)
    assert "Image to image" in (site / "index.html").read_text()
    assert '"shape": [null, 24, 24, 3]' in (site / "index.html").read_text()
    assert check(site)["golden.html"][0] == "pass"


def test_a_conversion_that_differs_is_refused(bundle, tmp_path, monkeypatch):
    contract = bundle.contract
    content, fixed = fixed_size.fixed(bundle.path, bundle.manifest, list(contract.endpoints), 16, ())
    assert fixed["serving_default"].outputs[0].shape == (None, 16, 16, 3)
    image = {"serving_default": {"image": np.zeros((1, 16, 16, 3), np.float32)}}
    wrong = {"serving_default": {"stylised": np.full((1, 16, 16, 3), 3 * Policy().relative, np.float32)}}
    with pytest.raises(CheckFailed, match="nothing was written"):
        fixed_size._compare(content, image, wrong, bundle.path)
