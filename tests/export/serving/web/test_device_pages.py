"""Pages of files for devices, whose metadata they follow."""

import json
import shutil
import subprocess

import keras
import numpy as np
import pytest

from export import Tensor, export_model
from export.contract import Contract
from export.contract.endpoints import tensor_endpoint
from export.formats import tflite_metadata
from export.serving.web.bundle_pages import HERE, LocalPages
from pipelines.text import delimited_words
from tests.export.conftest import VOCABULARY, reseal
from tests.export.formats.test_tflite_metadata import rewritten
from zoobase.errors import ExportError

TEXTS = ["A GOOD film!", "don't ''Don't'' fIlm", "", "Ärger\U0001f642 good", "one 'good' film"]


def test_the_page_of_a_text_has_the_tokenizer_of_the_file(texts, tmp_path):
    pages = LocalPages(texts)
    (page,) = pages.pages
    assert (page.form, page.options["length"], pages.labels) == ("text", 6, ["bad", "good"])
    pages.write(tmp_path / "site", ".")
    assert '"delimiter"' in (tmp_path / "site/index.html").read_text()  # of the contract, beside the options


@pytest.mark.needs("node")
def test_javascript_returns_the_ids_of_python(texts, tmp_path):
    node = shutil.which("node")
    options = LocalPages(texts).pages[0].options
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
    assert LocalPages(folder).labels == ["ant", "bee", "cat", "dog"]
    rewritten(folder / "tflite/float32.tflite", lambda graph: None, lambda files: {"labels.txt": b"w\nx\ny\nz\n"})
    reseal(folder)
    assert LocalPages(folder).labels == ["w", "x", "y", "z"]


def test_the_tokenizer_of_a_file_is_that_of_its_contract(texts):
    file = (texts / "tflite/float32.tflite").read_bytes()
    delimiter, words = tflite_metadata.tokenizer_in(tflite_metadata.read(file), tflite_metadata.files_in(file))
    contract = Contract.from_json(json.loads((texts / "manifest.json").read_text())["contract"])
    (tokens,) = contract["classify"].inputs
    assert delimiter == tokens.delimiter
    assert words[2:] == list(tokens.words[2:])
    assert np.array(words[:2]).tolist() == ["<PAD>", "<UNKNOWN>"]


def test_a_model_that_takes_images_of_any_size_has_no_page(tmp_path):
    inputs = keras.Input((None, None, 3), name="image")
    model = keras.Model(inputs, keras.layers.Conv2D(3, 3, padding="same")(inputs))
    image, out = (Tensor(name, "float32", (None, None, None, 3), "image", 0, 255) for name in ("image", "stylised"))
    contract = Contract((tensor_endpoint(model, [image], [out]),))
    bundle = export_model(model, tmp_path / "bundle", contract=contract, formats=("tflite",))
    with pytest.raises(ExportError, match=r"has no fixed size, which LiteRT.js needs"):
        LocalPages(bundle.path)
