"""The page of a file for devices does what the file's metadata say: its labels and its tokenizer."""

import json
import shutil
import subprocess

import keras
import numpy as np
import pytest

import export
from export.contract import Contract, Endpoint, Tensor
from export.formats import tflite_metadata
from export.serving.web.bundle_pages import HERE, LocalPages
from pipelines.text import delimited_words
from tests.export.conftest import reseal
from tests.export.formats.test_tflite_metadata import rewritten

VOCABULARY = ("", "[UNK]", "film", "good", "don't", "Ärger")
TEXTS = ["A GOOD film!", "don't ''Don't'' fIlm", "", "Ärger\U0001f642 good", "one 'good' film"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Return the bundle of a classifier of texts for devices."""
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(len(VOCABULARY), 4)(tokens))
    model = keras.Model(tokens, keras.layers.Dense(2, activation="softmax")(x), name="texts")
    words = tuple(" ".join(delimited_words.forms(word)) if i > 1 else word for i, word in enumerate(VOCABULARY))
    high = len(VOCABULARY) - 1
    takes = Tensor("tokens", "int32", (None, 6), "token", 0, high, words=words, delimiter=delimited_words.DELIMITER)
    gives = Tensor("probabilities", "float32", (None, 2), "probabilities")
    endpoint = Endpoint("classify", (takes,), (gives,), lambda x: {"probabilities": model(x["tokens"])})
    contract = Contract((endpoint,), ("bad", "good"))
    folder = tmp_path_factory.mktemp("texts")
    return export.export_model(model, folder / "bundle", contract=contract, formats=("tflite",)).path


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
