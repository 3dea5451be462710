"""The energies of rows that a classifier was not trained on, by which a page says what is unlike them."""

import json

import numpy as np
import pytest
from scipy.special import logsumexp

from export import Checks, export_model
from export.contract import Endpoint, Tensor, energies
from export.serving.web.bundle_pages import UNLIKE, LocalPages
from tests.export.conftest import create


def test_energies_are_of_logits_in_a_saved_model_and_need_rows(tmp_path):
    endpoint = Endpoint("serving_default", (), (Tensor("logits", "float32", (None, 4), "logits"),))
    logits = np.random.default_rng(0).normal(0, 5, (60, 4)).astype("float32")
    energies.write(tmp_path / "few", endpoint, {"logits": logits[: energies.LEAST_ROWS - 1]})
    assert not (tmp_path / "few").exists()
    (tmp_path / "1").mkdir()
    energies.write(tmp_path / "1", endpoint, {"logits": logits})
    content = json.loads((tmp_path / "1" / energies.FILE).read_text())
    np.testing.assert_allclose(content["energies"], np.sort(logsumexp(logits, 1)), rtol=1e-5)


@pytest.mark.extended
def test_the_page_of_a_bundle_has_the_lowest_energy_that_is_usual(tmp_path):
    model, contract = create("functional_cnn")
    images = np.random.default_rng(1).uniform(0, 255, (300, 12, 12, 1)).astype("float32")
    checks, formats = Checks(validation={"image": images}), ("keras", "saved_model", "tflite")
    bundle = export_model(model, tmp_path / "bundle", contract=contract, formats=formats, checks=checks)
    assert bundle.certificate.verdict == "pass"
    pages = LocalPages(bundle.path)
    expected = np.quantile(logsumexp(np.asarray(model(images)), 1), UNLIKE)
    assert pages._reference(pages.pages[0])["lowest_energy"] == pytest.approx(expected, rel=1e-4)
