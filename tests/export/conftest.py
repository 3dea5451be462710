"""Bundles of real models, exported once for all tests, and copies of them that tests may damage."""

import contextlib
import json
import shutil

import pytest

from export import export_model, infer_contract
from export.bundle.card import documents_of
from export.bundle.layout import Bundle, read_manifest, seal, write_text
from export.contract import Contract, Endpoint, Tensor
from export.formats.saved_model import save
from export.proof.certificate import Certificate
from export.runtime.backend import load_tensorflow

VOCABULARY = ("", "[UNK]", "film", "good", "don't", "Ärger")
CONTRACTS = {"autoencoder": "of_autoencoder", "characters": "of_characters", "functional_cnn": "of_functional_cnn"}


def create(name, **options):
    """Return a model of `tests.export.models`, always with the same weights, and its contract, or None if inferred."""
    load_tensorflow()
    import keras

    from tests.export import contracts, models

    keras.utils.set_random_seed(0)
    model = getattr(models, name)(**options)
    contract = getattr(contracts, CONTRACTS[name])(model) if name in CONTRACTS else None
    return model, contract


@pytest.fixture(scope="session")
def bundles(shared):
    """Return a function from a model's name to its bundle, which is exported once for all processes."""
    opened = {}

    def bundle(name):
        if name not in opened:
            exported = []
            path = shared(f"bundle-{name}", lambda path: exported.append(_export(name, path)))
            opened[name] = exported[0] if exported else _read(name, path)
        return opened[name]

    return bundle


def _export(name, out):
    model, contract = create(name)
    return export_model(model, out, contract=contract)


def _read(name, folder):
    """Return the bundle that another worker exported; its contract has the calls of a new model with those weights."""
    model, contract = create(name)
    model.load_weights(folder / "model.weights.h5")
    certificate = Certificate.from_json(json.loads((folder / "parity.json").read_text()))
    return Bundle(folder, read_manifest(folder), contract or infer_contract(model), certificate)


@pytest.fixture(scope="session")
def texts(shared):
    """Return the bundle of a classifier of texts for devices, whose vocabulary is in its TFLite file."""

    def make(path):
        load_tensorflow()
        import keras

        from pipelines.text import delimited_words

        keras.utils.set_random_seed(0)
        tokens = keras.Input((6,), dtype="int32", name="tokens")
        x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(len(VOCABULARY), 4)(tokens))
        model = keras.Model(tokens, keras.layers.Dense(2, activation="softmax")(x), name="texts")
        words = tuple(" ".join(delimited_words.forms(word)) if i > 1 else word for i, word in enumerate(VOCABULARY))
        options = {"words": words, "delimiter": delimited_words.DELIMITER}
        takes = Tensor("tokens", "int32", (None, 6), "token", 0, len(VOCABULARY) - 1, **options)
        gives = Tensor("probabilities", "float32", (None, 2), "probabilities")
        endpoint = Endpoint("classify", (takes,), (gives,), lambda x: {"probabilities": model(x["tokens"])})
        export_model(model, path, contract=Contract((endpoint,), ("bad", "good")), formats=("tflite",))

    return shared("bundle-of-texts", make)


@pytest.fixture
def damaged(bundles, tmp_path):
    """Return a function from a model's name to a copy of its bundle that may be changed."""

    def copy(name):
        return shutil.copytree(bundles(name).path, tmp_path / name)

    return copy


def reseal(folder, **changes):
    """Hash a changed bundle again, and write what its manifest gives, so that only running it can detect the change."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    if changes and "documents" in manifest:
        certificate = Certificate.from_json(json.loads((folder / "parity.json").read_text()))
        with contextlib.suppress(Exception):  # of a malformed manifest
            for name, text in documents_of(folder, manifest, certificate).items():
                write_text(folder / name, text)
    seal(folder, manifest)


def row_of(certificate, **fields):
    """Return the first row of a certificate with these fields."""
    return next(row for row in certificate.rows if all(getattr(row, key) == value for key, value in fields.items()))


def replace_saved_model(folder, model, contract, **calls):
    """Write another SavedModel over that of a bundle: the same endpoints with other functions."""
    endpoints = [
        Endpoint(e.name, e.inputs, e.outputs, calls.get(e.name, e.call), e.formats, e.batch) for e in contract.endpoints
    ]
    shutil.rmtree(folder / "saved_model/1")
    save(model, endpoints, folder / "saved_model/1", reusable=True)
    reseal(folder)


@pytest.fixture
def with_saved_model(damaged, bundles):
    """Return a function: name of a model, call (Keras model, inputs) -> copy whose SavedModel has that call."""

    def replaced(name, call, change=lambda model: None):
        import keras

        folder = damaged(name)
        model = keras.saving.load_model(folder / "model.keras")
        change(model)
        replace_saved_model(folder, model, bundles(name).contract, serving_default=lambda x: call(model, x))
        return folder

    return replaced


def exchanged(model, x):
    """A call of the model of two inputs and outputs, whose outputs are exchanged."""
    mean, spread = model([x["left"], x["right"]], training=False)
    return {"mean": spread, "spread": mean}
