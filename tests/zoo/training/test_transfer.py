"""Transfer learning: the four cases, cached features, phases, class weights, contract, equal preprocessing."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
import zoo
import zoobase.errors
from tests import photographs
from tests.zoo.conftest import DATA, data_dir, fit
from zoo import predict, train
from zoo.candidates import linear
from zoo.core import plan
from zoo.core.recipe import Recipe
from zoo.evaluation import image_baselines
from zoo.modeling import backbones
from zoo.prediction import predictor
from zoo.tasks.classifier import softmax
from zoo.tasks.image.transfer_learning import TransferLearning
from zoo.training import transfer
from zoobase.console import Console

TINY = {"backbone": "efficientnet_lite_tiny"}
SMALL = {"task.height": 64, "task.width": 64}


def info(count, class_counts=None):
    names = tuple(class_counts or ("a", "b"))
    statistics = {"class_counts": class_counts} if class_counts else {}
    counts = {"train": count, "validation": 9, "test": 9}
    return pipelines.Info("x", "x", "x", "x", {}, counts, class_names=names, statistics=statistics)


@pytest.mark.parametrize(
    ("count", "similarity", "case", "level", "phases"),
    [
        (200, "similar", "head", "last", ["head"]),
        (200, "different", "earlier", "middle", ["head"]),
        (20_000, "similar", "finetune", "last", ["head", "tune"]),
        (20_000, "different", "full", "last", ["head", "tune"]),
    ],
)
def test_the_four_cases(count, similarity, case, level, phases):
    task = TransferLearning(similarity=similarity)
    assert task.case(info(count)) == case
    assert task.model_args(info(count))["level"] == level
    result = task.phases(Recipe(), info(count))
    assert [phase.name for phase in result] == phases
    assert [phase.frozen for phase in result] == [True, False][: len(phases)]
    assert result[-1].statistics == (case == "full")
    assert TransferLearning(policy="full").case(info(count)) == "full"


def test_unknown_policies_are_reported():
    with pytest.raises(zoobase.errors.UsageError, match="did you mean finetune"):
        TransferLearning(policy="fintune")
    with pytest.raises(zoobase.errors.UsageError, match=r"task\.similarity"):
        TransferLearning(similarity="close")
    with pytest.raises(zoobase.errors.UsageError, match="did you mean efficientnet_lite0"):
        backbones.get("efficientnet_lit0")


def test_rare_classes_weigh_more_and_the_mean_weight_is_one():
    dataset_info = info(110, {"rare": 10, "frequent": 100})
    half, whole = (TransferLearning(balance=b).class_weights(dataset_info) for b in (0.5, 1.0))
    assert half[0] / half[1] == pytest.approx(10**0.5)
    assert whole[0] / whole[1] == pytest.approx(10)
    for weights in (half, whole):
        assert (weights * [10, 100]).sum() / 110 == pytest.approx(1)
    assert TransferLearning().class_weights(info(20, {"a": 10, "b": 10})) is None


@pytest.fixture(scope="module")
def planned():
    return plan.make_plan("flowers", model_arguments=TINY, settings=SMALL, data_dir=data_dir("flowers"))


@pytest.fixture(scope="module")
def dataset(planned):
    return planned.load_data()


@pytest.mark.extended
def test_frozen_features_are_the_outputs_for_the_views(planned, dataset):
    model = planned.build(dataset.info)
    body = keras.Model(model.input, model.get_layer("embedding").output)
    feed = planned.feed(dataset, "train", training=True).take(6)
    features = transfer.compute_features(body, feed, 3, 7, Console(quiet=True))
    assert features["embedding"].shape == (6, 3, 1280)
    plain = planned.feed(dataset, "train").take(6)
    images, labels = next(iter(plain.batches(6)))
    np.testing.assert_allclose(features["embedding"][:, 0], body(tf.cast(images, "float32")), atol=1e-4)
    assert (features["label"] == labels.numpy()).all()
    augmented = next(iter(feed.batches(6, seed=7, epoch=2)))[0]
    np.testing.assert_allclose(features["embedding"][:, 2], body(tf.cast(augmented, "float32")), atol=1e-4)
    rows = transfer.as_feed(features)
    seen = np.stack([next(iter(rows.epochs(6, seed=1, start=e, stop=e + 1)))[0][0] for e in range(12)])
    assert len(np.unique(seen, axis=0)) > 1  # one feature alone may be zero in every view


@pytest.mark.parametrize("scale", [1e-4, 1e3])
def test_features_of_any_scale_are_standardised(scale, planned, dataset):
    model = planned.build(dataset.info)
    embedding = scale * np.random.default_rng(0).normal(2, 1, (200, 2, 1280)).astype(np.float32)
    embedding[..., 0] = scale  # constant on the training images
    transfer._head(model, embedding)
    shown = model.get_layer("standardise")(embedding[:, 0], training=False).numpy()
    np.testing.assert_allclose(shown[:, 1:].std(axis=0), 1, atol=0.2)
    assert np.abs(shown[:, 0]).max() < 1e-2


@pytest.mark.extended
def test_features_are_computed_once(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"embedding": np.ones((2, 1, 3), np.float32), "label": np.arange(2)}

    path = tmp_path / "features" / "train.npz"
    first, again = transfer.load_or_compute(path, make), transfer.load_or_compute(path, make)
    assert len(calls) == 1
    assert (first["label"] == again["label"]).all()
    path.write_bytes(path.read_bytes()[:100])
    transfer.load_or_compute(path, make)
    assert len(calls) == 2


def test_batch_statistics_are_frozen_unless_the_case_updates_them(planned, dataset):
    model = planned.build(dataset.info)
    norms = [layer for layer in model._flatten_layers() if type(layer).__name__ == "BatchNormalization"]
    transfer._unfreeze(model, statistics=False)
    assert not any(layer.trainable for layer in norms)
    assert model.get_layer("logits").trainable
    transfer._unfreeze(model, statistics=True)
    assert [layer.name for layer in norms if not layer.trainable] == ["standardise"]


@pytest.mark.extended
def test_both_phases_train_and_an_interrupted_one_is_resumed(planned, tmp_path):
    settings = SMALL | {"task.policy": "finetune", "task.tune_epochs": 2, "recipe.epochs": 3, "task.views": 2}
    arguments = {"model_arguments": TINY, "settings": settings, "data_dir": data_dir("flowers"), "export": False}
    whole = train.run("flowers", out=str(tmp_path / "whole"), **arguments)
    assert whole["epochs"] == 5
    (gain,) = whole["gains"].values()
    assert (
        gain["low"]
        <= gain["gain"]
        == pytest.approx(
            whole["metrics"]["accuracy"] - whole["compared"]["logistic regression on frozen features"]["accuracy"]
        )
    )
    rows = (tmp_path / "whole" / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3", "4", "5"]

    half = shutil.copytree(tmp_path / "whole", tmp_path / "half")  # as one that ended before the second phase
    for name in ("summary.json", "evaluation.json", "candidates.json", "checkpoints", "phases/tune"):
        (shutil.rmtree if (half / name).is_dir() else Path.unlink)(half / name)
    again = train.run("flowers", out=str(tmp_path / "half"), **arguments)
    assert again["metrics"] == whole["metrics"]


def image_variants(folder):
    """Write one photograph in several forms: large, rotated by EXIF, in other modes, transparent."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photographs.photographs()["coffee"].resize((1000, 700))
    clear = image.resize((300, 260)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    image.save(folder / "large.jpg", quality=85)
    image.save(folder / "turned.jpg", quality=85, exif=exif)
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=85)
    image.convert("L").save(folder / "grey.jpg", quality=85)
    clear.save(folder / "clear.png")
    clear.save(folder / "turned.png", exif=exif)
    clear.convert("P").save(folder / "palette.png")
    image.resize((31, 22)).save(folder / "tiny.png")
    return sorted(folder.iterdir())


