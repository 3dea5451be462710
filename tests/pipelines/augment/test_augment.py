import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import augment, stateless_random
from pipelines.augment import ops

OPS = [augment.flip_horizontal, augment.shift, augment.cutout, augment.gaussian_noise]


@pytest.fixture(scope="module")
def images(fashion, decode):
    return next(iter(fashion.train.map(decode).batch(64)))[0]


@pytest.fixture(scope="module")
def keys():
    return stateless_random.example_keys(3, 1, tf.range(64, dtype=tf.int64))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_an_example_does_not_depend_on_its_batch(op, dtype, images, keys):
    images = tf.cast(images, dtype)
    whole = op(images, keys)
    assert whole.dtype == dtype
    assert whole.shape == images.shape
    order = np.random.default_rng(0).permutation(64)[:37]
    part = tf.function(op)(tf.gather(images, order), tf.gather(keys, order))
    assert (part.numpy() == whole.numpy()[order]).all()
    assert (op(images[5:6], keys[5:6]).numpy()[0] == whole.numpy()[5]).all()
    assert not (op(images, stateless_random.example_keys(3, 2, keys[:, 2])).numpy() == whole.numpy()).all()


def test_flip_mirrors_about_half(images, keys):
    flipped = augment.flip_horizontal(images, keys).numpy()
    mirrored = (flipped == images.numpy()[:, :, ::-1]).all((1, 2, 3))
    unchanged = (flipped == images.numpy()).all((1, 2, 3))
    assert (mirrored | unchanged).all()
    assert 16 < mirrored.sum() < 48


@pytest.mark.parametrize(
    ("fill", "mode"), [("constant", "constant"), ("nearest", "edge"), ("reflect", "reflect"), ("wrap", "wrap")]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_shift_is_a_crop_of_the_padded_image(fill, mode, channels, images, keys):
    images = np.repeat(images.numpy(), channels, axis=3)[:, :, :20] + np.arange(channels, dtype=np.uint8)
    shifted = augment.shift(tf.constant(images), keys, fraction=0.1, fill=fill).numpy()
    amounts = stateless_random.integers(keys, ops._SHIFT, 2, -2, 2).numpy()
    assert {tuple(pair) for pair in amounts} >= {(0, 0)} or len(amounts) > 20
    for image, moved, (down, right) in zip(images, shifted, amounts, strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode=mode)
        assert (padded[2 - down : 30 - down, 2 - right : 22 - right] == moved).all()


def test_cutout_erases_one_rectangle(images, keys):
    cut = augment.cutout(tf.fill([64, 28, 28, 1], 7.0), keys, fraction=0.3).numpy()[..., 0]
    for image in cut:
        rows, columns = np.nonzero(image == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        assert 4 <= height <= 8
        assert 4 <= width <= 8


def test_noise_has_the_stated_deviation_and_stays_in_range(images, keys):
    noisy = augment.gaussian_noise(tf.zeros([64, 28, 28, 1]), keys, stddev=8.0).numpy()
    assert noisy.std() == pytest.approx(8, rel=0.02)
    bright = augment.gaussian_noise(tf.fill([64, 28, 28, 1], tf.constant(255, tf.uint8)), keys).numpy()
    assert bright.min() > 200


def test_policies_do_not_change_labels_and_weights(images, keys):
    batch = (images, tf.range(64), tf.ones([64]))
    changed = augment.policy("flip,shift")(batch, keys)
    assert (changed[0].numpy() == augment.shift(augment.flip_horizontal(images, keys), keys).numpy()).all()
    assert changed[1] is batch[1]
    assert changed[2] is batch[2]
    assert augment.policy("none") is None


def test_unknown_policy_and_fill_are_errors():
    with pytest.raises(pipelines.DataError, match="did you mean shift"):
        augment.policy("shfit")
    with pytest.raises(pipelines.DataError, match="nearest"):
        augment.shift(tf.zeros([1, 4, 4, 1]), tf.zeros([1, 2], tf.int64), fill="mirror")
