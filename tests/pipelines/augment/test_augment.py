"""Augmentation of images: each operation against its definition, settings of policies, mixup, and the preview."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines import augment, stateless_random
from pipelines.augment import affine, ops, policies
from tests import commands


@pytest.fixture(scope="module")
def grey(fashion, decode):
    return next(iter(fashion.train.map(decode).batch(48)))[0]


@pytest.fixture(scope="module")
def images(grey):
    return tf.concat([grey, 255 - grey, tf.roll(grey, 3, 1)], -1)[:, :, :24]


@pytest.fixture(scope="module")
def keys():
    return stateless_random.example_keys(3, 1, tf.range(48, dtype=tf.int64))


WHOLE = {"rotation": 30, "width_shift": 0.2, "height_shift": 0.1, "shear": 10, "zoom": 0.3, "flip": True}
OPS = [
    lambda images, keys: affine.warp(images, keys, **WHOLE),
    lambda images, keys: affine.adjust_light(images, keys, brightness=0.2, contrast=0.3),
    *(augment.flip_horizontal, augment.shift, augment.cutout, augment.gaussian_noise),
]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_an_example_does_not_depend_on_its_batch(op, dtype, images, keys):
    images = tf.cast(images, dtype)
    whole = op(images, keys)
    assert (whole.dtype, whole.shape) == (dtype, images.shape)
    order = np.random.default_rng(0).permutation(48)[:29]
    part = tf.function(op)(tf.gather(images, order), tf.gather(keys, order))
    assert (part.numpy() == whole.numpy()[order]).all()
    assert not (op(images, stateless_random.example_keys(3, 2, keys[:, 2])).numpy() == whole.numpy()).all()


def test_flip_mirrors_about_half(grey, keys):
    flipped = augment.flip_horizontal(grey, keys).numpy()
    flipped_images = (flipped == grey.numpy()[:, :, ::-1]).all((1, 2, 3))
    unchanged = (flipped == grey.numpy()).all((1, 2, 3))
    assert (flipped_images | unchanged).all()
    assert 8 < flipped_images.sum() < 40


@pytest.mark.parametrize(
    ("fill", "mode"), [("constant", "constant"), ("nearest", "edge"), ("reflect", "reflect"), ("wrap", "wrap")]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_shift_is_a_crop_of_the_padded_image(fill, mode, channels, grey, keys):
    images = np.repeat(grey.numpy(), channels, axis=3)[:, :, :20] + np.arange(channels, dtype=np.uint8)
    shifted = augment.shift(tf.constant(images), keys, fraction=0.1, fill=fill).numpy()
    amounts = stateless_random.integers(keys, ops._SHIFT, 2, -2, 2).numpy()
    assert {tuple(pair) for pair in amounts} >= {(0, 0)} or len(amounts) > 20
    for image, moved, (down, right) in zip(images, shifted, amounts, strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode=mode)
        assert (padded[2 - down : 30 - down, 2 - right : 22 - right] == moved).all()


def test_cutout_erases_one_rectangle(grey, keys):
    cut = augment.cutout(tf.fill([48, 28, 28, 1], 7.0), keys, fraction=0.3).numpy()[..., 0]
    for image in cut:
        rows, columns = np.nonzero(image == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        assert 4 <= height <= 8
        assert 4 <= width <= 8


def test_noise_has_the_stated_deviation_and_stays_in_range(grey, keys):
    noisy = augment.gaussian_noise(tf.zeros([48, 28, 28, 1]), keys, stddev=8.0).numpy()
    assert noisy.std() == pytest.approx(8, rel=0.02)
    bright = augment.gaussian_noise(tf.fill([48, 28, 28, 1], tf.constant(255, tf.uint8)), keys).numpy()
    assert bright.min() > 200


def test_policies_do_not_change_labels_and_weights(grey, keys):
    batch = (grey, tf.range(48), tf.ones([48]))
    changed = augment.policy("flip,shift")(batch, keys)
    assert (changed[0].numpy() == augment.shift(augment.flip_horizontal(grey, keys), keys).numpy()).all()
    assert changed[1] is batch[1]
    assert changed[2] is batch[2]
    assert augment.policy("none") is None


def test_an_unknown_fill_is_an_error():
    with pytest.raises(pipelines.DataError, match="nearest"):
        augment.shift(tf.zeros([1, 4, 4, 1]), tf.zeros([1, 2], tf.int64), fill="mirror")


@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_channels_are_warped_alike(dtype, images, keys):
    images = tf.cast(images, dtype)
    single = [affine.warp(channel, keys, fill="constant", value=9, **WHOLE) for channel in tf.split(images, 3, axis=-1)]
    joint = affine.warp(images, keys, fill="constant", value=9, **WHOLE)
    np.testing.assert_allclose(joint.numpy().astype(float), tf.concat(single, -1).numpy().astype(float), atol=1)


def test_zero_amounts_change_nothing(images, keys):
    assert (affine.warp(images, keys).numpy() == images.numpy()).all()
    assert (affine.adjust_light(images, keys).numpy() == images.numpy()).all()


@pytest.mark.parametrize(
    ("fill", "mode"), [("constant", 0), ("nearest", "edge"), ("reflect", "symmetric"), ("wrap", "wrap")]
)
def test_fill_modes(fill, mode, images, keys):
    shifted = affine.warp(images, keys, width_shift=0.25, fill=fill, value=9).numpy().astype(float)
    places = stateless_random.integers(keys, affine._WARP, 6, 0, 1023).numpy()[:, 2]
    for image, moved, place in zip(images.numpy().astype(float), shifted, places, strict=True):
        shift = 24 * np.linspace(-0.25, 0.25, 1024)[place]
        whole, part = int(np.floor(shift)), shift - np.floor(shift)
        options = {"mode": "constant", "constant_values": 9} if mode == 0 else {"mode": mode}
        padded = np.pad(image, ((0, 0), (8, 8), (0, 0)), **options)
        start = 8 - whole
        expected = (1 - part) * padded[:, start : start + 24] + part * padded[:, start - 1 : start + 23]
        assert np.abs(moved - expected).max() <= 1


def test_rotation_by_the_angle_and_mirroring(keys):
    dot = np.zeros((48, 41, 41, 1), np.float32)
    dot[:, 20, 35] = 255  # right of the centre
    rotated = affine.warp(tf.constant(dot), keys, rotation=90, fill="constant").numpy()[..., 0]
    angles = np.linspace(-90, 90, 1024)[stateless_random.integers(keys, affine._WARP, 6, 0, 1023).numpy()[:, 0]]
    for image, angle in zip(rotated, angles, strict=True):
        total = image.sum()
        y, x = (image.sum(1) @ np.arange(41) / total - 20, image.sum(0) @ np.arange(41) / total - 20)
        assert np.hypot(x, y) == pytest.approx(15, abs=0.5)
        assert abs((np.rad2deg(np.arctan2(-y, x)) - angle + 180) % 360 - 180) < 2
    flipped_images = affine.warp(tf.constant(dot), keys, flip=True).numpy()
    assert ((flipped_images == dot).all((1, 2, 3)) | (flipped_images == dot[:, :, ::-1]).all((1, 2, 3))).all()
    assert 8 < (flipped_images == dot).all((1, 2, 3)).sum() < 40


def test_zoom_grows_about_the_centre(keys):
    box = np.zeros((48, 61, 61, 1), np.float32)
    box[:, 20:41, 20:41] = 1
    sizes = affine.warp(tf.constant(box), keys, zoom=0.5, fill="constant").numpy().sum((1, 2, 3)) ** 0.5
    expected = 21 * (
        1 + np.linspace(-0.5, 0.5, 1024)[stateless_random.integers(keys, affine._WARP, 6, 0, 1023).numpy()[:, 4]]
    )
    assert np.abs(sizes - expected).max() < 1


def test_mixup_mixes_images_and_labels_alike(images, keys):
    labels = tf.range(48, dtype=tf.int64) % 5
    mixed, shares = ops.mixup((images, labels), keys, num_classes=5, alpha=0.4)
    assert mixed.dtype == images.dtype
    np.testing.assert_allclose(shares.numpy().sum(-1), 1, atol=1e-6)
    one = tf.one_hot(labels, 5).numpy()
    for i in range(48):
        if one[i].argmax() != one[i - 1].argmax():
            share = shares.numpy()[i, one[i].argmax()]
            expected = share * images[i].numpy().astype(float) + (1 - share) * images[i - 1].numpy()
            assert np.abs(mixed[i].numpy() - expected).max() <= 0.51


def test_settings_apply_the_operations(images, keys):
    batch = (images, tf.range(48), tf.ones(48))
    policy = augment.policy(
        "rotation=30,width_shift=0.2,height_shift=0.1,shear=10,zoom=0.3,flip,brightness=0.2,contrast=0.3"
    )
    changed = policy(batch, keys)
    assert (changed[0].numpy() == OPS[1](OPS[0](images, keys), keys).numpy()).all()
    assert changed[1] is batch[1]
    for name in policies.NAMED:
        assert augment.policy(name)(batch, keys)[0].shape == images.shape
    assert augment.policy("mixup=0.2,flip", 48)(batch, keys)[1].shape == (48, 48)
    assert policies.without_mixup("mixup=0.2,flip") == "flip"
    assert policies.without_mixup("mixup=0.2") == "none"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("shfit", "did you mean shift"),
        ("rotatoin=3,flip", "did you mean rotation"),
        ("rotation=a lot", "needs a number"),
        ("zoom=2", "outside 0 to 0.9"),
        ("flip,fill=mirror", "constant, nearest, reflect, wrap"),
        ("mixup=0.2", "labels"),
        ("flowerz", "did you mean flowers"),
    ],
)
def test_invalid_settings(settings, message):
    with pytest.raises(pipelines.DataError, match=message) as error:
        augment.policy(settings)
    assert error.value.exit_code == 2


@pytest.mark.extended
def test_the_preview_is_an_image(tmp_path, images):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(images[i].numpy()).save(tmp_path / "photos" / "a" / f"{i}.png")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")

    def run(*words, code=0):
        process = commands.run("-m", "pipelines", "preview", *words, timeout=300)
        assert process.returncode == code, process.stderr
        return process

    options = ["--augment", "flowers", "--views", 2, "--size", 32, "-o", tmp_path / "grid.png"]
    assert (
        "3 images" not in run(tmp_path / "photos", *options).stdout
    )  # three of the four files, of which one is not an image
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (3 * 36 - 4, 3 * 36 - 4, 3)
    assert (grid[:32, :32] != grid[:32, 36:68]).any()
    assert "no images" in run(_void(tmp_path), code=3).stderr


def _void(folder):
    (folder / "void").mkdir()
    return folder / "void"
