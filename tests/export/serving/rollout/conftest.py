"""Bundles of one classifier before and after an update."""

import pytest

from export import export_model
from tests.export.conftest import create


@pytest.fixture(scope="session")
def update(bundles, shared):
    """Return a function from a name to a bundle.

    `stable`, `better` (other logits, the same classes) and `worse` (other classes) are of one classifier.
    """
    changes = {"better": (1, 0.25), "worse": (-1, 0)}  # of the kernel and the bias of the last layer

    def bundle(name):
        if name == "stable":
            return bundles("functional_cnn").path

        def make(path):
            model, contract = create("functional_cnn")
            model.load_weights(bundles("functional_cnn").path / "model.weights.h5")
            kernel, bias = model.layers[-1].get_weights()
            factor, shift = changes[name]
            model.layers[-1].set_weights([factor * kernel, bias + shift])
            export_model(model, path, contract=contract, formats=("keras", "saved_model"))

        return shared(f"bundle-update-{name}", make)

    return bundle


@pytest.fixture
def served(update, tmp_path):
    from export import publish

    publish(update("stable"), tmp_path / "m")
    return tmp_path / "m"
