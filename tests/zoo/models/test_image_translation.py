"""pix2pix and cyclegan: networks, image pool, metrics, and two served models of one run."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
import zoo
from tests.plugins.tiers import first
from tests.zoo.conftest import DATA
from tests.zoo.test_cli import cli
from zoo import evaluate, export, predict
from zoo.core import plan
from zoo.core.run_folder import RunFolder
from zoo.evaluation import generative_metrics, outputs
from zoo.evaluation.image_similarity import compare_images
from zoo.modeling import blocks
from zoo.models.cyclegan import ImagePool
from zoo.prediction import predictor
from zoobase.errors import UsageError

FASHION = str(DATA["fashion_mnist"])
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def garment(tmp_path_factory):
    """An image file of another size and mode than the model's inputs."""
    example = next(iter(pipelines.load("sneakers_to_boots", FASHION).test.as_numpy_iterator()))
    path = tmp_path_factory.mktemp("garment") / "sneaker.jpg"
    image = Image.fromarray(tf.io.decode_png(example["a"]).numpy()[..., 0]).convert("RGB")
    image.resize((56, 56)).save(path, quality=95)
    return path


# === Networks ===


@pytest.mark.parametrize("shape", first([(30, 45, 3), (16, 16, 1), (64, 64, 3)]))
def test_outputs_have_the_size_of_the_inputs(shape):
    image = RANDOM.integers(0, 256, (2, *shape)).astype("float32")
    unet = zoo.build("pix2pix", filters=2, image_shape=shape)
    both = zoo.build("cyclegan", filters=(2, 4), depth=1, pool=1, image_shape=shape)
    for output in (unet(image), *both({"a": image, "b": image}).values()):
        assert output.shape == image.shape
        assert output.dtype == tf.float32
        assert 0 <= np.min(output) < np.max(output) <= 255


