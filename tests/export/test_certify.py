"""Certificates of conversions that others made, and the published table of seeded bugs."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import seeded_bugs
from benchmarks.conversions import weights_of
from export import certify, compare
from export.__main__ import verbs
from export.runtime.backend import load_tensorflow
from tests.plugins import tiers

tf = load_tensorflow()


def test_the_page_says_what_was_measured():
    results = json.loads(seeded_bugs.RESULTS.read_text())
    assert {name: list(rows) for name, rows in results["models"].items()} == {
        name: ["right", *conversion.bugs] for name, conversion in seeded_bugs.CONVERSIONS.items()
    }
    assert sum(len(conversion.bugs) for conversion in seeded_bugs.CONVERSIONS.values()) == 40
    bugs = {bug: row for rows in results["models"].values() for bug, row in rows.items() if bug != "right"}
    assert set(seeded_bugs.MISSED) == {bug for bug, row in bugs.items() if not seeded_bugs.is_found(row, "certify")}
    assert not [row for rows in results["models"].values() if (row := rows["right"])["certify"] != "same"]
    assert seeded_bugs.text(results) == seeded_bugs.PAGE.read_text()


@pytest.fixture(scope="module")
def conversions(tmp_path_factory):
    """Return the transformer with a table of 2,000 rows, its file, and its conversions by their bug."""
    folder, conversion = tmp_path_factory.mktemp("conversions"), seeded_bugs.CONVERSIONS["transformer"]
    model = conversion.reference()
    model.save(folder / "model.keras")
    files = {bug: seeded_bugs.write(conversion, weights_of(model), bug, folder) for bug in (None, "dead_row")}
    return conversion, model, folder / "model.keras", files


def test_a_right_conversion_is_certified_with_the_coverage_of_its_inputs(conversions, tmp_path, monkeypatch):
    *_, reference, files = conversions
    monkeypatch.setattr("export.certifier.read_model", None)  # a reference is loaded in a confined process
    certificate = tmp_path / "certificate.json"
    done = CliRunner().invoke(verbs, ["certify", str(reference), str(files[None]), "-o", str(certificate)])
    assert done.exit_code == 0, done.output
    assert "2,000 of 2,000 rows of tokens" in done.output
    written = json.loads(certificate.read_text())
    assert written["verdict"] == "same"
    coverage = written["coverage"]["serving_default"]
    assert not coverage["shallow"]
    assert coverage["tables"]["tokens"] == {"rows": 2000, "read": 2000}
    assert 0 < max(written["endpoints"][0]["noise_floor"]["batch_1"].values()) < 1e-5
    assert "are in the candidate, by their values" in done.output


BEYOND = {  # faults that no golden input shows
    "large batches": lambda x, y: tf.where(tf.shape(y)[0] > 200, -y, y),
    "minus zero": lambda x, y: y + tf.cast(tf.reduce_any(tf.math.reciprocal(x) < -1e38, 1)[:, None], tf.float32),
    "long inputs": lambda x, y: tf.where(tf.shape(x)[1] > 19, -y, y),
}


@pytest.mark.parametrize("fault", tiers.first(BEYOND))
def test_what_golden_inputs_leave_out_is_drawn(tmp_path, fault):
    """And a right conversion is the same on the sampled inputs, which are named by what they are not."""
    size, weight = None if fault == "long inputs" else 3, tf.constant([1.0, 2.0])

    def save(name, change):
        @tf.function(input_signature=[tf.TensorSpec((None, size), tf.float32, "x")])
        def serve(x):
            return {"scores": change(x, tf.reduce_mean(x, 1, keepdims=True) * weight)}

        module = tf.Module()
        module.serve = serve
        tf.saved_model.save(module, tmp_path / name, signatures=serve)

    for name, change in (
        ("reference", lambda x, y: y),
        ("copy", lambda x, y: y),
        ("right", lambda x, y: 1.0 * y),
        ("wrong", BEYOND[fault]),
    ):
        save(name, change)
    assert compare(tmp_path / "reference", tmp_path / "wrong").verdict == "same"
    assert certify(tmp_path / "reference", tmp_path / "wrong").conclusion == "different"
    certified = certify(tmp_path / "reference", tmp_path / "right")
    assert (certified.conclusion, certified.comparison.verdict) == ("same on the sampled inputs", "same")
    assert not certified.has_same_graphs
    assert certify(tmp_path / "reference", tmp_path / "copy").conclusion == "same graphs and weights"
    assert "batches of more than 257 rows; " in certified.sentences()[-1]
    assert "NaN and infinities; more than a few calls" in certified.sentences()[-1]


@pytest.mark.proof
def test_a_row_of_a_large_table_is_found(conversions):
    conversion, model, reference, files = conversions
    assert certify(reference, files["dead_row"]).comparison.verdict == "different"
    assert not seeded_bugs.fixed_tolerance(conversion, model, files["dead_row"])


@pytest.mark.extended
def test_what_only_contrast_reaches_is_found_by_the_certificate_alone(tmp_path):
    signs = np.empty(192)
    signs[np.argsort(np.random.default_rng(1).random(192))] = np.repeat([1.0, -1.0], 96)
    kernel = 6 / 13 / 255 * signs.reshape(8, 8, 3, 1) * (1, -1)  # generated images reach 4.5, the largest contrast 7.8
    files = []
    for activation in (tf.nn.relu6, tf.nn.relu):

        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, "image")])
        def serve(image, activation=activation):
            return {"scores": activation(tf.einsum("bhwc,hwcd->bd", image, tf.constant(kernel, tf.float32)))}

        converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()])
        files.append(tmp_path / f"{activation.__name__}.tflite")
        files[-1].write_bytes(converter.convert())
    certified = certify(*files)
    assert certified.comparison.verdict == "different"
    assert "corner" in certified.comparison.findings[0]
    assert certified.sentences() == ["coverage: not measured; only that of a Keras reference can be"]
    assert compare(*files).verdict == "same"
    assert certify(files[0], files[0]).comparison.verdict == "same"


def test_a_changed_row_that_no_input_reads_is_found_by_value(tmp_path):
    tokens = keras.Input((3,), dtype="int32", name="x")
    table = keras.layers.Embedding(50, 4, name="table")
    model = keras.Model(tokens, keras.layers.Dense(2, name="y")(keras.ops.mean(table(tokens), axis=1)))
    model.save(tmp_path / "model.keras")
    values = table.embeddings.numpy()
    table.embeddings.assign(np.concatenate([values[:-1], values[-1:] + 1]))
    model.export(tmp_path / "candidate", verbose=False)
    samples = {"x": np.arange(90, dtype=np.int32).reshape(30, 3) % 40}  # the last row is never read
    assert compare(tmp_path / "model.keras", tmp_path / "candidate", samples=samples).exit_code == 0
    certified = certify(tmp_path / "model.keras", tmp_path / "candidate", samples=samples)
    assert certified.comparison.verdict == "different"
    assert any("table/embeddings differs in 1 of 50 rows" in text for text in certified.comparison.findings)
    assert certified.sentences()[-1] == "weights: 2 of 3 are in the candidate, by their values"
