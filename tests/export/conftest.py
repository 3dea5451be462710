"""Bundles of real models, exported once for all tests, and copies of them that tests may damage."""

import json
import shutil

import pytest

from export import export_model, infer_contract
from export.bundle.layout import Bundle, read_manifest, seal
from export.contract import Endpoint
from export.formats.saved_model import save
from export.proof.certificate import Certificate
from export.runtime.backend import load_tensorflow

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


@pytest.fixture
def damaged(bundles, tmp_path):
    """Return a function from a model's name to a copy of its bundle that may be changed."""

    def copy(name):
        return shutil.copytree(bundles(name).path, tmp_path / name)

    return copy


def reseal(folder, **changes):
    """Hash a changed bundle again, so that only running it can detect the change."""
    manifest = json.loads((folder / "manifest.json").read_text())
    seal(folder, manifest | changes)


def replace_saved_model(folder, model, contract, **calls):
    """Write another SavedModel over that of a bundle: the same endpoints with other functions."""
    endpoints = [
        Endpoint(e.name, e.inputs, e.outputs, calls.get(e.name, e.call), e.formats, e.batch) for e in contract.endpoints
    ]
    shutil.rmtree(folder / "saved_model/1")
    save(model, endpoints, folder / "saved_model/1")
    reseal(folder)
