"""Bundles of real models, exported once for all tests, and copies of them to damage."""

from __future__ import annotations

import json
import shutil

import pytest

from export.backend import load_tensorflow
from export.bundle import seal

CONTRACTS = {"autoencoder": "of_autoencoder", "characters": "of_characters", "functional_cnn": "of_functional_cnn"}


def make(name, **options):
    """Return a model of `tests.export.models` and its contract, or None where it is to be inferred."""
    load_tensorflow()
    from tests.export import contracts, models

    model = getattr(models, name)(**options)
    contract = getattr(contracts, CONTRACTS[name])(model) if name in CONTRACTS else None
    return model, contract


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Return a function from a model's name to its bundle."""
    from export import export_model

    made = {}

    def bundle(name):
        if name not in made:
            model, contract = make(name)
            made[name] = export_model(model, tmp_path_factory.mktemp("bundles") / name, contract=contract)
        return made[name]

    return bundle


@pytest.fixture
def damaged(bundles, tmp_path):
    """Return a function from a model's name to a copy of its bundle that may be changed."""

    def copy(name):
        return shutil.copytree(bundles(name).path, tmp_path / name)

    return copy


def reseal(folder, **changes):
    """Hash a changed bundle again, so that only running it can find the change."""
    manifest = json.loads((folder / "manifest.json").read_text())
    seal(folder, manifest | changes)
