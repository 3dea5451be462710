"""Style transfer of Gatys on a real network and small photographs: losses, optimisation, command."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_image

from tests.zoo.test_cli import cli, error
from zoo import stylize
from zoo.evaluation import images
from zoo.modeling import perceptual_loss
from zoo.training import neural_style
from zoo.weights import vgg as weights_of_vgg
from zoo.weights.readers import hdf5
from zoo.weights.vgg import load_vgg

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two real photographs as files, the first with an EXIF orientation."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("china", "flower"):
        image = Image.fromarray(load_sample_image(f"{name}.jpg")).resize((96, 64))
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "china" else 1  # rotated: upright it is 64 wide and 96 high
        image.save(folder / f"{name}.jpg", exif=exif)
    return folder


@pytest.fixture(scope="module")
def vgg():
    return load_vgg("hed")[0]


@pytest.fixture(scope="module")
def objective(vgg, photographs):
    content, style = (images.read(photographs / f"{n}.jpg", 40) for n in ("china", "flower"))
    return neural_style.Objective(perceptual_loss.Objective(vgg, style, perceptual_loss.Weights()), content), content


@pytest.mark.extended
def test_the_balance_of_the_losses_does_not_depend_on_the_size(vgg, monkeypatch):
    """A tiled image has the losses of one tile, but for the edges, where convolutions pad by zeros."""
    objective = perceptual_loss.Objective(vgg, np.zeros((32, 32, 3), np.uint8), perceptual_loss.Weights())
    layers = perceptual_loss.CONTENT_LAYERS
    monkeypatch.setattr(objective, "features", lambda image: dict.fromkeys((*objective.style, *layers), image))
    objective.style = {name: tf.zeros((1, 3, 3)) for name in objective.style}
    tile, content = RANDOM.normal(size=(2, 1, 16, 16, 3)).astype("float32")
    tiled, tiled_content = (np.tile(x, (1, 3, 3, 1)) for x in (tile, content))
    small = objective.losses(tf.constant(tile), dict.fromkeys(layers, tile - content))
    large = objective.losses(tf.constant(tiled), dict.fromkeys(layers, tiled - tiled_content))
    for name in ("content", "style"):
        np.testing.assert_allclose(small[name], large[name], rtol=1e-4)


@pytest.mark.extended
@pytest.mark.parametrize("size", [(64, 64), (41, 35)])
def test_the_features_of_one_colour_are_equal_up_to_the_edges(vgg, size):
    """Zeros around the image would be an edge of it."""
    layers = ("block1_conv1", "block2_conv1", "block3_conv1", "block5_conv1")
    image = np.broadcast_to(np.float32([200, 120, 40]), (1, *size, 3))
    features = perceptual_loss.Features(vgg, layers)(image)
    for name in layers[:3]:
        centre = features[name][:, 4:5, 4:5]
        np.testing.assert_allclose(features[name], np.broadcast_to(centre, features[name].shape), rtol=1e-3, atol=0.05)
    assert [x.shape[1] for x in features.values()] == [size[0] // 2**i for i in (0, 1, 2, 4)]


def test_losses_are_those_of_the_paper():
    one, other = RANDOM.normal(size=(2, 3, 4, 5)).astype("float32"), RANDOM.normal(size=(2, 3, 4, 5)).astype("float32")
    loss = perceptual_loss.content_loss({"a": one, "b": one}, {"b": other})
    np.testing.assert_allclose(loss, 0.5 * ((one - other) ** 2).sum(axis=(1, 2, 3)), rtol=1e-5)

    def gram(features):
        flat = features.reshape(2, 12, 5)
        return np.einsum("npi,npj->nij", flat, flat)

    np.testing.assert_allclose(perceptual_loss.gram_matrix(one), gram(one) / 12, rtol=1e-4, atol=1e-5)
    expected = ((gram(one) - gram(other)) ** 2).sum(axis=(1, 2)) / (4 * 5**2 * 12**2)  # E of equation 4
    loss = perceptual_loss.style_loss({"a": one}, {"a": perceptual_loss.gram_matrix(other)})
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    steps = np.zeros((1, 2, 3, 1), "float32")
    steps[0, :, 1] = 2
    np.testing.assert_allclose(perceptual_loss.total_variation(steps), [2 * (4 + 4)])


@pytest.mark.extended
def test_the_features_are_those_of_the_package(vgg):
    values = weights_of_vgg.EDGES.read(hdf5.read)
    for name, stored in {"block1_conv1": "block1/layers/conv2d", "block3_conv2": "block3/layers/conv2d_1"}.items():
        np.testing.assert_array_equal(vgg.get_layer(name).get_weights()[0], values[f"{stored}/vars/0"])
    assert not vgg.trainable_variables


@pytest.mark.extended
def test_gradient_is_that_of_the_total(objective):
    function, content = objective
    image = content.astype("float32") + RANDOM.normal(0, 5, content.shape).astype("float32")
    losses, gradient = function(image)
    assert losses["total"] == pytest.approx(losses["content"] + 1e4 * losses["style"] + losses["variation"], rel=1e-4)
    direction = gradient / np.linalg.norm(gradient)
    ahead, behind = (function(image + s * direction)[0]["total"] for s in (0.5, -0.5))
    assert ahead - behind == pytest.approx(float(np.linalg.norm(gradient)), rel=0.1)


@pytest.mark.extended
@pytest.mark.parametrize("optimizer", stylize.OPTIMIZERS)
def test_the_loss_falls_and_the_result_is_deterministic(objective, optimizer):
    function, content = objective
    one, again = (neural_style.optimize_image(function, content, steps=8, optimizer=optimizer) for _ in range(2))
    assert len(one.losses) == 8
    assert min(x["total"] for x in one.losses) < 0.7 * one.losses[0]["total"]
    np.testing.assert_array_equal(one.image, again.image)
    assert one.image.shape == content.shape
    assert len(one.strip) == neural_style.STRIP
    np.testing.assert_array_equal(one.strip[0], content)
    np.testing.assert_array_equal(one.strip[-1], one.image)


@pytest.mark.extended
def test_a_nan_loss_is_an_error(objective):
    function, content = objective
    with pytest.raises(neural_style.ZooError, match="NaN or infinite at step 1"):
        neural_style.optimize_image(function, np.full(content.shape, np.nan), steps=3)


@pytest.mark.extended
def test_the_command_writes_image_and_strip(photographs, tmp_path):
    words = ["zoo.stylize", photographs / "china.jpg", "--style", photographs / "flower.jpg", "--steps", 3]
    process = cli(*words, "--size", 48, "-o", tmp_path / "out.png", "--json", "--features", "hed")
    result = json.loads(process.stdout)
    assert Image.open(result["out"]).size == (32, 48)  # upright
    assert Image.open(result["strip"]).size[1] == 48
    assert "fine-tuned for edges" in result["features"]
    assert result["best"]["total"] < result["first"]["total"]
    assert "step 3/3" in process.stderr


def test_original_colours_are_kept(photographs):
    one, other = (images.read(photographs / f"{n}.jpg", 48)[:32, :32] for n in ("china", "flower"))
    mixed = images.transfer_colours(one, other)
    chroma, light = (np.asarray(Image.fromarray(x).convert("YCbCr")).astype(int) for x in (one, other))
    got = np.asarray(Image.fromarray(mixed).convert("YCbCr")).astype(int)
    assert np.abs(got[..., 0] - light[..., 0]).mean() < 6  # colours that do not exist are clipped
    assert np.abs(got[..., 1:] - chroma[..., 1:]).mean() < 6


def test_wrong_usage_is_a_one_line_error(photographs, tmp_path):
    china, flower = photographs / "china.jpg", photographs / "flower.jpg"
    assert "end the name in .png or .jpg" in error("zoo.stylize", china, "--style", flower, "-o", tmp_path / "out.xyz")
    assert "there is no file" in error("zoo.stylize", tmp_path / "no.jpg", "--style", flower, code=3)
    assert "nothing to optimise" in error("zoo.stylize", china, "--style", flower, "--alpha", 0, "--beta", 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.extended
def test_style_weights_choose_layers(vgg, photographs, tmp_path):
    """All weight on one layer brings its Gram matrix nearer to that of the style than all weight on another."""
    content, style = (photographs / f"{name}.jpg" for name in ("china", "flower"))
    loss = perceptual_loss.Objective(vgg, images.read(style, 48), perceptual_loss.Weights())
    distances = []
    for i in (0, 3):
        weights = [float(i == j) for j in range(5)]
        stylize.run(content, style, tmp_path / "out.png", steps=12, size=48, features="hed", style_weights=weights)
        features = loss.features(tf.constant(images.read(tmp_path / "out.png", 48)[None], tf.float32))
        names = (perceptual_loss.STYLE_LAYERS[k] for k in (0, 3))
        distances.append([float(perceptual_loss.style_loss(features, {n: loss.style[n]})[0]) for n in names])
    assert distances[0][0] < distances[1][0]
    assert distances[1][1] < distances[0][1]


@pytest.mark.extended
def test_style_weights_have_a_form(photographs):
    for text in ("1,2", "1,1,1,1,-1", "0,0,0,0,0", "a,b,c,d,e", "1,1,1,1,nan"):
        line = error("zoo.stylize", str(photographs / "china.jpg"), "--style", "x.jpg", "--style-weights", text)
        assert "--style-weights takes 5 numbers" in line


def test_the_default_weights_are_equal():
    features = {name: RANDOM.normal(size=(1, 2, 2, 3)).astype("float32") for name in perceptual_loss.STYLE_LAYERS}
    grams = {name: RANDOM.normal(size=(1, 3, 3)).astype("float32") for name in features}
    weighted = perceptual_loss.style_loss(features, grams, perceptual_loss.Weights().layers)
    assert len(perceptual_loss.STYLE_LAYERS) == stylize.STYLE_LAYERS
    np.testing.assert_array_equal(weighted, perceptual_loss.style_loss(features, grams))
