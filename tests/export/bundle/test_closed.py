"""A bundle holds what its manifest gives, says what its certificate gives, and does not set its own bounds."""

import dataclasses
import shutil

import numpy as np
import pytest

from export import export_model, verify_bundle
from export.bundle import closed
from export.exporter import Documents
from export.parity.cases import read_golden
from export.parity.golden import differences_from_drawn
from export.proof.certificate import FAIL, INCOMPLETE, PASS
from export.runtime.backend import load_tensorflow
from tests.export.bundle.closed_faults import BOUNDS, FAULTS
from tests.export.conftest import create, reseal, row_of
from tests.plugins import tiers

tf = load_tensorflow()

FIRST = ("a script in assets.extra", "Manifest.json", "a script in the README", "three golden cases")
OTHER_RELEASE = {"golden rows repeated"}  # cannot be told from what another release draws: incomplete


@pytest.mark.parametrize("name", tiers.only(FAULTS, FIRST))
def test_a_fault_of_the_folder_is_found(damaged, name):
    folder = damaged("functional_cnn")
    FAULTS[name][1](folder)
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["c_api"])
    assert certificate.verdict == (INCOMPLETE if name in OTHER_RELEASE else FAIL)
    assert certificate.problems()[0].startswith("files: ")


@pytest.mark.parametrize("bound", tiers.first(BOUNDS))
def test_a_bound_that_a_bundle_sets_is_not_obeyed(with_saved_model, bound):
    """The SavedModel scales all its logits, or those of images of one colour, by less than that bound would allow."""

    def call(model, x):
        logits = model(x["image"], training=False)
        is_plain = tf.math.reduce_std(x["image"], [1, 2, 3]) < (np.inf if bound == "a noise floor" else 1e-3)
        return {"logits": tf.where(is_plain[:, None], logits * 1.0002, logits)}

    folder = with_saved_model("functional_cnn", call)
    BOUNDS[bound](folder)
    reseal(folder)
    certificate = verify_bundle(folder, runtimes=["tensorflow"])
    assert "differs by" in row_of(certificate, runtime="tensorflow").reason
    assert certificate.verdict == FAIL


def test_a_right_bundle_with_everything_passes(tmp_path):
    """Its own files, images and code; labels with characters that end a line for Python, and HTML in every text."""
    import keras

    image = tmp_path / "a curve <b>.png"
    keras.utils.save_img(image, np.zeros((4, 4, 3)))
    model, contract = create("functional_cnn")
    card = {"title": "<b>", "command": "train\n# now", "notes": "[x](y)", "code": {"Use": "print()"}, "images": [image]}
    documents = Documents(card | {"metrics": {"accuracy": np.float32(0.5)}}, {"words.txt": b"one\ntwo\n"})
    contract = dataclasses.replace(contract, labels=("a\u2028b", "c\x85", "Ärger", "d"))
    samples = {"image": np.random.default_rng(0).uniform(0, 255, (9, 12, 12, 1)).astype("float32")}
    options = {"formats": ("keras", "saved_model"), "documents": documents, "samples": samples}
    folder = export_model(model, tmp_path / "b", contract=contract, **options).path
    certificate = verify_bundle(folder, runtimes=["c_api"])
    assert certificate.verdict == PASS, certificate.problems()
    shutil.move(folder, tmp_path / "renamed")
    reseal(tmp_path / "renamed", documents=0)
    certificate = verify_bundle(tmp_path / "renamed", runtimes=["c_api"])
    assert (certificate.verdict, certificate.problems()[0].count("another release")) == (INCOMPLETE, 1)


def test_golden_inputs_are_drawn_again(bundles):
    for name in ("functional_cnn", "masked", "text"):
        bundle = bundles(name)
        cases = read_golden(bundle.path / "golden", bundle.contract)
        assert [*differences_from_drawn(bundle.contract.endpoints[0], cases["serving_default"])] == []


def test_two_names_that_are_one_elsewhere():
    assert [*closed._twins(["a/B", "a/c", "A/d", "e\u0301", "\u00e9"])] == [
        "A and a are one name where case does not count",
        "\u00e9 and e\u0301 are one name where case does not count",
    ]