@pytest.mark.parametrize(("side", "patch"), [(28, 16), (128, 34), (256, 70)])
def test_receptive_field_of_a_score(side, patch):
    discriminator = blocks.patch_discriminator((side, side, 1), 1, lambda name: keras.layers.Activation("linear"))
    image = tf.constant(RANDOM.integers(0, 256, (1, side, side, 1)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(image)
        scores = discriminator(image)
        middle = scores[0, scores.shape[1] // 2, scores.shape[2] // 2, 0]
    seen = np.flatnonzero(np.abs(tape.gradient(middle, image)).sum((0, 2, 3)))
    assert seen[-1] - seen[0] + 1 == patch


@pytest.mark.extended
@pytest.mark.parametrize("name", ["pix2pix", "dcgan", pytest.param("cyclegan", marks=pytest.mark.proof)])
def test_each_optimizer_updates_its_own_networks(name):
    planned = plan.make_plan(name, settings=zoo.get_spec(name).tiny_settings(), data_dir=FASHION)
    data = planned.load_data()
    x, y = next(iter(planned.feed(data, "train", training=True).batches(4)))
    model = planned.build(data.info)
    generators, discriminators = (
        ([model.generator], [model.discriminator]) if name == "dcgan" else (model.generators(), model.discriminators())
    )
    for rates, moved in (((0.1, 0.0), generators), ((0.0, 0.1), discriminators)):
        model.compile(*(keras.optimizers.SGD(rate) for rate in rates), jit_compile=False)
        before = [v.numpy() for v in model.trainable_variables]
        model.train_on_batch(x, y)
        after = [v.numpy() for v in model.trainable_variables]
        changed = {v.path for v, a, b in zip(model.trainable_variables, before, after, strict=True) if (a != b).any()}
        assert changed == {v.path for network in moved for v in network.trainable_variables}


def test_the_pool_exchanges_images():
    pool, count = ImagePool(20, (1, 1, 1)), 0
    exchanged = 0
    for _ in range(60):
        inputs = np.arange(count + 1, count + 9, dtype=np.float32)  # eight numbered images
        count += 8
        stored = pool.images.numpy().ravel()
        outputs = pool(inputs.reshape(-1, 1, 1, 1)).numpy().ravel()
        if int(count) <= 24:  # the pool stores the first twenty, and the batch that fills it is returned unchanged
            np.testing.assert_array_equal(outputs, inputs)
            continue
        assert sorted([*stored, *inputs]) == sorted([*pool.images.numpy().ravel(), *outputs])
        old = outputs != inputs
        assert set(outputs[old]) <= set(stored)
        exchanged += old.sum()
    assert 0.4 < exchanged / (57 * 8) < 0.6
    many = np.arange(1000, 1050, dtype=np.float32).reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(pool(many).numpy()[20:], many[20:])


@pytest.mark.extended
def test_the_discriminators_are_trained_with_the_pool():
    model = zoo.build("cyclegan", filters=(2, 4), depth=1, pool=6)
    a = RANDOM.integers(0, 256, (6, 28, 28, 1))
    model.compute_losses({"a": a, "b": a}, None, training=False)
    assert not model.pool_b.images.numpy().any()
    model.compute_losses({"a": a, "b": a[::-1]}, None, training=True)
    fakes = model.a2b(a.astype("float32"), training=False)
    np.testing.assert_allclose(model.pool_b.images, fakes, atol=1e-3)


# === Feeds ===


@pytest.mark.extended
def test_direction_swaps_input_and_target():
    batches = {}
    for direction in ("a2b", "b2a"):
        planned = plan.make_plan("pix2pix", settings={"task.direction": direction}, data_dir=FASHION)
        batches[direction] = next(iter(planned.feed(planned.load_data(), "test").batches(5)))
    for i in (0, 1):
        np.testing.assert_array_equal(batches["a2b"][i], batches["b2a"][1 - i])


@pytest.mark.extended
def test_both_images_of_a_pair_get_the_same_augmentation():
    planned = plan.make_plan("pix2pix", settings={"recipe.augment": "flip,shift"}, data_dir=FASHION)
    garments = pipelines.load("fashion_mnist", FASHION)
    same = garments.train.map(lambda e: {"a": e["image"], "b": e["image"]})
    info = planned.load_data().info
    feeds = [planned.task.examples(same, info, planned.recipe, {}, training) for training in (True, False)]
    (a, b), (still, _) = (next(iter(feed.batches(50))) for feed in feeds)
    np.testing.assert_array_equal(a, b)
    assert (a.numpy() != still.numpy()).any(axis=(1, 2, 3)).mean() > 0.9


# === Evaluation ===


def test_paired_evaluation_has_baselines(trained):
    run = trained("pix2pix")
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert list(evaluation["compared"]) == ["this model", *evaluation["gains"]]
    assert {"the input", "mean of all targets", "ridge regression of pixels", "mean of the nearest"} == {
        *evaluation["gains"]
    }
    planned = plan.make_plan("pix2pix", data_dir=FASHION)
    data = planned.load_data()
    (x, y), targets = (
        next(iter(planned.feed(data, "test").batches(200))),
        np.concatenate([y for _, y in planned.feed(data, "train").batches(100)]),
    )
    by_hand = {"the input": x, "mean of all targets": np.broadcast_to(targets.mean(0), y.shape)}
    for row, images in by_hand.items():
        for name, value in compare_images(y.numpy(), np.asarray(images)).items():
            assert evaluation["compared"][row][name] == pytest.approx(value, rel=1e-4)
    psnr, *baselines = (row["psnr_db"] for row in evaluation["compared"].values())
    assert evaluation["metrics"]["psnr_gain_db"] == pytest.approx(psnr - max(baselines))
    assert {p.stem for p in (run / "figures").glob("*.png")} == {"curves", "translations"}
    with Image.open(run / "progress" / "progress.gif") as animation:
        assert animation.size == (3 * 28, 8 * 28)


@pytest.mark.extended
def test_identity_generators_have_the_upper_bound_and_no_cycle_error():
    planned = plan.make_plan("cyclegan", data_dir=FASHION)
    data = planned.load_data()

    class Identity:
        def __init__(self, name):
            self.name = name

        def __call__(self, images, training=False):
            return images

    contracts = {direction: planned.task.contract(Identity(direction), data.info) for direction in ("a2b", "b2a")}
    evaluation = outputs.collect_all(contracts, planned.feed(data, "test"), data.info)
    assert set(evaluation.inputs) == set(evaluation.outputs) == {"a", "b"}
    metrics = planned.task.metrics(evaluation.outputs, evaluation.truth, data.info)
    evaluation = dataclasses.replace(evaluation, metrics=metrics)
    metrics = planned.task.evaluate_extra(evaluation, outputs.merge_contracts(contracts), data, None).metrics
    for direction in contracts:
        assert metrics[f"cycle_error_{direction}"] == 0
        assert metrics[f"frechet_to_input_{direction}"] == pytest.approx(1)
        assert (
            metrics["compared"][f"{direction}: real halves"]["frechet_distance"]
            < metrics[f"frechet_distance_{direction}"]
        )
    shares = {row.partition(": ")[2]: values["taken_for_target"] for row, values in metrics["compared"].items()}
    assert shares["real halves"] > 0.8 > 0.2 > shares["untranslated"] == shares["this model"]
    real = {name: evaluation.inputs[name] for name in "ab"}
    perfect = planned.task.metrics(real, evaluation.truth, data.info)
    assert list(perfect) == ["frechet_distance_a2b", "frechet_distance_b2a"]
    assert max(perfect.values()) < 1e-3


@pytest.mark.proof
def test_validation_logs_the_mean_of_both_directions(trained):
    for row in RunFolder(trained("cyclegan")).history():
        directions = [row[f"val_frechet_{direction}"] for direction in ("a2b", "b2a")]
        assert row["val_frechet_distance"] == pytest.approx(np.mean(directions), rel=1e-5)


@pytest.mark.proof
def test_cycle_error_is_that_of_both_generators(trained):
    run = RunFolder(trained("cyclegan"))
    planned, model = run.plan(), run.model()
    data = planned.load_data()
    evaluation = evaluate.evaluate_split(planned, model, data, "test")
    a = next(iter(planned.feed(data, "test").batches(200)))[0]["a"].numpy().astype("float32")
    cycle = model.b2a(model.a2b(a, training=False), training=False)
    assert evaluation.metrics["cycle_error_a2b"] == pytest.approx(np.abs(a - cycle).mean() / 255, rel=1e-3)
    extractor = generative_metrics.feature_extractor_for(data.info, (28, 28, 1))
    fake = generative_metrics.collect(extractor.features, evaluation.outputs["b"])
    real = generative_metrics.collect(extractor.features, evaluation.inputs["b"])
    expected = generative_metrics.feature_distance(real, fake)
    assert evaluation.metrics["frechet_distance_a2b"] == pytest.approx(expected, rel=1e-4)


# === One run, two models ===


@pytest.mark.proof
def test_predict_in_both_directions_from_the_run_and_its_bundles(trained, garment, tmp_path):
    run = trained("cyclegan")
    model, pixels = RunFolder(run).model(), pipelines.images.read(garment, 28, 28, 1)[None].astype("float32")
    for direction in ("a2b", "b2a"):
        expected = np.asarray(getattr(model, direction)(pixels, training=False))[0, ..., 0]
        for source in (run, run / f"bundle-{direction}"):
            (image,) = predict.run(source, [str(garment)], direction=direction).images.values()
            np.testing.assert_allclose(image[..., 0], expected, atol=1)
    cli("zoo.predict", run, garment, "-o", tmp_path / "out.png", "--direction", "b2a")
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "out.png")), expected, atol=1)
    default = predictor.load(run / "bundle-b2a").contract["serving_default"]
    assert [t.name for t in (*default.inputs, *default.outputs)] == ["b", "a"]
    lite = predictor.load(run, "tflite", "b2a").contract["serving_default"]
    assert lite.inputs[0].name == "b"


