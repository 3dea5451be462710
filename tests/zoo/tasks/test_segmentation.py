"""Segmentation: metrics, loss, streamed evaluation, quantised files, endpoints and predictions."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf
from PIL import Image

import export
import pipelines
import zoo
from tests.photographs import photographs
from tests.zoo.conftest import fit
from tests.zoo.test_cli import cli
from zoo import predict
from zoo.candidates.masks import ladder as masks_ladder
from zoo.core.run_folder import RunFolder
from zoo.core.task import SplitEvaluation
from zoo.evaluation import outputs as inference
from zoo.evaluation import segmentation
from zoo.export import evaluation_of
from zoo.modeling import backbones
from zoo.modeling.losses import SegmentationLoss
from zoo.prediction import predictor
from zoo.tasks import Segmentation
from zoobase.errors import DataError, MissingError, UsageError

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def run(trained):
    return trained("unet")


@pytest.fixture(scope="module")
def opened(run):
    folder = RunFolder(run)
    planned, dataset, model = folder.plan(), folder.dataset(), folder.model()
    return planned, dataset, model, planned.task.contract(model, dataset.info)


# === Metrics and loss ===


def test_metrics_are_those_of_scikit_learn():
    truth, predicted = RANDOM.integers(0, 4, (2, 6, 9, 11))
    truth = np.where(RANDOM.random(truth.shape) < 0.1, 255, truth)
    truth[truth == 2] = 255  # the class is predicted only
    matrices = segmentation.confusion(truth, predicted, 5)
    assert matrices.shape == (6, 5, 5)
    metrics = segmentation.scores(matrices.sum(axis=0), ["a", "b", "c", "d", "never"])
    y, z = truth[truth != 255], predicted[truth != 255]
    assert metrics["confusion_matrix"] == sklearn.metrics.confusion_matrix(y, z, labels=range(5)).tolist()
    options = {"labels": range(4), "average": "macro", "zero_division": 0}
    assert metrics["mean_iou"] == pytest.approx(sklearn.metrics.jaccard_score(y, z, **options))
    assert metrics["mean_dice"] == pytest.approx(sklearn.metrics.f1_score(y, z, **options))
    assert metrics["pixel_accuracy"] == pytest.approx(np.mean(y == z))
    assert metrics["per_class"]["never"] == {"iou": None, "dice": None, "pixels": 0}
    assert next(iter(metrics)) == "mean_iou"
    for image, mask, matrix in zip(truth, predicted, matrices, strict=True):
        valid = image != 255
        expected = sklearn.metrics.confusion_matrix(image[valid], mask[valid], labels=range(5))
        np.testing.assert_array_equal(matrix, expected)
    nothing = segmentation.scores(np.zeros((2, 2), int), ["a", "b"])
    assert nothing["mean_iou"] == nothing["pixel_accuracy"] == 0


def test_candidates_are_ordered_by_the_metric_over_all_images():
    def arrays(empty, of_shirt):  # eight images of background alone, and two with a shirt of 50 pixels
        return np.array([empty] * 8 + [of_shirt] * 2)

    never = arrays([[100, 0], [0, 0]], [[50, 0], [50, 0]])
    finds = arrays([[99, 1], [0, 0]], [[50, 0], [0, 50]])  # and one pixel where there is no shirt
    metric = [segmentation.scores(m.sum(axis=0), ["background", "shirt"])["mean_iou"] for m in (never, finds)]
    assert metric[0] < 0.5 < 0.9 < metric[1]
    assert segmentation.mean_iou(never).mean() > segmentation.mean_iou(finds).mean()  # the mean of single images
    losses = [Segmentation().losses({"confusion": m}, np.full(10, 100)) for m in (never, finds)]
    assert losses[0].mean() > losses[1].mean()
    np.testing.assert_allclose(1 - losses[1].mean(), metric[1], atol=0.03)
    assert Segmentation().losses({"confusion": finds[9:]}, np.full(1, 100)) == [0]


@pytest.mark.parametrize("dice", [0.0, 1.0])
def test_loss_ignores_pixels_and_falls_with_agreement(dice):
    loss = SegmentationLoss(dice, reduction=None)
    labels = RANDOM.integers(0, 3, (4, 8, 8))
    logits = RANDOM.standard_normal((4, 8, 8, 3)).astype("float32")
    ignored = RANDOM.random(labels.shape) < 0.3
    masked = np.where(ignored, 255, labels)
    before = np.asarray(loss(masked, logits))
    assert before.shape == (4,)
    np.testing.assert_allclose(before, loss(masked, np.where(ignored[..., None], 9 * logits[..., ::-1], logits)), 1e-5)
    nll = -np.log(np.take_along_axis(np.exp(logits), labels[..., None], -1)[..., 0] / np.exp(logits).sum(-1))
    expected = np.array([row[~skip].mean() for row, skip in zip(nll, ignored, strict=True)])
    if dice:
        one_hot, p = np.eye(3)[labels], np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        one_hot, p = (np.where(ignored[..., None], 0, x) for x in (one_hot, p))
        overlap = (2 * (one_hot * p).sum((1, 2)) + 1) / (one_hot.sum((1, 2)) + p.sum((1, 2)) + 1)
        expected = expected + 1 - overlap.mean(-1)
    np.testing.assert_allclose(before, expected, rtol=1e-5)
    perfect = np.asarray(loss(masked, 20 * np.eye(3, dtype="float32")[labels]))
    assert perfect.max() < 1e-3
    assert np.asarray(loss(np.full_like(labels, 255), logits)).max() <= dice  # nothing counts: no NaN
    assert type(loss).from_config(loss.get_config()).dice == dice


# === Evaluation ===


@pytest.mark.extended
def test_evaluation_keeps_no_mask_and_no_logits(opened, monkeypatch):
    planned, dataset, _, contract = opened
    seen = []

    def reduce(batch):
        seen.append(len(batch.truth))
        return planned.task.reduce(batch)

    monkeypatch.setattr(inference, "LARGEST_BATCH", 8 * 4 * 24 * 28 * 11)
    feed = planned.feed(dataset, "test")
    streamed = inference.collect(contract["serving_default"], feed, dataset.info, reduce)
    assert seen == [8, 8, 4]
    assert streamed.inputs == {}
    assert set(streamed.outputs) == {"confusion"}
    assert streamed.outputs["confusion"].shape == (20, 11, 11)
    assert streamed.truth.shape == (20,)
    whole = inference.collect(contract["serving_default"], feed, dataset.info)
    predicted = whole.outputs["logits"].argmax(-1)
    total = sklearn.metrics.confusion_matrix(whole.truth.ravel(), predicted.ravel(), labels=range(11))
    metrics = planned.task.metrics(streamed.outputs, streamed.truth, dataset.info)
    assert metrics["confusion_matrix"] == total.tolist()


@pytest.mark.extended
def test_evaluation_has_baselines_and_overlays(run):
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert next(iter(evaluation["metrics"])) == "mean_iou"
    assert set(evaluation["metrics"]) == {"mean_iou", "pixel_accuracy", "mean_dice"}
    matrix = np.array(evaluation["confusion_matrix"])
    assert matrix.sum() == 20 * 24 * 28
    rows = evaluation["compared"]
    assert list(rows) == ["this model", "most frequent class", "logistic regression of pixels"]
    assert rows["this model"] == evaluation["metrics"]
    assert rows["most frequent class"]["pixel_accuracy"] == pytest.approx(matrix[0].sum() / matrix.sum())
    assert {p.stem for p in (run / "figures").glob("*.png")} == {"curves", "overlays"}


def test_the_linear_candidate_learns_a_colour():
    images = RANDOM.integers(0, 256, (20, 12, 12, 3)).astype("uint8")
    masks = (images[..., 0] > 127).astype("uint8")
    masks[:, :2] = 255
    feed = pipelines.feed(tf.data.Dataset.from_tensor_slices((images, masks)))
    plan, dataset = SimpleNamespace(feed=lambda *_: feed), SimpleNamespace(info=SimpleNamespace(num_classes=2))
    predicted = {}
    for name, candidate in masks_ladder().items():
        model = candidate.build(name, 2, (12, 12, 3))
        candidate.fit(model, plan, dataset)
        predicted[name] = model(images).numpy().argmax(-1)
    assert (predicted["linear"] == (images[..., 0] > 127)).mean() > 0.95
    assert (predicted["constant"] == np.bincount(masks[:, 2:].ravel()).argmax()).all()


@pytest.mark.proof
def test_the_drop_of_quantised_files_is_streamed_too(opened, tmp_path, monkeypatch):
    from export.proof import evaluation

    planned, dataset, model, contract = opened
    test = evaluation_of(planned, dataset, contract.endpoints[0], "test")
    assert test.inputs["image"].dtype == np.uint8
    runs = []
    run_part = evaluation.run_quantized
    monkeypatch.setattr(
        evaluation, "run_quantized", lambda *arguments: runs.append(len(arguments[4]["image"])) or run_part(*arguments)
    )
    monkeypatch.setattr(evaluation, "LARGEST", 8 * 4 * 24 * 28 * 11)
    quantization = export.Quantization(("float16",), evaluation=test, max_drop=1.0)
    bundle = export.export_model(model, tmp_path / "b", contract=contract, formats=(), quantization=quantization)
    assert runs == [8, 8, 4]
    (row,) = (row for row in bundle.certificate.rows if row.artifact == "tflite/float16.tflite")
    drop = row.endpoints["serving_default"]["evaluation"]
    feed = planned.feed(dataset, "test")
    live = inference.collect(contract["serving_default"], feed, dataset.info, planned.task.reduce)
    assert drop["metric"] == "mean_iou"
    assert drop["examples"] == 20
    assert drop["reference"] == planned.task.metrics(live.outputs, live.truth, dataset.info)["mean_iou"]
    assert drop["low"] <= drop["drop"] <= drop["high"]


# === Endpoints and predictions ===


@pytest.mark.extended
@pytest.mark.parametrize("runtime", ["keras", "saved_model", "c_api", "tflite"])
def test_every_runtime_serves_masks(run, photograph, runtime):
    model = predictor.load(run, runtime)
    pixels = pipelines.images.read(photograph, 24, 28, 3)[None]
    logits = model.call("serving_default", {"image": pixels})["logits"]
    segment = model.call("segment", {"image": pixels})
    assert segment["mask"].dtype == np.int32
    assert segment["mask"].shape == (1, 24, 28)
    np.testing.assert_array_equal(segment["mask"], logits.argmax(-1))
    np.testing.assert_allclose(segment["probabilities"].sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(segment["probabilities"].argmax(-1), segment["mask"])
    if runtime != "tflite":
        files = np.array([photograph.read_bytes()], object)
        np.testing.assert_array_equal(model.call("bytes", {"image_bytes": files})["mask"], segment["mask"])


@pytest.mark.extended
def test_predictions_are_masks_and_overlays(run, photograph, tmp_path):
    (prediction,) = predictor.load(run).predict([photograph])
    mask = prediction.outputs["logits"].argmax(-1)
    assert sum(row["pixels"] for row in prediction.rows) == 24 * 28
    assert prediction.image.shape == (24, 56, 3)
    np.testing.assert_array_equal(prediction.image[:, :28], pipelines.images.read(photograph, 24, 28, 3))
    (of_array,) = predictor.load(run / "bundle").predict(prediction.image[None, :, :28])
    np.testing.assert_array_equal(of_array.mask, mask)
    cli("zoo.predict", run, photograph, "-o", tmp_path / "overlay.png")
    np.testing.assert_array_equal(Image.open(tmp_path / "overlay.png"), prediction.image)
    cli("zoo.predict", run, photograph, "-o", f"{tmp_path}/masks/")
    with Image.open(tmp_path / "masks" / "cat.png") as file:
        assert file.mode == "P"
        np.testing.assert_array_equal(file, mask)
    np.testing.assert_array_equal(pipelines.images.masks.read(tmp_path / "masks" / "cat.png"), mask)


@pytest.mark.extended
def test_masks_that_cannot_be_written_are_one_line_errors(run, photograph, trained, tmp_path):
    (tmp_path / "more").mkdir()
    other = tmp_path / "more" / "cat.png"
    Image.open(photograph).save(other)
    with pytest.raises(UsageError, match="two inputs are named cat"):
        predict.run(run, [str(photograph), str(other)], masks=tmp_path / "masks")
    with pytest.raises(MissingError, match="does not predict masks"):
        predict.run(trained("flowers"), [str(photograph)], masks=tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


@pytest.mark.extended
def test_your_own_folder_is_trained_on(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for i in range(20):
        image = photographs()["coffee"].crop((5 * i, 4 * i, 5 * i + 45, 4 * i + 37))
        image.save(tmp_path / f"data/images/{i}.jpg")
        ids = (np.asarray(image.convert("L")) > 100).astype(np.uint8)
        ids[:3] = 255
        Image.fromarray(ids).save(tmp_path / f"data/masks/{i}.png")
    settings = {"data": "mask_folder", "model.width": 4, "model.depth": 2, "recipe.epochs": 2}
    settings |= {"recipe.augment": "rotation=20,fill=constant"}
    fit("unet", tmp_path / "run", settings, data_dir=str(tmp_path / "data"))
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert np.sum(evaluation["confusion_matrix"]) == 3 * 34 * 45
    assert set(evaluation["per_class"]) == {"0", "1"}


# === The model ===


@pytest.mark.parametrize("shape", [(16, 16, 1), (30, 45, 3), (64, 64, 3)])
def test_logits_have_the_size_of_the_image(shape):
    model = zoo.build("unet", width=2, image_shape=shape, num_classes=5)
    images = RANDOM.integers(0, 256, (2, *shape)).astype("uint8")
    logits = model(images)
    assert logits.shape == (2, *shape[:2], 5)
    np.testing.assert_allclose(model(images.astype("float32")), logits, atol=1e-5)
    assert np.ptp(logits, axis=(1, 2)).min() > 0


@pytest.mark.extended
def test_ids_of_masks_reach_the_metrics_unchanged(opened):
    planned, dataset, _, _ = opened
    batch = SplitEvaluation({}, {"logits": RANDOM.random((2, 24, 28, 11))}, np.full((2, 24, 28), 255), dataset.info)
    assert planned.task.reduce(batch).truth.tolist() == [0, 0]


# === Encoders that are backbones ===


def test_a_backbone_has_features_at_each_size():
    for name in (backbones.TINY, "mobilenet_v2"):
        encoder = backbones.pyramid(name, (64, 96, 3), 5)
        assert encoder.name == name
        assert [tuple(x.shape[1:3]) for x in encoder.output] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    model = zoo.build("unet", encoder=backbones.TINY, depth=2, width=4, image_shape=(30, 45, 3), num_classes=3)
    assert model.output.shape == (None, 30, 45, 3)
    with pytest.raises(UsageError, match=r"unknown backbone 'efficientnet_lite'; did you mean efficientnet_lite"):
        zoo.get_spec("unet").task.check_arguments({"encoder": "efficientnet_lite"})


@pytest.mark.extended
@pytest.mark.parametrize(("name", "arguments", "count"), [("unet", {"depth": 2}, 50), ("detector", {}, 80)])
def test_an_encoder_starts_from_its_trained_weights(name, arguments, count):
    model = zoo.build(name, encoder="efficientnet_lite0", image_shape=(32, 32, 3), **arguments)
    whole = {v.path: v for v in zoo.build("efficientnet_lite0", weights="imagenet").weights}
    of_encoder = model.get_layer("efficientnet_lite0").weights
    random = [variable.numpy() for variable in of_encoder]
    zoo.get_spec(name).task.initialize(model, None)
    assert len(of_encoder) == count
    assert any(not np.array_equal(v, r) for v, r in zip(of_encoder, random, strict=True))
    for variable in of_encoder:
        np.testing.assert_array_equal(variable, whole[variable.path])


@pytest.mark.parametrize("name", ["unet", "detector"])
def test_without_its_trained_weights_an_encoder_can_be_omitted(name, monkeypatch):
    def pretrain(model):
        raise DataError("no network")

    backbone = dataclasses.replace(backbones.get(backbones.TINY), pretrain=pretrain)
    monkeypatch.setattr(backbones, "get", lambda name: backbone)
    model, task = zoo.build(name, encoder=backbones.TINY, width=2), zoo.get_spec(name).task
    with pytest.raises(MissingError, match=r"--set model.encoder= trains without them: no network$"):
        task.initialize(model, None)
    dataclasses.replace(task, pretrained=False).initialize(model, None)


@pytest.mark.proof
def test_a_model_on_a_backbone_is_trained_and_proven(tmp_path):
    settings = {"model.encoder": backbones.TINY, "model.depth": 3, "model.width": 4, "recipe.epochs": 1}
    settings |= {"recipe.limit": 40, "task.height": 24, "task.width": 28}
    summary = fit("unet", tmp_path / "run", settings, quick=True, export=True)
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
