"""Networks in OpenVINO's own form (`model.export(format="openvino")` of Keras), and quantized ones."""

import numpy as np
import pytest

from export import certify
from export.artifacts import describe
from tests.export.conftest import create
from zoobase.errors import ExportError

pytestmark = [pytest.mark.needs("openvino"), pytest.mark.extended]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the folder of a Keras file and of what Keras exports of it."""
    folder = tmp_path_factory.mktemp("openvino")
    model, _ = create("two_by_two")
    model.save(folder / "model.keras")
    (folder / "network").mkdir()
    model.export(str(folder / "network" / "model.xml"), format="openvino", verbose=False)
    return folder


def copied(written, tmp_path, change_xml=lambda text: text, change_bin=lambda content: content):
    path = tmp_path / "model.xml"
    path.write_text(change_xml((written / "network/model.xml").read_text()))
    path.with_suffix(".bin").write_bytes(change_bin((written / "network/model.bin").read_bytes()))
    return path


def test_described(written):
    description = describe(written / "network")  # a folder with one network
    (signature,) = description.signatures
    assert (description.format, description.path.name) == ("openvino", "model.xml")
    assert [port.dtype for port in (*signature.inputs, *signature.outputs)] == ["float32"] * 4
    assert description.size == sum(path.stat().st_size for path in (written / "network").iterdir())


def test_certified_as_keras_writes_it_and_different_once_changed(written, tmp_path):
    result = certify(written / "model.keras", written / "network")
    assert result.is_same, result.comparison
    assert result.comparison.weights["matched"] >= 2  # of four

    def change(content):
        numbers = np.frombuffer(content[: len(content) // 4 * 4], "<f4").copy()
        numbers[(np.abs(numbers) > 1e-3) & (np.abs(numbers) < 10)] *= 1.1
        return numbers.tobytes() + content[len(content) // 4 * 4 :]

    assert not certify(written / "model.keras", copied(written, tmp_path, change_bin=change)).is_same


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("<net ", '<!DOCTYPE net [<!ENTITY a "b">]><net ', 1), "declarations"),
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (lambda text: text.replace('names="', 'name="'), "has no name"),
        (lambda text: text.replace('precision="FP32"', 'precision="BF16"'), "dtype that NumPy does not have"),
    ],
)
def test_what_is_refused(written, tmp_path, change, message):
    with pytest.raises(ExportError, match=message):
        describe(copied(written, tmp_path, change))


def test_without_weights(written, tmp_path):
    path = copied(written, tmp_path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(ExportError, match=r"no weights beside it: there is no model\.bin"):
        describe(path)


@pytest.mark.parametrize("mode", ["int8", pytest.param("int4", marks=pytest.mark.proof)])
def test_networks_that_keras_has_quantized(tmp_path, mode):
    model, _ = create("functional_cnn")
    model.quantize(mode)
    model.save(tmp_path / "model.keras")
    model.export(str(tmp_path / "saved_model"), verbose=False)
    assert certify(tmp_path / "model.keras", tmp_path / "saved_model").is_same