@pytest.mark.extended
def test_feed_bytes_and_predict_give_the_same_logits(trained, tmp_path):
    run, files = trained("flowers"), image_variants(tmp_path)
    raw = [path.read_bytes() for path in files]
    examples = tf.data.Dataset.from_tensor_slices({"image": raw, "label": tf.zeros(len(raw), tf.int64)})
    opened = predictor.load(run / "bundle")
    feed = opened.task.examples(examples, opened.info, Recipe(), {}, training=False)
    pixels = next(iter(feed.batches(len(raw))))[0].numpy()
    assert len(np.unique(pixels.reshape(len(raw), -1), axis=0)) == len(raw)  # all images are different
    fed = opened.call("serving_default", {"image": pixels})["logits"]
    served = opened.call("bytes", {"image_bytes": np.array(raw, object)})
    np.testing.assert_allclose(served["logits"], fed, atol=1e-4)
    assert opened.call("features", {"image": pixels})["embedding"].shape == (len(raw), 1280)
    names = list(opened.info.class_names)
    for source in (run, run / "bundle"):
        rows, *_ = predict.run(source, list(map(str, files)), top_k=len(names))
        probabilities = np.zeros_like(fed)
        for row in rows:
            probabilities[files.index(Path(row["input"])), names.index(row["label"])] = row["probability"]
        np.testing.assert_allclose(probabilities, softmax(fed), atol=1e-4)


