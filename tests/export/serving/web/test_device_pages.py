"""Pages of files for devices, whose metadata they follow, and of models that take images of any size."""

import json
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers

from export import Tensor, export_model
from export.contract import Contract
from export.contract.endpoints import tensor_endpoint
from export.formats import tflite_metadata
from export.parity.noise_floor import Policy
from export.serving.web import fixed_size
from export.serving.web.browser import check
from export.serving.web.bundle_pages import HERE, LocalPages
from export.serving.web.site import write_site
from pipelines.text import delimited_words
from tests.export.conftest import VOCABULARY, reseal
from tests.export.formats.test_tflite_metadata import rewritten
from zoobase.errors import CheckFailed

TEXTS = ["A GOOD film!", "don't ''Don't'' fIlm", "", "Ärger\U0001f642 good", "one 'good' film"]


def test_the_page_of_a_text_has_the_tokenizer_of_the_file(texts, tmp_path):
    pages = LocalPages(texts, 64)
    (page,) = pages.pages
    assert (page.form, page.options["length"], pages.labels) == ("text", 6, ["bad", "good"])
    pages.write(tmp_path / "site", ".")
    assert '"delimiter"' in (tmp_path / "site/index.html").read_text()  # of the contract, beside the options


@pytest.mark.needs("node")
def test_javascript_returns_the_ids_of_python(texts, tmp_path):
    node = shutil.which("node")
    options = LocalPages(texts, 64).pages[0].options
    module = tmp_path / "tokenizer.mjs"
    shutil.copyfile(HERE / "static/tokenizer.js", module)
    program = f"""import {{ ids, Tokenizer }} from "{module.as_uri()}";
    const tokenizer = new Tokenizer({json.dumps(dict(options))});
    console.log(JSON.stringify({json.dumps(TEXTS)}.map((text) => ids(tokenizer, tokenizer.split(text), 6))));"""
    result = subprocess.run([node, "--input-type=module", "-e", program], capture_output=True, text=True, check=True)
    index = delimited_words.index(VOCABULARY)
    assert json.loads(result.stdout) == [delimited_words.encode(text, index, 6).tolist() for text in TEXTS]


def test_the_labels_of_a_page_are_those_of_the_file(bundles, tmp_path):
    folder = shutil.copytree(bundles("functional_cnn").path, tmp_path / "bundle")
    assert LocalPages(folder, 64).labels == ["ant", "bee", "cat", "dog"]
    rewritten(folder / "tflite/float32.tflite", lambda graph: None, lambda files: {"labels.txt": b"w\nx\ny\nz\n"})
    reseal(folder)
    assert LocalPages(folder, 64).labels == ["w", "x", "y", "z"]


def test_the_tokenizer_of_a_file_is_that_of_its_contract(texts):
    file = (texts / "tflite/float32.tflite").read_bytes()
    delimiter, words = tflite_metadata.tokenizer_in(tflite_metadata.read(file), tflite_metadata.files_in(file))
    contract = Contract.from_json(json.loads((texts / "manifest.json").read_text())["contract"])
    (tokens,) = contract["classify"].inputs
    assert delimiter == tokens.delimiter
    assert words[2:] == list(tokens.words[2:])
    assert np.array(words[:2]).tolist() == ["<PAD>", "<UNKNOWN>"]


IMAGE = Tensor("image", "float32", (None, None, None, 3), "image", 0, 255)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="sigmoid")(x)
    model = keras.Model(inputs, layers.Rescaling(255.0)(x))
    out = Tensor("stylised", "float32", (None, None, None, 3), "image", 0, 255)
    contract = Contract((tensor_endpoint(model, [IMAGE], [out]),))
    path = tmp_path_factory.mktemp("free") / "bundle"
    return export_model(model, path, contract=contract, formats=("saved_model", "tflite"))


@pytest.mark.extended
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
