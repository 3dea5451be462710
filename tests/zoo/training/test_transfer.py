"""Transfer: the four cases, frozen features computed once, phases, weights of classes, the contract and no skew."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipelines
import zoo
from commandline.console import Console
from tests import photographs
from tests.zoo.conftest import DATA, data_dir
from zoo import train
from zoo.core import plan
from zoo.core.recipe import Recipe
from zoo.modeling import backbones
from zoo.tasks.image.transfer_learning import TransferLearning
from zoo.training import feature_cache

TINY = {"backbone": "efficientnet_lite_tiny"}


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
    found = task.phases(Recipe(), info(count))
    assert [phase.name for phase in found] == phases
    assert [phase.frozen for phase in found] == [True, False][: len(phases)]
    assert found[-1].statistics == (case == "full")
    assert TransferLearning(policy="full").case(info(count)) == "full"


def test_wrong_policies_are_answered():
    with pytest.raises(zoo.core.errors.UsageError, match="did you mean finetune"):
        TransferLearning(policy="fintune")
    with pytest.raises(zoo.core.errors.UsageError, match=r"task\.similarity"):
        TransferLearning(similarity="close")
    with pytest.raises(zoo.core.errors.UsageError, match="did you mean efficientnet_lite0"):
        backbones.get("efficientnet_lit0")


def test_rare_classes_weigh_more_and_the_mean_weight_is_one():
    told = info(110, {"rare": 10, "frequent": 100})
    half, whole = (TransferLearning(balance=b).class_weights(told) for b in (0.5, 1.0))
    assert half[0] / half[1] == pytest.approx(10**0.5)
    assert whole[0] / whole[1] == pytest.approx(10)
    for weights in (half, whole):
        assert (weights * [10, 100]).sum() / 110 == pytest.approx(1)
    assert TransferLearning().class_weights(info(20, {"a": 10, "b": 10})) is None


@pytest.fixture(scope="module")
def planned():
    return plan.make_plan("flowers", asked=TINY, data_dir=data_dir("flowers"))


@pytest.fixture(scope="module")
def dataset(planned):
    return planned.load_data()


def test_frozen_features_are_what_the_network_says_of_the_views(planned, dataset):
    import keras
    import tensorflow as tf

    model = planned.build(dataset.info)
    body = keras.Model(model.input, model.get_layer("embedding").output)
    feed = planned.feed(dataset, "train", training=True).take(6)
    held = feature_cache.compute(body, feed, 3, 7, Console(quiet=True))
    assert held["embedding"].shape == (6, 3, 1280)
    plain = planned.feed(dataset, "train").take(6)
    images, labels = next(iter(plain.batches(6)))
    np.testing.assert_allclose(held["embedding"][:, 0], body(tf.cast(images, "float32")), atol=1e-4)
    assert (held["label"] == labels.numpy()).all()
    augmented = next(iter(feed.batches(6, seed=7, epoch=2)))[0]
    np.testing.assert_allclose(held["embedding"][:, 2], body(tf.cast(augmented, "float32")), atol=1e-4)
    rows = feature_cache.as_feed(held)
    seen = np.stack([next(iter(rows.epochs(6, seed=1, start=e, stop=e + 1)))[0][0] for e in range(12)])
    assert len(np.unique(seen[:, 0])) > 1


@pytest.mark.parametrize("scale", [1e-4, 1e3])
def test_features_of_any_scale_are_standardised(scale, planned, dataset):
    from zoo.training import transfer

    model = planned.build(dataset.info)
    embedding = scale * np.random.default_rng(0).normal(2, 1, (200, 2, 1280)).astype(np.float32)
    embedding[..., 0] = scale  # a unit that is dead on the training pictures
    transfer._head(model, embedding)
    shown = model.get_layer("standardise")(embedding[:, 0], training=False).numpy()
    np.testing.assert_allclose(shown[:, 1:].std(axis=0), 1, atol=0.2)
    assert np.abs(shown[:, 0]).max() < 1e-2


def test_features_are_computed_once(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"embedding": np.ones((2, 1, 3), np.float32), "label": np.arange(2)}

    path = tmp_path / "features" / "train.npz"
    first, again = feature_cache.remembered(path, make), feature_cache.remembered(path, make)
    assert len(calls) == 1
    assert (first["label"] == again["label"]).all()
    path.write_bytes(path.read_bytes()[:100])
    feature_cache.remembered(path, make)
    assert len(calls) == 2


def test_batch_statistics_stay_where_they_are_unless_the_case_says_otherwise(planned, dataset):
    from zoo.training import transfer

    model = planned.build(dataset.info)
    norms = [layer for layer in model._flatten_layers() if type(layer).__name__ == "BatchNormalization"]
    transfer._unfreeze(model, statistics=False)
    assert not any(layer.trainable for layer in norms)
    assert model.get_layer("logits").trainable
    transfer._unfreeze(model, statistics=True)
    assert [layer.name for layer in norms if not layer.trainable] == ["standardise"]


def test_both_phases_train_and_a_killed_one_is_taken_up(planned, tmp_path):
    settings = {"task.policy": "finetune", "task.tune_epochs": 2, "recipe.epochs": 3, "task.views": 2}
    arguments = {"asked": TINY, "settings": settings, "data_dir": data_dir("flowers"), "export": False}
    whole = train.run("flowers", out=str(tmp_path / "whole"), **arguments)
    assert whole["epochs"] == 5
    assert set(whole["baseline"]) == {"logistic_regression_on_frozen_features"}
    rows = (tmp_path / "whole" / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3", "4", "5"]

    from zoo.training import fit

    real = fit.fit

    def killed(model, planned, info, training, validation, run, console):
        if run.path.name == "tune":
            raise KeyboardInterrupt
        return real(model, planned, info, training, validation, run, console)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            train.run("flowers", out=str(tmp_path / "half"), **arguments)
    again = train.run("flowers", out=str(tmp_path / "half"), **arguments)
    assert again["metrics"] == whole["metrics"]


def hostile(folder):
    """One photograph as strangers have it: large, turned by EXIF, in other colours, transparent."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = photographs.photographs()["coffee"].resize((1000, 700))
    clear = picture.resize((300, 260)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    picture.save(folder / "large.jpg", quality=85)
    picture.save(folder / "turned.jpg", quality=85, exif=exif)
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=85)
    picture.convert("L").save(folder / "grey.jpg", quality=85)
    clear.save(folder / "clear.png")
    clear.save(folder / "turned.png", exif=exif)
    clear.convert("P").save(folder / "palette.png")
    picture.resize((31, 22)).save(folder / "tiny.png")
    return sorted(folder.iterdir())