@pytest.mark.extended
def test_the_config_lists_skipped_files(tmp_path):
    folder = shutil.copytree(DATA["image_folder"], tmp_path / "photos")
    first = min(p for p in folder.rglob("*.*") if p.is_file())
    first.with_name("broken.jpg").write_bytes(first.read_bytes()[:60])
    settings = SMALL | {"recipe.epochs": 1, "task.views": 1, "task.baseline": False}
    fit("flowers", tmp_path / "r", settings, model_arguments=TINY, data_dir=str(folder), evaluate=False)
    skipped = json.loads((tmp_path / "r" / "config.json").read_text())["info"]["skipped"]
    assert [name.endswith("broken.jpg") for name in skipped] == [True]


@pytest.mark.extended
def test_category_names_are_used_and_invalid_ones_reported(trained, tmp_path):
    run, image = trained("flowers"), str(min(DATA["image_folder"].rglob("*.jpg")))
    (tmp_path / "names.json").write_text(json.dumps({"astronaut": "Eileen Collins", "orchid": "an orchid"}))
    rows, *_ = predict.run(run, [image], top_k=6, category_names=tmp_path / "names.json")
    assert {"Eileen Collins", "chelsea"} < {row["label"] for row in rows}
    for content, message in (('{"orchid": "x"}', "names none"), ("[]", "JSON object"), ("{", "is not JSON")):
        (tmp_path / "names.json").write_text(content)
        with pytest.raises(zoobase.errors.UsageError, match=message):
            predict.run(run, [image], category_names=tmp_path / "names.json")
    with pytest.raises(zoobase.errors.MissingError, match="cannot read"):
        predict.run(run, [image], category_names=tmp_path / "none.json")


@pytest.mark.extended
def test_landmark_predictions_have_tags():
    dataset = plan.make_plan("landmarks", data_dir=data_dir("landmarks")).load_data()
    logits = np.log([0.4, 0.25, 0.2, 0.1, 0.04, 0.01])
    prediction = zoo.get_spec("landmarks").task.show("photo.jpg", {"logits": logits}, dataset.info, top_k=5)
    assert [row["tag"] for row in prediction.rows] == [True, True, True, False, False]
    assert prediction.lines[-1] == f"tags: {', '.join(dataset.info.class_names[:3])}"


@pytest.mark.proof
@pytest.mark.proof
def test_skin_lesions_have_medical_metrics(trained):
    evaluation = json.loads((trained("skin_lesions") / "evaluation.json").read_text())
    assert {"auc", "sensitivity", "specificity"} <= set(evaluation["metrics"])
    assert len(evaluation["thresholds"]) == len(evaluation["errors"]) == 4
    assert (trained("skin_lesions") / "figures" / "roc.png").stat().st_size > 1000
    header, *rows = (trained("skin_lesions") / "results.csv").read_text().splitlines()
    assert (header, len(rows)) == ("Id,task_1", evaluation["examples"])
    assert all(row.split("/")[0] == "test" for row in rows)


@pytest.mark.extended
def test_the_baseline_is_regularised_by_validation():
    """As many examples as features, and labels with noise: the default of scikit-learn fits the noise."""
    rng = np.random.default_rng(0)

    def split(count):
        label = rng.integers(0, 2, count)
        embedding = rng.normal(size=(count, 1, 300))
        embedding[:, 0, :10] += 0.5 * (2 * label[:, None] - 1)
        return {"embedding": embedding.astype(np.float32), "label": np.where(rng.random(count) < 0.2, 1 - label, label)}

    features = {name: split(count) for name, count in (("train", 300), ("validation", 500), ("test", 500))}
    train_codes, test_codes = (features[name]["embedding"][:, 0] for name in ("train", "test"))
    default = image_baselines.linear_probe(
        train_codes, features["train"]["label"], test_codes, features["test"]["label"]
    )
    validation = features["validation"]["embedding"][:, 0], features["validation"]["label"]
    kernel, bias = linear.logistic_regression(train_codes, features["train"]["label"], 2, validation)
    assert np.mean((test_codes @ kernel + bias).argmax(1) == features["test"]["label"]) > default + 0.01


def test_an_untrained_head_prefers_no_class():
    """A random start would stay in the kernel where few images determine it."""
    model = zoo.build("flowers", num_classes=4, backbone="efficientnet_lite_tiny", image_shape=(64, 64, 3))
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_array_equal(model(images), np.zeros((2, 4)))
