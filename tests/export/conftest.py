"""Bundles of real models, exported once for all tests, and copies of them that tests may damage."""

from __future__ import annotations

import fcntl
import json
import os
import shutil

import pytest

from export import export_model, infer_contract
from export.bundle.layout import Bundle, read_manifest, seal
from export.proof.certificate import Certificate
from export.runtime.backend import load_tensorflow

CONTRACTS = {"autoencoder": "of_autoencoder", "characters": "of_characters", "functional_cnn": "of_functional_cnn"}


def create(name, **options):
    """Return a model of `tests.export.models` and its contract, or None where it is to be inferred."""
    load_tensorflow()
    from tests.export import contracts, models

    model = getattr(models, name)(**options)
    contract = getattr(contracts, CONTRACTS[name])(model) if name in CONTRACTS else None
    return model, contract


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Return a function from a model's name to its bundle. Workers of pytest-xdist share them."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "export-bundles"
    shared.mkdir(exist_ok=True)
    exported = {}

    def bundle(name):
        if name not in exported:
            with (shared / f"{name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                exists = (shared / name).exists()
                exported[name] = _read(name, shared / name) if exists else _export(name, shared / name)
        return exported[name]

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
