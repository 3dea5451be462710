"""Faults that only the right inputs can find: garbled rows of tables, and weights behind a wrong range."""

import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers, ops

from export import ExportFailed, export_model, verify_bundle
from export.__main__ import verbs
from export.proof import table_search
from export.proof.certificate import describe_coverage
from tests.export.conftest import reseal
from tests.export.models import Branching

LARGE, WORDS = 20_000, 200
KINDS = [1000 + 777 * i for i in range(40)]
VOCABULARY = [f"word{i}" for i in range(150)]


def inputs_of_every_kind():
    """Return a model with a table, a lookup, a text layer and statistics, whose legal inputs differ widely."""
    keras.utils.set_random_seed(1)
    words, segments, large = (keras.Input((16,), dtype="int32", name=name) for name in ("words", "segments", "large"))
    kind, number = keras.Input((1,), dtype="int64", name="kind"), keras.Input((2,), name="number")
    line = keras.Input((1,), dtype="string", name="line")
    text = layers.TextVectorization(vocabulary=VOCABULARY, output_sequence_length=8)
    parts = [
        layers.Embedding(WORDS, 4, name="word_table")(words) + layers.Embedding(2, 4, name="segment_table")(segments),
        layers.Embedding(LARGE, 4, name="large_table")(large),
        layers.Embedding(len(KINDS) + 1, 4, name="kind_table")(layers.IntegerLookup(vocabulary=KINDS)(kind)),
        layers.Embedding(len(VOCABULARY) + 2, 4, name="text_table")(text(line)),
    ]
    x = [layers.GlobalAveragePooling1D()(part) for part in parts]
    x += [layers.Dense(4, "tanh", name="number_units")(layers.Normalization(mean=3e4, variance=1e4)(number))]
    inputs = [words, segments, large, kind, line, number]
    return keras.Model(inputs, layers.Dense(8, name="y")(layers.Concatenate()(x)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_model(inputs_of_every_kind(), tmp_path_factory.mktemp("starved") / "b", formats=("keras",))


@pytest.fixture
def tampered(bundle, tmp_path):
    """Return a function that changes a weight of the Keras file of a copy and verifies that."""

    def verify(layer, change):
        folder = shutil.copytree(bundle.path, tmp_path / "b")
        model = keras.saving.load_model(folder / "model.keras")
        weights = [weight.copy() for weight in model.get_layer(layer).get_weights()]
        change(weights[0])
        model.get_layer(layer).set_weights(weights)
        model.save(folder / "model.keras")
        reseal(folder)
        return verify_bundle(folder, runtimes=["keras"])

    return verify


@pytest.mark.extended
def test_everything_that_the_inputs_can_reach_is_reached(bundle):
    coverage = bundle.certificate.coverage
    assert not bundle.certificate.coverage["shallow"], coverage["unreached"]
    assert {name: f["read"] for name, f in coverage["tables"].items()} == {
        "word_table": WORDS,
        "segment_table": 2,
        "large_table": LARGE,
        "kind_table": len(KINDS) + 1,
        "text_table": len(VOCABULARY) + 2,
    }
    assert {f["read"] for f in coverage["vocabulary"].values()} == {len(KINDS), len(VOCABULARY)}
    assert coverage["units"]["active"] == coverage["units"]["all"]
    assert "20,000 of 20,000 rows of large_table" in (bundle.path / "README.md").read_text()
    assert verify_bundle(bundle.path, runtimes=["keras"]).coverage == coverage


def garble(table, rows):
    table[rows] = np.random.default_rng(0).normal(size=(len(rows), table.shape[1]))


@pytest.mark.extended
@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        ("word_table", np.arange(2, WORDS)),
        ("large_table", [13_577]),
        ("kind_table", [33]),  # the lookup's value 25,864
        ("text_table", [97]),  # "word95"
    ],
    ids=["198 of 200 rows", "one of 20,000 rows", "one row of a lookup", "the row of one word"],
)
def test_garbled_rows_of_a_table_are_found(tampered, layer, rows):
    certificate = tampered(layer, lambda table: garble(table, rows))
    assert certificate.verdict == "fail"
    assert certificate.problems()[0].startswith("model.keras in keras: endpoint serving_default: output in case")


@pytest.mark.extended
def test_a_weight_behind_a_normalisation_is_found_in_ordinary_rows(tampered):
    def change(kernel):
        kernel[0, 0] += 1e-3

    certificate = tampered("number_units", change)
    assert "output in case batch_" in certificate.problems()[0]


@pytest.mark.extended
def test_pixels_of_a_model_for_another_range_do_not_saturate(tmp_path):
    """Images from -1 to 1 without a rescaling in the model: 0 to 255 alone would saturate every row."""
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(4, 3, activation="sigmoid", kernel_initializer=keras.initializers.RandomUniform(0.2, 0.4))(image)
    model = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    bundle = export_model(model, tmp_path / "b", formats=("keras",))
    assert not bundle.certificate.coverage["shallow"]

    loaded = keras.saving.load_model(bundle.path / "model.keras")
    kernel, *others = loaded.get_weights()
    kernel[0, 0, 0, 0] += 1e-3
    loaded.set_weights([kernel, *others])
    loaded.save(bundle.path / "model.keras")
    reseal(bundle.path)
    assert "in case batch_" in verify_bundle(bundle.path, runtimes=["keras"]).problems()[0]


def test_what_was_not_reached_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(table_search, "MAX_CHOICES", 300)
    keras.utils.set_random_seed(1)
    tokens = keras.Input((4,), dtype="int32", name="tokens")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(30_000, 4, name="table")(tokens))
    dead = layers.Dense(3, "relu", bias_initializer=keras.initializers.Constant(-99.0), name="dead")(x)
    x = Branching(name="branching")(layers.Dense(2)(ops.concatenate([x, dead], axis=-1)))
    bundle = export_model(keras.Model(tokens, x), tmp_path / "b", formats=("saved_model",))
    assert bundle.certificate.verdict == "pass, with stated reservations"  # its branch
    assert bundle.certificate.coverage["shallow"]
    table, silent, branch = bundle.certificate.coverage["unreached"]
    assert table.endswith("of 30,000 rows of table were not read")
    assert silent == "no unit of dead was ever active (not zero, not saturated)"
    assert branch == "the branch of rare was never taken"
    (_, shallow) = describe_coverage(bundle.certificate.coverage)
    assert shallow.startswith("shallow: ")
    assert "--samples" in shallow
    assert "Shallow: " in (bundle.path / "README.md").read_text()
    assert json.loads((bundle.path / "parity.json").read_text())["coverage"]["shallow"] is True
    verify = ["verify", f"{bundle.path}", "--runtime", "tensorflow"]
    for arguments in (["inspect", f"{bundle.path}/saved_model/1"], verify):
        result = CliRunner().invoke(verbs, arguments)
        assert result.exit_code == 0
        assert "rows of table were not read; no unit of dead" in " ".join(result.output.split())


def test_nan_for_a_text_without_words_fails(tmp_path):
    line = keras.Input((1,), dtype="string", name="line")
    ids = layers.TextVectorization(vocabulary=["a", "line"], output_sequence_length=4)(line)
    used = ops.cast(ops.expand_dims(ids, -1) > 0, "float32")
    mean = ops.sum(layers.Embedding(4, 3)(ids) * used, axis=1) / ops.sum(used, axis=1)
    with pytest.raises(ExportFailed, match=r"is NaN on legal inputs: row \d+ (\(empty\) )?of case"):
        export_model(keras.Model(line, mean), tmp_path / "b", formats=("saved_model",))
