"""Shipped weights: size, integrity, and the metrics of the card on the real test set."""

import dataclasses
import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

import pipelines
import zoo
import zoobase.errors
from docs import packing, ship
from tests.plugins.tiers import first
from tests.zoo.conftest import DATA
from zoo import evaluate, export, predict, weights
from zoo.__main__ import main
from zoo.core import registry, weight_files
from zoo.core.plan import Plan, make_plan
from zoo.core.run_folder import RunFolder
from zoo.core.spec import Weights
from zoo.core.task import first_metrics
from zoo.core.weight_files import load_file
from zoo.weights.__main__ import table
from zoobase.errors import CheckFailed, UsageError, ZooError
from zoobase.files import sha256

SHIPPED = weights.shipped_models()


def test_shipped_weights_are_small():
    assert "fashion_mnist" in SHIPPED
    sizes = {p.name: p.stat().st_size for p in weight_files.SHIPPED.iterdir()}
    assert max(sizes.values()) < ship.LIMIT
    assert sum(sizes.values()) < 25e6
    files = {w.source for name in SHIPPED for w in zoo.get_spec(name).weights.values() if w.fetch is None}
    assert set(sizes) == files | {source.replace(".weights.h5", ".json") for source in files} | {weight_files.PINNED}


# the others are evaluated by `make proof`
TIERS = {"admissions": pytest.mark.extended}


@pytest.mark.parametrize("name", [pytest.param(n, marks=TIERS.get(n, pytest.mark.proof)) for n in SHIPPED])
def test_shipped_weights_have_the_metrics_of_the_card(name, monkeypatch):
    monkeypatch.delenv("ZOO_CACHE")  # the real data, prepared once for this user
    plan = make_plan(name, settings={"data": weights.description(name)["info"]["name"]})
    try:
        dataset = plan.load_data()
    except pipelines.DataError as e:
        pytest.skip(f"the real data is not available: {e}")
    metrics = evaluate.evaluate_split(plan, zoo.build(name, weights="default"), dataset, "test").metrics
    for metric, figure in zoo.get_spec(name).card.expect.items():
        assert dict(first_metrics(metrics))[metric] == pytest.approx(figure, rel=1e-3)


@pytest.mark.parametrize("name", first(SHIPPED))
def test_every_model_with_shipped_weights_is_built(name):
    values = zoo.build(name, weights="default").get_weights()
    assert all(np.isfinite(value).all() for value in values if value.dtype.kind == "f")
    assert any(np.ptp(value) > 0 for value in values)


def test_damaged_weights_are_rejected(monkeypatch, tmp_path):
    spec = zoo.get_spec("fashion_mnist").weights["default"]
    content = bytearray((weight_files.SHIPPED / spec.source).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / spec.source).write_bytes(content)
    monkeypatch.setattr(weight_files, "SHIPPED", tmp_path)
    with pytest.raises(ZooError, match=r"is damaged: its sha256"):
        zoo.build("fashion_mnist", weights="default")


def test_prediction_with_shipped_weights(tmp_path):
    images, names = DATA["fashion_mnist"], ("trouser.png",)
    row = next(iter(pipelines.load("fashion_mnist", data_dir=images).test.as_numpy_iterator()))
    (tmp_path / names[0]).write_bytes(np.asarray(row["image"]).item())
    Image.open(tmp_path / names[0]).verify()
    rows, problems, *_ = predict.run("fashion_mnist", [str(tmp_path / names[0])])
    assert not problems
    assert rows[0]["probability"] > 0.5
    with pytest.raises(UsageError, match="has no shipped weights"):
        predict.run("flowers", ["hello"])


