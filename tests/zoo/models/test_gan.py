"""GANs: resume, updates of each network, metrics of generated images, mode collapse."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.linalg import sqrtm

import pipelines
import zoo
from pipelines.dataset import Info
from tests.zoo.conftest import DATA, data_dir
from tests.zoo.test_cli import cli
from zoo import sample
from zoo.core import plan
from zoo.core.run_folder import RunFolder
from zoo.evaluation import generative_metrics, image_baselines
from zoo.modeling import backbones
from zoo.prediction import predictor
from zoo.tasks.generative import image_generation
from zoo.training import checkpoints, trainer
from zoo.training.session import Session
from zoo.weights.efficientnet_lite import LITE0
from zoobase.errors import DataError, ZooError

FASHION = str(DATA["fashion_mnist"])
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def extractor():
    info = dataclasses.replace(pipelines.load("fashion_mnist", FASHION).info, name="fashion_mnist")  # a part of it
    return generative_metrics.feature_extractor_for(info, (28, 28, 1))


@pytest.fixture(scope="module")
def real():
    data = pipelines.load("fashion_mnist", FASHION)
    return np.stack([tf.io.decode_png(e["image"]).numpy() for e in data.train])


def test_the_feature_extractor_has_fixed_weights(extractor, real):
    """Distances stay comparable when the classifier of the zoo is trained again, and a damaged file is named."""
    logits = [1.83, -3.69, -2.37, -4.03, -3.95, -3.30, 3.76, -3.04, -3.23, -3.07]  # of commit 9907aec
    np.testing.assert_allclose(extractor.classify(real[:1])[0], logits, atol=0.01)
    assert extractor.size == 192


def test_a_damaged_reference_network_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / "garment_classifier.keras"
    damaged.write_bytes(generative_metrics.CLASSIFIER.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(generative_metrics, "CLASSIFIER", damaged)
    with pytest.raises(ZooError, match="is damaged: its sha256 is another one; reinstall the package"):
        generative_metrics._of_garments.__wrapped__()


class Killed(Exception):
    """Simulates a killed process; test_resume kills real ones."""


@pytest.mark.proof
@pytest.mark.parametrize("name", ["dcgan", "cyclegan"])  # one generator; two and a pool
def test_an_interrupted_run_is_resumed_with_the_same_result(name, tmp_path, monkeypatch):
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
        run = RunFolder(tmp_path / folder)
        if folder == "killed":
            with pytest.raises(Killed):
                trainer.train(Session(planned, run, dataset))
        trainer.train(Session(planned, run, dataset))
    (_, whole), (_, killed) = (next(checkpoints.read(tmp_path / f / "checkpoints")) for f in ("whole", "killed"))
    assert {k.split("/")[0] for k in whole} == {"model", "g_optimizer", "d_optimizer", "state.json"}
    for key in whole.keys() - {"state.json"}:
        np.testing.assert_array_equal(whole[key], killed[key], err_msg=key)
    assert sorted(p.name for p in (tmp_path / "killed" / "progress").iterdir()) == [
        *(f"epoch-000{i}.png" for i in (1, 2, 3)),
        "progress.gif",
    ]
    with Image.open(tmp_path / "killed" / "progress" / "progress.gif") as animation:
        assert animation.n_frames == 3


def test_noise_depends_on_example_and_epoch():
    planned = plan.make_plan("gan", data_dir=FASHION)
    feed = planned.feed(planned.load_data(), "train", training=True)
    (noise, image), (again, _) = (next(iter(feed.batches(500))) for _ in range(2))
    (later, _) = next(iter(feed.batches(500, epoch=1)))
    np.testing.assert_array_equal(noise, again)
    assert not np.array_equal(noise, later)
    assert image.shape == (500, 28, 28, 1)
    assert noise.numpy().std() == pytest.approx(1, abs=0.02)


def test_the_distance_equals_scipy_and_the_formula():
    one, other = RANDOM.normal(size=(500, 6)), RANDOM.normal(0.3, 2, (400, 6)) @ RANDOM.normal(size=(6, 6))
    a, b = np.cov(one.T), np.cov(other.T)
    expected = np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert generative_metrics.feature_distance(one, other) == pytest.approx(expected)
    shifted = RANDOM.normal(size=(20_000, 3))
    assert generative_metrics.feature_distance(shifted, shifted + np.array([3, 0, 4])) == pytest.approx(25)
    few = RANDOM.normal(size=(5, 30))  # fewer examples than features: a singular covariance
    assert generative_metrics.feature_distance(few, few) == pytest.approx(0, abs=1e-6)


@pytest.mark.extended
def test_the_metric_in_batches_equals_the_distance(extractor, real):
    fake = RANDOM.integers(0, 256, (250, 28, 28, 1)).astype("uint8")
    metric = generative_metrics.FrechetDistance(extractor)
    for i in range(0, 250, 100):
        metric.update_state(real[i : min(i + 100, 250)].astype("float32"), fake[i : i + 100].astype("float32"))
    features = [generative_metrics.collect(extractor.features, x) for x in (real[:250], fake)]
    assert float(metric.result()) == pytest.approx(generative_metrics.feature_distance(*features), rel=1e-3)


@pytest.mark.extended
def test_distances_of_real_halves_and_noise(extractor, real):
    noise = generative_metrics.noise_like(real[:400])
    rows = generative_metrics.compare_sets(extractor, real[:400], real[200:600], {"noise": noise})
    lower, upper = (rows[row]["frechet_distance"] for row in ("real halves", "noise"))
    assert lower < 0.05 * upper
    assert rows["this model"]["frechet_distance"] < 0.05 * upper
    assert rows["this model"]["precision"] > 0.8
    assert rows["this model"]["recall"] > 0.8
    assert rows["noise"]["precision"] < 0.05


@pytest.mark.extended
def test_a_gaussian_mixture_is_between_real_images_and_noise(extractor, real):
    sampled = image_baselines.sample_mixture(real, 300)
    assert sampled.shape == (300, 28, 28, 1)
    assert 0 <= sampled.min() < sampled.max() <= 255
    np.testing.assert_array_equal(sampled, image_baselines.sample_mixture(real, 300))
    np.testing.assert_allclose(sampled.mean(axis=0), real.mean(axis=0), atol=30)  # 10 standard errors of grey pixels
    assert 0.6 < sampled.var(axis=0).sum() / real.var(axis=0).sum() < 1.05  # without the other components
    noise = generative_metrics.noise_like(real[:300])
    rows = generative_metrics.compare_sets(extractor, real, real[:300], {"mixture": sampled, "noise": noise})
    distances = [rows[name]["frechet_distance"] for name in ("real halves", "mixture", "noise")]
    assert distances[0] < 0.5 * distances[1] < 0.25 * distances[2]


def test_precision_and_recall():
    wide = RANDOM.normal(size=(600, 2))
    inside, spread = 0.1 * RANDOM.normal(size=(600, 2)), 5 * RANDOM.normal(size=(600, 2))
    narrow = generative_metrics.precision_and_recall(wide, inside)
    assert narrow["precision"] > 0.95
    assert narrow["recall"] < 0.2
    loose = generative_metrics.precision_and_recall(wide, spread)
    assert loose["precision"] < 0.3


@pytest.mark.extended
def test_mode_collapse_is_detected(extractor, real):
    labels = generative_metrics.collect(extractor.classify, real).argmax(-1)
    whole = generative_metrics.mode_coverage(extractor, real, real[::-1])
    assert not whole["collapsed"]
    assert whole["remarks"][0].startswith("no mode collapse: all 10 classes are generated")
    one = generative_metrics.mode_coverage(extractor, real, np.repeat(real[:1], 600, axis=0))
    assert one["collapsed"]
    assert one["diversity"] == pytest.approx(0, abs=1e-3)
    assert "9 of 10 classes are missing or rare" in one["remarks"][0]
    without = generative_metrics.mode_coverage(extractor, real, real[labels != 8])
    assert without["remarks"][0].startswith("mode collapse: 1 of 10 classes are missing or rare (Bag)")
    assert without["diversity"] > 0.8
    pixels = generative_metrics.averaged_pixels(3)
    colours = RANDOM.integers(0, 256, (50, 16, 16, 3))
    assert "class_shares" not in generative_metrics.mode_coverage(pixels, colours, colours)
    assert generative_metrics.mode_coverage(pixels, colours, np.repeat(colours[:1], 50, axis=0))["collapsed"]


@pytest.mark.extended
def test_the_feature_extractor_is_that_of_the_data(extractor, monkeypatch):
    """Digits are not judged as garments, and colour images by more than their averaged pixels."""
    digits = Info("mnist", "", "", "", {}, {})
    assert extractor.name == "features of the zoo's fashion_mnist"
    try:
        LITE0.fetch()
    except DataError as reason:
        pytest.skip(str(reason))
    ours = generative_metrics.feature_extractor_for(digits, (28, 28, 1))
    assert ours.name == "features of EfficientNet-Lite0, stage 5"
    images = RANDOM.integers(0, 256, (4, 32, 32, 1)).astype("float32")
    grey = ours.features(images).numpy()
    assert grey.shape == (4, 112)
    np.testing.assert_allclose(ours.features(np.repeat(images, 3, axis=-1)).numpy(), grey, rtol=1e-4, atol=1e-4)

    def missing(name, model):
        raise DataError("no network")

    monkeypatch.setattr(backbones, "_pretrain_lite", missing)
    generative_metrics._of_photographs.cache_clear()
    assert generative_metrics.feature_extractor_for(digits, (28, 28, 1)).name == "pixels averaged to 8x8"


def test_evaluation_has_bounds_of_the_distance(trained):
    run = trained("dcgan")
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert list(evaluation["compared"]) == ["this model", "real halves", "Gaussian mixture", "noise"]
    distance, upper = (evaluation["compared"][row]["frechet_distance"] for row in ("this model", "noise"))
    assert evaluation["metrics"]["frechet_distance"] == pytest.approx(distance)
    assert evaluation["metrics"]["frechet_to_noise"] == pytest.approx(distance / upper)
    assert evaluation["remarks"] == json.loads((run / "summary.json").read_text())["remarks"]
    history = RunFolder(run).history()
    best = min(history, key=lambda row: row["val_frechet_distance"])["epoch"]
    assert json.loads((run / "summary.json").read_text())["best_epoch"] == best
    assert {p.stem for p in (run / "figures").glob("*.png")} == {"curves", "samples", "interpolations"}


def test_only_the_generator_is_exported_and_samples_are_the_same_everywhere(trained, tmp_path):
    run = trained("dcgan")
    contract = predictor.load(run / "bundle").contract
    (endpoint,) = contract.endpoints
    assert [t.name for t in endpoint.inputs] == ["noise"]
    assert endpoint.inputs[0].shape == (None, 4)
    images = {}
    for runtime in ("keras", "tflite"):
        cli("zoo.sample", run, "-o", tmp_path / "grid.png", "--seed", 1, "--count", 9, "--runtime", runtime)
        images[runtime] = np.asarray(Image.open(tmp_path / "grid.png")).astype(int)
    assert images["keras"].shape == (84, 84)
    assert np.abs(images["keras"] - images["tflite"]).max() <= 1


def test_latent_interpolation_is_spherical(trained):
    noise = image_generation.interpolate_noise(3, 50, seed=4)
    lengths = np.linalg.norm(noise, axis=1).reshape(3, image_generation.STEPS)
    assert (lengths > 0.9 * np.minimum(lengths[:, :1], lengths[:, -1:])).all()
    result = sample.run(trained("dcgan"), options={"interpolate": True, "count": 2}, seed=4)
    assert result.image.shape == (2 * 28, image_generation.STEPS * 28, 1)
