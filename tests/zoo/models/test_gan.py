"""Generators and discriminators: both sides resume, what is made is judged, and a collapse is called so."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from commandline.console import Console
from tests.zoo.conftest import DATA, data_dir
from tests.zoo.test_cli import cli
from zoo import predictor
from zoo.core import plan
from zoo.core.run_folder import Run
from zoo.evaluation import generative_metrics
from zoo.tasks.generative import gan
from zoo.training import checkpoints, feature_extractor

FASHION = str(DATA["fashion_mnist"])
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def judge():
    return feature_extractor.feature_extractor_for((28, 28, 1))


@pytest.fixture(scope="module")
def real():
    """The 600 training garments of the fixture."""
    import pipelines

    data = pipelines.load("fashion_mnist", FASHION)
    return np.stack([tf.io.decode_png(e["image"]).numpy() for e in data.train])


def test_garments_are_judged_by_weights_that_stay(judge, real):
    """A distance that was told before the classifier got better means the same after."""
    ruler = zoo.build("fashion_mnist", weights="judge")
    np.testing.assert_array_equal(judge.classify(real[:8]), ruler(real[:8]))


class Killed(Exception):
    """What stands for kill -9 here; the real one is in test_resume."""


@pytest.mark.parametrize("name", ["gan", "dcgan", "pix2pix", "cyclegan"])
def test_an_interrupted_run_ends_as_one_that_was_not(name, tmp_path, monkeypatch):
    from zoo.training import trainer

    settings = zoo.get_spec(name).tiny_settings() | {"recipe.epochs": 3, "recipe.batch_size": 50}
    planned = plan.make_plan(name, settings=settings, data_dir=data_dir(name), precision="float32")
    dataset, write = planned.load_data(), checkpoints.save

    def killing(folder, epoch, model, state):
        if folder.parent.name == "killed" and epoch == 2 and not (folder / "state-00002.npz").exists():
            write(folder, epoch, model, state)
            raise Killed
        return write(folder, epoch, model, state)

    monkeypatch.setattr(checkpoints, "save", killing)
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
        run = Run(tmp_path / folder)
        if folder == "killed":
            with pytest.raises(Killed):
                trainer.train(planned, dataset, run, Console(quiet=True))
        trainer.train(planned, dataset, run, Console(quiet=True))
    (_, whole), (_, killed) = (next(checkpoints.read(tmp_path / f / "checkpoints")) for f in ("whole", "killed"))
    assert {k.split("/")[0] for k in whole} == {"model", "g_optimizer", "d_optimizer", "state.json"}
    for key in whole.keys() - {"state.json"}:
        np.testing.assert_array_equal(whole[key], killed[key], err_msg=key)
    assert sorted(p.name for p in (tmp_path / "killed" / "progress").iterdir()) == [
        *(f"epoch-000{i}.png" for i in (1, 2, 3)),
        "progress.gif",
    ]
    with Image.open(tmp_path / "killed" / "progress" / "progress.gif") as film:
        assert film.n_frames == 3


def test_noise_is_of_the_example_and_the_epoch():
    planned = plan.make_plan("gan", data_dir=FASHION)
    feed = planned.feed(planned.load_data(), "train", training=True)
    (noise, image), (again, _) = (next(iter(feed.batches(500))) for _ in range(2))
    (later, _) = next(iter(feed.batches(500, epoch=1)))
    np.testing.assert_array_equal(noise, again)
    assert not np.array_equal(noise, later)
    assert image.shape == (500, 28, 28, 1)
    assert noise.numpy().std() == pytest.approx(1, abs=0.02)


def test_each_side_only_moves_its_own_networks():
    import keras

    model = plan.make_plan("dcgan", settings={"model.filters": 4}).build(_info())
    still = keras.optimizers.SGD(0.0)
    for moved, optimizers in (
        (model.generator, (keras.optimizers.SGD(0.1), still)),
        (model.discriminator, (keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.1))),
    ):
        model.compile(*optimizers, jit_compile=False)
        before = [v.numpy() for v in model.trainable_variables]
        model.train_on_batch(gan.draw_noise(4, 100, 0), RANDOM.integers(0, 256, (4, 28, 28, 1)))
        after = [v.numpy() for v in model.trainable_variables]
        changed = {v.path for v, a, b in zip(model.trainable_variables, before, after, strict=True) if (a != b).any()}
        assert changed == {v.path for v in moved.trainable_variables}


def _info():
    return plan.make_plan("dcgan", data_dir=FASHION).load_data().info


def test_the_distance_is_that_of_scipy_and_of_the_formula():
    from scipy.linalg import sqrtm

    one, other = RANDOM.normal(size=(500, 6)), RANDOM.normal(0.3, 2, (400, 6)) @ RANDOM.normal(size=(6, 6))
    a, b = np.cov(one.T), np.cov(other.T)
    expected = np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert generative_metrics.distance_of(one, other) == pytest.approx(expected)
    shifted = RANDOM.normal(size=(20_000, 3))
    assert generative_metrics.distance_of(shifted, shifted + np.array([3, 0, 4])) == pytest.approx(25)
    few = RANDOM.normal(size=(5, 30))  # fewer examples than features: a covariance that has no inverse
    assert generative_metrics.distance_of(few, few) == pytest.approx(0, abs=1e-6)


def test_gathered_in_batches_it_is_the_same(judge, real):
    made = RANDOM.integers(0, 256, (250, 28, 28, 1)).astype("uint8")
    metric = generative_metrics.FrechetDistance(judge)
    for i in range(0, 250, 100):
        metric.update_state(real[i : min(i + 100, 250)].astype("float32"), made[i : i + 100].astype("float32"))
    seen = [generative_metrics.collect(judge.features, x) for x in (real[:250], made)]
    assert float(metric.result()) == pytest.approx(generative_metrics.distance_of(*seen), rel=1e-3)


def test_real_halves_are_near_and_noise_is_far(judge, real):
    found = generative_metrics.compare_sets(judge, real[:400], real[200:600])
    floor, ceiling = (found[row]["frechet_distance"] for row in ("real halves", "noise"))
    assert floor < 0.05 * ceiling
    assert found["this model"]["frechet_distance"] < 0.05 * ceiling
    assert found["this model"]["precision"] > 0.8
    assert found["this model"]["recall"] > 0.8
    assert found["noise"]["precision"] < 0.05


def test_precision_and_recall_are_two_things():
    wide = RANDOM.normal(size=(600, 2))
    inside, spread = 0.1 * RANDOM.normal(size=(600, 2)), 5 * RANDOM.normal(size=(600, 2))
    narrow = generative_metrics.precision_and_recall(wide, inside)
    assert narrow["precision"] > 0.95
    assert narrow["recall"] < 0.2
    loose = generative_metrics.precision_and_recall(wide, spread)
    assert loose["precision"] < 0.3


def test_a_collapsed_generator_is_called_collapsed(judge, real):
    labels = generative_metrics.collect(judge.classify, real).argmax(-1)
    whole = generative_metrics.modes(judge, real, real[::-1])
    assert not whole["collapsed"]
    assert whole["remarks"][0].startswith("no mode collapse: all 10 classes are made")
    one = generative_metrics.modes(judge, real, np.repeat(real[:1], 600, axis=0))
    assert one["collapsed"]
    assert one["diversity"] == pytest.approx(0, abs=1e-3)
    assert "9 of 10 classes are hardly made" in one["remarks"][0]
    without = generative_metrics.modes(judge, real, real[labels != 8])
    assert without["remarks"][0].startswith("mode collapse: 1 of 10 classes are hardly made (Bag)")
    assert without["diversity"] > 0.8
    pixels = feature_extractor.feature_extractor_for((16, 16, 3))
    colours = RANDOM.integers(0, 256, (50, 16, 16, 3))
    assert "class_shares" not in generative_metrics.modes(pixels, colours, colours)
    assert generative_metrics.modes(pixels, colours, np.repeat(colours[:1], 50, axis=0))["collapsed"]


def test_a_run_is_judged_between_floor_and_ceiling(trained):
    run = trained("dcgan")
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert list(evaluation["compared"]) == ["this model", "real halves", "noise"]
    ours, ceiling = (evaluation["compared"][row]["frechet_distance"] for row in ("this model", "noise"))
    assert evaluation["metrics"]["frechet_distance"] == pytest.approx(ours)
    assert evaluation["metrics"]["frechet_to_noise"] == pytest.approx(ours / ceiling)
    assert evaluation["remarks"] == json.loads((run / "summary.json").read_text())["remarks"]
    history = Run(run).history()
    best = min(history, key=lambda row: row["val_frechet_distance"])["epoch"]
    assert json.loads((run / "summary.json").read_text())["best_epoch"] == best
    assert {p.stem for p in (run / "figures").glob("*.png")} == {"curves", "samples", "interpolations"}


def test_only_the_generator_is_exported_and_samples_are_the_same_everywhere(trained, tmp_path):
    run = trained("dcgan")
    contract = predictor.open_source(run / "bundle").contract
    (endpoint,) = contract.endpoints
    assert [t.name for t in endpoint.inputs] == ["noise"]
    assert endpoint.inputs[0].shape == (None, 4)
    pictures = {}
    for runtime in ("keras", "tflite"):
        cli("zoo.sample", run, "-o", tmp_path / "grid.png", "--seed", 1, "--count", 9, "--runtime", runtime)
        pictures[runtime] = np.asarray(Image.open(tmp_path / "grid.png")).astype(int)
    assert pictures["keras"].shape == (84, 84)
    assert np.abs(pictures["keras"] - pictures["tflite"]).max() <= 1


def test_ways_between_noises_keep_their_distance_from_zero(trained):
    from zoo import sample

    way = gan.noise_walks(3, 50, seed=4)
    lengths = np.linalg.norm(way, axis=1).reshape(3, gan.STEPS)
    assert (lengths > 0.9 * np.minimum(lengths[:, :1], lengths[:, -1:])).all()
    shown = sample.run(trained("dcgan"), options={"interpolate": True, "count": 2}, seed=4)
    assert shown.image.shape == (2 * 28, gan.STEPS * 28, 1)
