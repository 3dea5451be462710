"""Every kind of autoencoder: inputs, outputs, metrics and image_baselines."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import export
import zoo
from tests.zoo.conftest import DATA, fit
from tests.zoo.test_cli import cli, error
from zoo.core import plan
from zoo.evaluation import image_baselines
from zoo.evaluation.image_similarity import compare_images

KINDS = ("dense", "conv", "denoising", "variational")
FASHION = str(DATA["fashion_mnist"])
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 1)).astype("uint8")


def planned(kind, **settings):
    training_plan = plan.make_plan(
        "autoencoder",
        model_arguments={"kind": kind, "filters": (8, 8), "units": (16,)},
        data_dir=FASHION,
        settings=settings,
    )
    return training_plan, training_plan.load_data()


@pytest.fixture(scope="module")
def denoising(tmp_path_factory):
    """A finished run of a denoising autoencoder that has learned a little, with its bundle."""
    out = tmp_path_factory.mktemp("denoising") / "run"
    settings = {"recipe.epochs": 12, "recipe.batch_size": 25, "recipe.learning_rate": 5e-3}
    model_arguments = {"kind": "denoising", "latent_dim": 24, "filters": (8, 16)}
    fit("autoencoder", out, settings, model_arguments=model_arguments, export=True)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_encode_and_decode(kind):
    model = zoo.build("autoencoder", kind=kind, latent_dim=5, filters=(8, 8), units=(16,))
    if kind == "variational":
        mean, log_variance = model.encode(IMAGES)
        noise = np.random.default_rng(1).standard_normal((6, 5)).astype("float32")
        code, inputs = mean + np.exp(0.5 * log_variance) * noise, {"image": IMAGES, "noise": noise}
    else:
        code, inputs = model.encode(IMAGES), IMAGES
    assert code.shape == (6, 5)
    output = model(inputs)
    assert output.shape == IMAGES.shape
    np.testing.assert_allclose(output, model.decode(code), rtol=1e-5, atol=1e-3)
    assert float(np.min(output)) >= 0
    assert float(np.max(output)) <= 255


@pytest.mark.extended
@pytest.mark.parametrize("kind", KINDS)
def test_the_feed_adds_noise_for_denoising_and_variational_models(kind):
    training_plan, data = planned(kind)
    feed = training_plan.feed(data, "train", training=True)
    x, y, *_ = next(iter(feed.batches(20)))
    again = next(iter(feed.batches(20)))[0]
    other = next(iter(feed.epochs(20, seed=1, stop=1)))[0]
    if kind == "variational":
        np.testing.assert_array_equal(x["noise"], again["noise"])
        assert x["noise"].shape == (20, 16)
        assert not np.array_equal(x["noise"], other["noise"])
        x, again = x["image"], again["image"]
    np.testing.assert_array_equal(x, again)
    difference = x.numpy().astype(float) - y.numpy()
    if kind != "denoising":
        assert not difference.any()
        return
    assert x.numpy().min() >= 0
    assert x.numpy().max() <= 255
    middle = difference[(y.numpy() > 100) & (y.numpy() < 155)]  # where clipping hardly bites
    assert middle.std() == pytest.approx(0.3 * 255, rel=0.1)
    assert middle.mean() == pytest.approx(0, abs=12)


def test_sigma_is_a_setting_of_the_task():
    training_plan, data = planned("denoising", **{"task.sigma": "0.0"})
    x, y, *_ = next(iter(training_plan.feed(data, "test").batches(20)))
    np.testing.assert_array_equal(x, y)


def test_similarity_equals_the_definitions():
    noisy = np.clip(IMAGES + np.random.default_rng(2).normal(0, 20, IMAGES.shape), 0, 255)
    metrics = compare_images(IMAGES, noisy, batch=4)
    assert metrics["mse"] == pytest.approx(np.mean(((IMAGES - noisy) / 255) ** 2), rel=1e-5)
    pairs = [(a[..., 0].astype(float), b[..., 0]) for a, b in zip(IMAGES, noisy, strict=True)]
    psnr = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    assert metrics["psnr_db"] == pytest.approx(np.mean(psnr), abs=1e-3)
    like_wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = [structural_similarity(a, b, data_range=255, **like_wang) for a, b in pairs]
    assert metrics["ssim"] == pytest.approx(np.mean(ssim), abs=0.02)  # the two treat borders otherwise
    assert compare_images(IMAGES, IMAGES)["ssim"] == pytest.approx(1)
    assert "ssim" not in compare_images(IMAGES[:, :8, :8], noisy[:, :8, :8])


@pytest.mark.extended
def test_pca_errors_fall_with_the_size_and_the_probe_uses_the_codes():
    _, data = planned("conv")
    images, labels = zip(*((e["image"], e["label"]) for e in data.train.as_numpy_iterator()), strict=True)
    images = np.stack([tf.io.decode_png(i).numpy() for i in images])
    errors = [
        compare_images(images, image_baselines.reconstruct(image_baselines.fit_pca(images, size), images))["mse"]
        for size in (2, 32, 10_000)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-4  # as many components as images: lossless
    codes, labels = image_baselines.encode(image_baselines.fit_pca(images, 32), images), np.array(labels)
    right = image_baselines.linear_probe(codes[:400], labels[:400], codes[400:], labels[400:])
    shuffled = np.random.default_rng(0).permutation(labels[:400])
    assert right > 0.6 > 0.3 > image_baselines.linear_probe(codes[:400], shuffled, codes[400:], labels[400:])


@pytest.mark.proof
def test_a_run_has_the_comparison_and_the_figures(denoising):
    evaluation = json.loads((denoising / "evaluation.json").read_text())
    assert set(evaluation["compared"]) == {"this model", "PCA", "noisy input"}
    ours, noisy = evaluation["compared"]["this model"], evaluation["compared"]["noisy input"]
    assert ours["mse"] == evaluation["metrics"]["mse"]
    assert evaluation["metrics"]["psnr_gain_db"] == pytest.approx(ours["psnr_db"] - noisy["psnr_db"])
    assert evaluation["metrics"]["psnr_gain_db"] > 2
    assert evaluation["metrics"]["linear_probe_accuracy"] > 0.4
    assert {p.stem for p in (denoising / "figures").glob("*.png")} == {
        *("curves", "noisy_and_clean", "latent_space", "interpolations")
    }


@pytest.mark.proof
def test_the_bundle_of_a_plain_one_has_the_three_endpoints(denoising):
    parity = json.loads((denoising / "bundle" / "parity.json").read_text())
    assert parity["verdict"] == "pass"
    for runtime in ("saved_model", "tflite"):
        model = export.load(denoising / "bundle", runtime)
        image = IMAGES[:1].astype("float32")
        latent = model["encode"](image=image)["latent"]
        assert latent.shape == (1, 24)
        rebuilt = model["decode"](latent=latent)["reconstruction"]
        np.testing.assert_allclose(model["reconstruct"](image=image)["reconstruction"], rebuilt, atol=1e-2)


@pytest.mark.extended
def test_predict_writes_a_grid_of_pairs(denoising, tmp_path):
    for i, image in enumerate(IMAGES[:3]):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{i}.png")
    files = sorted(tmp_path.glob("?.png"))
    process = cli("zoo.predict", denoising, *files, "-o", tmp_path / "grid.png", "--json")
    rows = json.loads(process.stdout)["predictions"]
    assert set(rows[0]) == {"input", "mse", "psnr_db", "ssim"}
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (3 * 28, 2 * 28)
    np.testing.assert_array_equal(grid[:28, :28], IMAGES[0, ..., 0])


@pytest.mark.extended
def test_sampling_needs_a_variational_model(denoising):
    assert "--kind variational" in error("zoo.sample", denoising, code=3)


def test_a_classifier_writes_no_image(trained, tmp_path):
    Image.fromarray(IMAGES[0, ..., 0]).save(tmp_path / "a.png")
    words = ["zoo.predict", trained("fashion_mnist"), tmp_path / "a.png", "-o", tmp_path / "out.png"]
    assert "does not predict images" in error(*words, code=3)
    assert not (tmp_path / "out.png").exists()
