"""Keys, and a signed bundle that tests may change."""

import shutil

import pytest

from export.attestation import envelope, statement
from tests.export.attestation.mutations import write_keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """Return the paths of a private key, its public key, another private key and its public key."""
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signed(bundles, keys, tmp_path):
    """Return a function from a model's name to a copy of its bundle, signed with the first key."""

    def copy(name, key=keys[0]):
        folder = shutil.copytree(bundles(name).path, tmp_path / name)
        envelope.sign(folder, statement.statements_of(folder), key)
        return folder

    return copy