@pytest.mark.proof
def test_default_weights_are_exported_as_a_bundle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (bundle,) = export.run("admissions")
    assert (bundle["path"], bundle["verdict"]) == (str(tmp_path / "bundles" / "admissions"), "pass")
    folder = Path(bundle["path"])
    assert json.loads((folder / "manifest.json").read_text())["metadata"]["zoo"]["plan"]["model"] == "admissions"
    cases = json.loads((folder / "golden" / "cases.json").read_text())["serving_default"]
    assert "real" in {case["name"] for case in cases}
    (second,) = export.run("admissions")
    assert second["path"].endswith("bundles/admissions-2")
    with pytest.raises(UsageError, match="flowers has no default weights: train it first"):
        export.run("flowers")
    with pytest.raises(UsageError, match="did you mean the model admissions"):
        export.run("admission")


@pytest.mark.proof
def test_the_weights_of_a_run_are_shipped(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(weight_files, "SHIPPED", tmp_path / "files")
    run = trained("fashion_mnist")
    entry = ship.run(run)
    assert weights.description("fashion_mnist")["info"]["name"] == "own_fashion_mnist"
    pinned = json.loads((tmp_path / "files" / weight_files.PINNED).read_text())
    spec_weights = {"default": Weights(entry["file"], **pinned["fashion_mnist"])}
    spec = dataclasses.replace(zoo.get_spec("fashion_mnist"), weights=spec_weights)
    monkeypatch.setattr(registry, "get_spec", lambda name: spec)
    file, arguments = weights.locate("fashion_mnist", "default")
    assert file.parent == tmp_path / "files"
    assert arguments["filters"] == [8, 16]
    (run / "summary.json").rename(tmp_path / "summary.json")
    try:
        with pytest.raises(UsageError, match="is not finished"):
            ship.run(run)
    finally:
        (tmp_path / "summary.json").rename(run / "summary.json")


def test_parts_for_training_are_omitted_and_matrices_are_float16(tmp_path):
    arguments = {key: value for key, value in zoo.get_spec("dcgan").tiny.items() if "." not in key}
    keras.utils.set_random_seed(0)
    model, restored = zoo.build("dcgan", **arguments), zoo.build("dcgan", **arguments)
    file, before = tmp_path / "dcgan.weights.h5", restored.discriminator.get_weights()
    file.write_bytes(packing.compact(model, ["discriminator"]))
    model.save_weights(tmp_path / "whole.weights.h5")
    assert file.stat().st_size < 0.6 * (tmp_path / "whole.weights.h5").stat().st_size
    load_file(restored, file)
    for one, other in zip(model.generator.get_weights(), restored.generator.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=2**-10, atol=1e-7)
    for one, other in zip(before, restored.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rounded_weights_are_multiples_of_a_power_of_two():
    values = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
    values[:, 3] = 0
    rounded = packing.rounded(values, 8)
    assert np.abs(rounded - values).max() <= np.abs(values).max() / 2**7
    np.testing.assert_array_equal(rounded, rounded.astype(np.float16))
    for column in rounded.T:
        multiples = column / max(step for step in 2.0 ** np.arange(-20, 0) if (column % step == 0).all())
        assert np.abs(multiples).max() < 2**7
    np.testing.assert_array_equal(packing.rounded(rounded, 8), rounded)
    depthwise = values[:9, :8].reshape(3, 3, 8, 1) / 2.0 ** np.arange(8)[:, None]  # each channel has a step of its own
    np.testing.assert_array_equal(packing.rounded(depthwise, 8)[..., 0], packing.rounded(depthwise[..., 0], 8))


@pytest.mark.proof
def test_the_figures_of_rounded_weights_are_recorded(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(weight_files, "SHIPPED", tmp_path / "files")
    exact, rounded = ship.run(trained("fashion_mnist")), ship.run(trained("fashion_mnist"), bits=4)
    assert rounded["bytes"] < exact["bytes"]
    description = json.loads((tmp_path / "files" / "fashion_mnist.json").read_text())
    assert description["metrics"] == rounded["metrics"] != exact["metrics"] == description["metrics_of_the_run"]


def test_only_logits_of_classes_are_calibrated():
    with pytest.raises(UsageError, match="admissions does not return the logits of classes: omit --calibrate"):
        ship.measure("admissions", calibrate=True)


@pytest.mark.proof
def test_the_probabilities_of_default_weights_are_calibrated(trained, monkeypatch, tmp_path):
    """Logits that are five times as large are divided, and the file is written again."""
    monkeypatch.setattr(weight_files, "SHIPPED", tmp_path / "files")
    run = trained("fashion_mnist")
    entry = ship.run(run)
    model = zoo.build("fashion_mnist", weights=str(run))
    head = model.get_layer("logits")
    head.set_weights([5 * value for value in head.get_weights()])
    file = tmp_path / "files" / entry["file"]
    file.write_bytes(packing.compact(model, []))
    description = weight_files.read_description(file)
    weight_files.write_description(file, description | {"info": description["info"] | {"name": "fashion_mnist"}})
    spec = zoo.get_spec("fashion_mnist")
    spec = dataclasses.replace(spec, weights={"default": Weights(entry["file"], sha256(file))})
    monkeypatch.setattr(registry, "get_spec", lambda name: spec)
    dataset = RunFolder.open(run).dataset(None)
    monkeypatch.setattr(Plan, "load_data", lambda plan: dataset)
    result = ship.measure("fashion_mnist", calibrate=True)
    assert result["metrics"]["loss"] == pytest.approx(entry["metrics"]["loss"], rel=0.05)
    assert sha256(file) != spec.weights["default"].sha256


def test_a_layer_is_omitted(tmp_path):
    """Keras numbers the layers of a model in its weights file."""
    model, restored = (zoo.build("word2vec", vocabulary_size=50, embedding_dim=8) for _ in range(2))
    with pytest.raises(UsageError, match="2 groups of the weights file of word2vec have the values of neighbours"):
        packing.compact(model, ["neighbours"])  # both tables start with the same values
    model.words.set_weights([np.linspace(-1, 1, 400).reshape(50, 8)])
    file, before = tmp_path / "word2vec.weights.h5", restored.neighbours.get_weights()
    file.write_bytes(packing.compact(model, ["neighbours"]))
    load_file(restored, file)
    np.testing.assert_allclose(model.words.get_weights(), restored.words.get_weights(), rtol=2**-10, atol=1e-7)
    np.testing.assert_array_equal(before, restored.neighbours.get_weights())


def test_weights_are_listed(capsys):
    rows = {(row["model"], row["weights"]): row for row in table()}
    entries = registry.entries()
    assert {name for name, _ in rows} == {n for n, entry in entries.items() if entries[entry.variant_of or n].listed}
    assert rows["fashion_mnist", "default"]["bytes"] > 1e6
    assert rows["efficientnet_lite0", "imagenet"]["state"] == "downloaded"
    with pytest.raises(SystemExit, match="0"):
        main(["weights", "--json"])
    assert json.loads(capsys.readouterr().out) == list(rows.values())


def test_weights_of_another_architecture_are_refused():
    """Fewer layers of the same names would be filled in part, and answer without an error."""
    with pytest.raises(zoobase.errors.ZooError, match="have other shapes than this fashion_mnist"):
        zoo.build("fashion_mnist", weights="default", depths=(1, 1, 1, 1))
    model = zoo.build("fashion_mnist", weights="default", num_classes=3)  # a new head is no other architecture
    assert model.output.shape == (None, 3)


@pytest.mark.parametrize("change", ["external link", "behind", "before"])
def test_a_weights_file_that_is_not_one_file_is_refused(change, tmp_path):
    file = tmp_path / "mine.weights.h5"
    zoo.build("mnist").save_weights(file)
    zoo.build("mnist", weights=str(file))
    if change == "external link":
        with h5py.File(file, "r+") as content:
            content["layers/more"] = h5py.ExternalLink("/etc/passwd", "x")
    else:
        file.write_bytes(file.read_bytes() + b"more" if change == "behind" else bytes(512) + file.read_bytes())
    with pytest.raises(CheckFailed, match=change) as raised:
        zoo.build("mnist", weights=str(file))
    assert "\n" not in str(raised.value)