@pytest.mark.proof
def test_an_unknown_direction_is_a_one_line_error(trained):
    with pytest.raises(UsageError, match="b2a is not available: this is a2b"):
        predictor.load(trained("cyclegan") / "bundle-a2b", served="b2a")
    for source in (trained("pix2pix"), trained("pix2pix") / "bundle"):
        with pytest.raises(UsageError, match="this model has one direction only"):
            predictor.load(source, served="a2b")


@pytest.mark.proof
def test_a_second_export_does_not_overwrite_the_first(trained):
    run = trained("cyclegan")
    before = sorted(p.name for p in run.glob("bundle*"))
    assert before == ["bundle-a2b", "bundle-b2a"]
    assert export._unused_path(run / "bundle", ("a2b", "b2a")).name == "bundle-2"
    assert export._unused_path(run / "bundle", ("",)).name == "bundle"


def test_prediction_of_a_paired_model_is_the_image(trained, garment):
    run = trained("pix2pix")
    pixels = pipelines.images.read(garment, 28, 28, 1)[None].astype("float32")
    predictions = predict.run(run, [str(garment)])
    (image,) = predictions.images.values()
    assert [(row["height"], row["width"]) for row in predictions.rows] == [(28, 28)]
    np.testing.assert_allclose(image, RunFolder(run).model()(pixels, training=False)[0], atol=0.51)