def test_feed_bytes_and_predict_give_the_same_logits(trained, tmp_path):
    import tensorflow as tf

    from zoo import predict, predictor
    from zoo.tasks.classifier import softmax

    run, files = trained("flowers"), hostile(tmp_path)
    raw = [path.read_bytes() for path in files]
    examples = tf.data.Dataset.from_tensor_slices({"image": raw, "label": tf.zeros(len(raw), tf.int64)})
    opened = predictor.open_source(run / "bundle")
    feed = opened.task.examples(examples, opened.info, Recipe(), {}, training=False)
    pixels = next(iter(feed.batches(len(raw))))[0].numpy()
    assert len(np.unique(pixels.reshape(len(raw), -1), axis=0)) == len(raw)  # no two are read alike
    fed = opened.call("serving_default", {"image": pixels})["logits"]
    served = opened.call("bytes", {"image_bytes": np.array(raw, object)})
    np.testing.assert_allclose(served["logits"], fed, atol=1e-4)
    assert opened.call("features", {"image": pixels})["embedding"].shape == (len(raw), 1280)
    names = list(opened.info.class_names)
    for source in (run, run / "bundle"):
        rows, *_ = predict.run(source, list(map(str, files)), top_k=len(names))
        told = np.zeros_like(fed)
        for row in rows:
            told[files.index(Path(row["input"])), names.index(row["label"])] = row["probability"]
        np.testing.assert_allclose(told, softmax(fed), atol=1e-4)


def test_the_run_names_what_was_skipped(tmp_path):
    import shutil

    folder = shutil.copytree(DATA["image_folder"], tmp_path / "photos")
    first = min(p for p in folder.rglob("*.*") if p.is_file())
    first.with_name("broken.jpg").write_bytes(first.read_bytes()[:60])
    settings = {"recipe.epochs": 1, "task.views": 1, "task.baseline": False}
    train.run("flowers", asked=TINY, settings=settings, data_dir=str(folder), out=str(tmp_path / "r"), export=False)
    told = json.loads((tmp_path / "r" / "config.json").read_text())["info"]["skipped"]
    assert [name.endswith("broken.jpg") for name in told] == [True]


def test_category_names_are_shown_and_wrong_ones_answered(trained, tmp_path):
    from zoo import predict

    run, picture = trained("flowers"), str(min(DATA["image_folder"].rglob("*.jpg")))
    (tmp_path / "names.json").write_text(json.dumps({"astronaut": "Eileen Collins", "orchid": "an orchid"}))
    rows, *_ = predict.run(run, [picture], top_k=6, category_names=tmp_path / "names.json")
    assert {"Eileen Collins", "chelsea"} < {row["label"] for row in rows}
    for content, message in (('{"orchid": "x"}', "names none"), ("[]", "JSON object"), ("{", "is not JSON")):
        (tmp_path / "names.json").write_text(content)
        with pytest.raises(zoo.core.errors.UsageError, match=message):
            predict.run(run, [picture], category_names=tmp_path / "names.json")
    with pytest.raises(zoo.core.errors.MissingError, match="cannot read"):
        predict.run(run, [picture], category_names=tmp_path / "none.json")


def test_landmarks_answer_with_tags(trained):
    from zoo import predict

    rows, *_ = predict.run(trained("landmarks"), [str(min(DATA["image_folder"].rglob("*.jpg")))], top_k=5)
    assert [row["tag"] for row in rows] == [row["probability"] >= 0.2 for row in rows]
    assert len(rows) == 5


def test_skin_lesions_are_judged_by_a_doctors_figures(trained):
    told = json.loads((trained("skin_lesions") / "evaluation.json").read_text())
    assert {"auc", "sensitivity", "specificity"} <= set(told["metrics"])
    assert len(told["thresholds"]) == len(told["errors"]) == 4
    assert (trained("skin_lesions") / "figures" / "roc.png").stat().st_size > 1000
