"""pix2pix and cyclegan: networks, pool, what is judged, and two models out of one run."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
import zoo
from tests.zoo.conftest import DATA
from tests.zoo.test_cli import cli
from zoo import evaluate, predict, predictor
from zoo.core import plan
from zoo.core.errors import UsageError
from zoo.core.run_folder import Run
from zoo.evaluation import generative_metrics, outputs
from zoo.evaluation.image_similarity import compare_images
from zoo.modeling import blocks
from zoo.training import feature_extractor

FASHION = str(DATA["fashion_mnist"])
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def garment(tmp_path_factory):
    """An image file of another size and mode than the models take."""
    example = next(iter(pipelines.load("sneakers_to_boots", FASHION).test.as_numpy_iterator()))
    path = tmp_path_factory.mktemp("garment") / "sneaker.jpg"
    image = Image.fromarray(tf.io.decode_png(example["a"]).numpy()[..., 0]).convert("RGB")
    image.resize((56, 56)).save(path, quality=95)
    return path


# === Networks ===


@pytest.mark.parametrize("shape", [(16, 16, 1), (30, 45, 3), (64, 64, 3)])
def test_pictures_keep_their_size_whatever_it_is(shape):
    image = RANDOM.integers(0, 256, (2, *shape)).astype("float32")
    unet = zoo.build("pix2pix", filters=2, image_shape=shape)
    both = zoo.build("cyclegan", filters=(2, 4), depth=1, pool=1, image_shape=shape)
    for made in (unet(image), *both({"a": image, "b": image}).values()):
        assert made.shape == image.shape
        assert made.dtype == tf.float32
        assert 0 <= np.min(made) < np.max(made) <= 255


def test_too_small_pictures_are_refused():
    with pytest.raises(UsageError, match="12x28 are too small"):
        zoo.build("pix2pix", image_shape=(12, 28, 1))
    with pytest.raises(UsageError, match="8x8 are too small for 2 halvings"):
        zoo.build("cyclegan", image_shape=(8, 8, 1))
    with pytest.raises(UsageError, match="pool=0"):
        zoo.build("cyclegan", pool=0)


@pytest.mark.parametrize(("side", "patch"), [(28, 16), (128, 34), (256, 70)])
def test_a_score_sees_a_patch(side, patch):
    discriminator = blocks.patch_discriminator((side, side, 1), 1, lambda name: keras.layers.Activation("linear"))
    image = tf.constant(RANDOM.integers(0, 256, (1, side, side, 1)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(image)
        scores = discriminator(image)
        middle = scores[0, scores.shape[1] // 2, scores.shape[2] // 2, 0]
    seen = np.flatnonzero(np.abs(tape.gradient(middle, image)).sum((0, 2, 3)))
    assert seen[-1] - seen[0] + 1 == patch


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_each_side_only_moves_its_own_networks(name):
    planned = plan.make_plan(name, settings=zoo.get_spec(name).tiny_settings(), data_dir=FASHION)
    data = planned.load_data()
    x, y = next(iter(planned.feed(data, "train", training=True).batches(4)))
    model = planned.build(data.info)
    for rates, moved in (((0.1, 0.0), model.generators()), ((0.0, 0.1), model.discriminators())):
        model.compile(*(keras.optimizers.SGD(rate) for rate in rates), jit_compile=False)
        before = [v.numpy() for v in model.trainable_variables]
        model.train_on_batch(x, y)
        after = [v.numpy() for v in model.trainable_variables]
        changed = {v.path for v, a, b in zip(model.trainable_variables, before, after, strict=True) if (a != b).any()}
        assert changed == {v.path for network in moved for v in network.trainable_variables}


def test_the_pool_loses_and_invents_nothing():
    from zoo.models.cyclegan import ImagePool

    pool, count = ImagePool(20, (1, 1, 1)), 0
    exchanged = 0
    for _ in range(60):
        given = np.arange(count + 1, count + 9, dtype=np.float32)  # eight numbered images
        count += 8
        held = pool.images.numpy().ravel()
        back = pool(given.reshape(-1, 1, 1, 1)).numpy().ravel()
        if int(count) <= 24:  # it takes the first twenty, and so the whole batch that fills it
            np.testing.assert_array_equal(back, given)
            continue
        assert sorted([*held, *given]) == sorted([*pool.images.numpy().ravel(), *back])
        old = back != given
        assert set(back[old]) <= set(held)
        exchanged += old.sum()
    assert 0.4 < exchanged / (57 * 8) < 0.6
    many = np.arange(1000, 1050, dtype=np.float32).reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(pool(many).numpy()[20:], many[20:])


def test_the_discriminators_are_taught_with_the_pool():
    model = zoo.build("cyclegan", filters=(2, 4), depth=1, pool=6)
    a = RANDOM.integers(0, 256, (6, 28, 28, 1))
    model.compute_losses({"a": a, "b": a}, None, training=False)
    assert not model.pool_b.images.numpy().any()
    model.compute_losses({"a": a, "b": a[::-1]}, None, training=True)
    fakes = model.a2b(a.astype("float32"), training=False)
    np.testing.assert_allclose(model.pool_b.images, fakes, atol=1e-3)


# === Feeds ===


def test_direction_says_what_is_given():
    given = {}
    for direction in ("a2b", "b2a"):
        planned = plan.make_plan("pix2pix", settings={"task.direction": direction}, data_dir=FASHION)
        given[direction] = next(iter(planned.feed(planned.load_data(), "test").batches(5)))
    for i in (0, 1):
        np.testing.assert_array_equal(given["a2b"][i], given["b2a"][1 - i])
    with pytest.raises(UsageError, match="must be a2b or b2a"):
        plan.make_plan("pix2pix", settings={"task.direction": "b2b"})


def test_both_sides_move_alike():
    planned = plan.make_plan("pix2pix", settings={"recipe.augment": "flip_shift"}, data_dir=FASHION)
    garments = pipelines.load("fashion_mnist", FASHION)
    same = garments.train.map(lambda e: {"a": e["image"], "b": e["image"]})
    info = planned.load_data().info
    feeds = [planned.task.examples(same, info, planned.recipe, {}, training) for training in (True, False)]
    (a, b), (still, _) = (next(iter(feed.batches(50))) for feed in feeds)
    np.testing.assert_array_equal(a, b)
    assert (a.numpy() != still.numpy()).any(axis=(1, 2, 3)).mean() > 0.9


# === Judging ===


def test_pairs_are_judged_beside_what_costs_nothing(trained):
    run = trained("pix2pix")
    told = json.loads((run / "evaluation.json").read_text())
    assert list(told["compared"]) == ["this model", "the input", "mean of all targets"]
    planned = plan.make_plan("pix2pix", data_dir=FASHION)
    data = planned.load_data()
    (x, y), targets = (
        next(iter(planned.feed(data, "test").batches(200))),
        np.concatenate([y for _, y in planned.feed(data, "train").batches(100)]),
    )
    by_hand = {"the input": x, "mean of all targets": np.broadcast_to(targets.mean(0), y.shape)}
    for row, images in by_hand.items():
        for name, value in compare_images(y.numpy(), np.asarray(images)).items():
            assert told["compared"][row][name] == pytest.approx(value, rel=1e-4)
    ours, *others = (row["psnr_db"] for row in told["compared"].values())
    assert told["metrics"]["psnr_gain_db"] == pytest.approx(ours - max(others))
    assert {p.stem for p in (run / "figures").glob("*.png")} == {"curves", "translations"}
    with Image.open(run / "progress" / "progress.gif") as film:
        assert film.size == (3 * 28, 8 * 28)


def test_generators_that_do_nothing_are_at_the_ceiling_and_lose_nothing():
    planned = plan.make_plan("cyclegan", data_dir=FASHION)
    data = planned.load_data()

    class Nothing:
        def __init__(self, name):
            self.name = name

        def __call__(self, images, training=False):
            return images

    contracts = {way: planned.task.contract(Nothing(way), data.info) for way in ("a2b", "b2a")}
    said = outputs.collect_all(contracts, planned.feed(data, "test"), data.info)
    assert set(said.inputs) == set(said.outputs) == {"a", "b"}
    judged = dataclasses.replace(said, metrics=planned.task.metrics(said.outputs, said.truth, data.info))
    studied = planned.task.evaluate_extra(judged, outputs.joined(contracts), data, None).metrics
    for way in contracts:
        assert studied[f"cycle_error_{way}"] == 0
        assert studied[f"frechet_to_input_{way}"] == pytest.approx(1)
        assert studied["compared"][f"{way}: real halves"]["frechet_distance"] < studied[f"frechet_distance_{way}"]
    told = {row.partition(": ")[2]: seen["taken_for_target"] for row, seen in studied["compared"].items()}
    assert told["real halves"] > 0.8 > 0.2 > told["untranslated"] == told["this model"]
    perfect = planned.task.metrics({"a": said.inputs["a"], "b": said.inputs["b"]}, said.truth, data.info)
    assert list(perfect) == ["frechet_distance_a2b", "frechet_distance_b2a"]
    assert max(perfect.values()) < 1e-3


def test_validation_shows_the_mean_of_both_ways(trained):
    for row in Run(trained("cyclegan")).history():
        ways = [row[f"val_frechet_{way}"] for way in ("a2b", "b2a")]
        assert row["val_frechet_distance"] == pytest.approx(np.mean(ways), rel=1e-5)


def test_what_comes_back_is_measured_through_both(trained):
    run = Run(trained("cyclegan"))
    planned, model = run.plan(), run.model()
    data = planned.load_data()
    judged = evaluate.evaluate_split(planned, model, data, "test")
    a = next(iter(planned.feed(data, "test").batches(200)))[0]["a"].numpy().astype("float32")
    back = model.b2a(model.a2b(a, training=False), training=False)
    assert judged.metrics["cycle_error_a2b"] == pytest.approx(np.abs(a - back).mean() / 255, rel=1e-3)
    judge = feature_extractor.feature_extractor_for((28, 28, 1))
    made = generative_metrics.collect(judge.features, judged.outputs["b"])
    real = generative_metrics.collect(judge.features, judged.inputs["b"])
    expected = generative_metrics.distance_of(real, made)
    assert judged.metrics["frechet_distance_a2b"] == pytest.approx(expected, rel=1e-4)


# === One run, two models ===


def test_predict_goes_either_way_from_the_run_and_from_its_bundles(trained, garment, tmp_path):
    run = trained("cyclegan")
    model, pixels = Run(run).model(), pipelines.images.read(garment, 28, 28, 1)[None].astype("float32")
    for way in ("a2b", "b2a"):
        expected = np.asarray(getattr(model, way)(pixels, training=False))[0, ..., 0]
        for source in (run, run / f"bundle-{way}"):
            (picture,) = predict.run(source, [str(garment)], direction=way).pictures.values()
            np.testing.assert_allclose(picture[..., 0], expected, atol=1)
    cli("zoo.predict", run, garment, "-o", tmp_path / "out.png", "--direction", "b2a")
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "out.png")), expected, atol=1)
    default = predictor.open_source(run / "bundle-b2a").contract["serving_default"]
    assert [t.name for t in (*default.inputs, *default.outputs)] == ["b", "a"]
    lite = predictor.open_source(run, "tflite", "b2a").contract["serving_default"]
    assert lite.inputs[0].name == "b"


def test_a_direction_that_there_is_not_is_one_sentence(trained):
    with pytest.raises(UsageError, match="b2a is not to be had here: this is a2b"):
        predictor.open_source(trained("cyclegan") / "bundle-a2b", served="b2a")
    for source in (trained("pix2pix"), trained("pix2pix") / "bundle"):
        with pytest.raises(UsageError, match="this model goes one way only"):
            predictor.open_source(source, served="a2b")


def test_a_second_export_leaves_the_first_alone(trained):
    from zoo import export

    run = trained("cyclegan")
    before = sorted(p.name for p in run.glob("bundle*"))
    assert before == ["bundle-a2b", "bundle-b2a"]
    assert export._free(run / "bundle", ("a2b", "b2a")).name == "bundle-2"
    assert export._free(run / "bundle", ("",)).name == "bundle"


def test_predict_of_pairs_is_the_picture(trained, garment):
    run = trained("pix2pix")
    pixels = pipelines.images.read(garment, 28, 28, 1)[None].astype("float32")
    answers = predict.run(run, [str(garment)])
    (picture,) = answers.pictures.values()
    assert [(row["height"], row["width"]) for row in answers.rows] == [(28, 28)]
    np.testing.assert_allclose(picture, Run(run).model()(pixels, training=False)[0], atol=0.51)
