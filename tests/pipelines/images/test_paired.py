"""Paired and unpaired images: derived from other datasets, own folders in every layout, TFDS, and CelebA."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines.datasets.garment_pairs import edges
from pipelines.sources import tfds
from tests.photographs import photographs, save
from tests.pipelines.conftest import FIXTURES

GARMENTS = FIXTURES / "fashion_mnist"
SPLITS = ("train", "validation", "test")


def pixels(encoded, channels=0):
    return tf.io.decode_image(encoded, channels, expand_animations=False).numpy()


@pytest.fixture(scope="module")
def crops():
    images = list(photographs().values())[:4]
    return [np.asarray(p.crop((9 * i, 7 * i, 9 * i + 40, 7 * i + 24))) for p in images for i in range(3)]


@pytest.mark.parametrize(("name", "shape"), [("edges_to_garments", (28, 28, 1)), ("low_to_high", (7, 7, 1))])
def test_pairs_of_garments_keep_the_splits_of_garments(name, shape, fashion, cache):
    data = pipelines.load(name, GARMENTS, cache)
    assert data.info.counts == fashion.info.counts
    assert data.info.is_own  # the files are not the published ones
    assert data.info.statistics == {"image_shape": [28, 28, 1]}
    for pair, garment in zip(data.test.take(20), fashion.test, strict=False):
        assert pair["b"] == garment["image"]
        a, b = pixels(pair["a"]), pixels(pair["b"])
        assert a.shape == shape
        if name == "low_to_high":
            np.testing.assert_allclose(a, b.reshape(7, 4, 7, 4, 1).mean((1, 3)), atol=0.51)


def test_edges_are_thin_lines_where_it_is_steep():
    square = np.zeros((28, 28, 1), np.uint8)
    square[8:20, 8:20] = 255
    lines = edges(tf.constant(square)).numpy()[..., 0]
    assert set(np.unique(lines)) == {0, 255}
    inside = lines[12, :] == 0
    assert inside.sum() == 2  # one pixel on each side
    assert set(np.flatnonzero(inside)) <= {7, 8, 19, 20}
    assert (lines[:6] == 255).all()
    assert (edges(tf.fill([28, 28, 1], tf.constant(90, tf.uint8))).numpy() == 255).all()


@pytest.mark.extended
def test_grey_is_the_grey_of_the_colours(cache, tmp_path):
    for i, image in enumerate(list(photographs().values())[:4]):
        image.save(tmp_path / f"{i}.png")
    data = pipelines.load("grey_to_colour", tmp_path, cache)
    assert data.info.counts == {"train": 32, "validation": 16, "test": 16}
    assert len(list(data.train)) == 32
    whole = pipelines.images.read(tmp_path / "0.png", 512, 512, 3, "crop")
    assert whole[128:256, :128].tobytes() in {pixels(e["b"]).tobytes() for split in SPLITS for e in data[split]}
    pair = next(iter(data.train))
    grey, colour = pixels(pair["a"]), pixels(pair["b"])
    assert (grey.shape, colour.shape) == ((128, 128, 1), (128, 128, 3))
    np.testing.assert_allclose(grey[..., 0], np.asarray(Image.fromarray(colour).convert("L")), atol=1)


def test_sneakers_and_boots_are_from_their_classes(fashion, cache):
    data = pipelines.load("sneakers_to_boots", GARMENTS, cache)
    for split in SPLITS:
        kinds = {label: set() for label in range(10)}
        for garment in fashion[split].as_numpy_iterator():
            kinds[garment["label"]].add(garment["image"])
        pairs = list(data[split].as_numpy_iterator())
        assert {e["a"] for e in pairs} == kinds[7]
        assert {e["b"] for e in pairs} == kinds[9]
        assert len(pairs) == data.info.counts[split] == max(len(kinds[7]), len(kinds[9]))


def test_halves_of_an_image_are_a_pair(crops, tmp_path, cache):
    for i, crop in enumerate(crops):
        save(tmp_path / ("train" if i < 8 else "val") / f"{i}.png", crop)
    data = pipelines.load("paired", tmp_path, cache)
    assert data.info.counts == {"train": 7, "validation": 4, "test": 1}
    pairs = {np.concatenate([pixels(e["a"]), pixels(e["b"])], 1).tobytes() for s in SPLITS for e in data[s]}
    assert pairs == {crop.tobytes() for crop in crops}


@pytest.mark.parametrize(
    "layout", ["photos/{name}|sketches/{name}", "A/{split}/{name}|B/{split}/{name}", "{split}A/{name}|{split}B/{name}"]
)
def test_pairs_are_matched_by_file_name(layout, crops, tmp_path, cache):
    for i, crop in enumerate(crops):
        paths = layout.format(split="train" if i < 8 else "test", name=f"{i}.png").split("|")
        save(tmp_path / paths[0], crop)
        if i != 3:
            save(tmp_path / paths[1], 255 - crop)
    data = pipelines.load("paired", tmp_path, cache)
    assert sum(data.info.counts.values()) == 11
    assert list(data.info.skipped.values()) == ["there is no file of this name in the other domain"]
    assert data.info.counts["test"] == (4 if "split" in layout else 2)
    for split in SPLITS:
        for pair in data[split]:
            np.testing.assert_array_equal(pixels(pair["b"]), 255 - pixels(pair["a"]))


@pytest.mark.parametrize("folders", [("trainA", "trainB", "testA", "testB"), ("horses", "zebras")])
def test_unpaired_sets_of_different_size(folders, crops, tmp_path, cache):
    for i, crop in enumerate(crops):
        a, b = (folders[2:] if i > 8 and len(folders) > 2 else folders)[:2]
        save(tmp_path / a / f"a{i}.png", crop)
        if i % 3 != 2:
            save(tmp_path / b / f"b{i}.png", 255 - crop)
    (tmp_path / folders[0] / "broken.png").write_bytes(b"\x89PNG broken")
    data = pipelines.load("unpaired", tmp_path, cache)
    assert list(data.info.skipped) == [f"{folders[0]}/broken.png"]
    a, b = ({pixels(e[side]).tobytes() for s in SPLITS for e in data[s]} for side in "ab")
    assert a == {crop.tobytes() for crop in crops}
    assert b == {(255 - crop).tobytes() for i, crop in enumerate(crops) if i % 3 != 2}
    contents = [{e["a"].numpy() for e in data[s]} for s in SPLITS]
    assert sum(map(len, contents)) == len(set.union(*contents))


@pytest.mark.parametrize("name", ["paired", "unpaired"])
def test_folders_without_two_domains_are_errors(name, crops, tmp_path, cache):
    with pytest.raises(pipelines.DataError, match="your own images: set --data-dir") as caught:
        pipelines.load(name)
    assert caught.value.exit_code == 3
    with pytest.raises(pipelines.DataError, match="does not exist; --data-dir needs a folder"):
        pipelines.load(name, tmp_path / "nowhere", cache)
    with pytest.raises(pipelines.DataError, match="--data-dir needs a folder with"):
        pipelines.load(name, tmp_path, cache)
    for i, crop in enumerate(crops[:4]):
        save(tmp_path / f"test{'AB'[i % 2]}" / f"{i // 2}.png", crop)
    with pytest.raises(pipelines.DataError, match="has images for test, but none for training"):
        pipelines.load(name, tmp_path, cache)


# === TFDS's own builders, filled with crops ===


@pytest.fixture(scope="module")
def tfds_folder(crops, tmp_path_factory):
    """A folder that holds a tiny cycle_gan (vangogh2photo) and a tiny celeb_a, prepared by TFDS."""
    root = tmp_path_factory.mktemp("tfds")

    def file(crop):
        content = io.BytesIO()
        Image.fromarray(crop).resize((178, 218)).save(content, "JPEG")
        content.seek(0)
        return content

    def prepared(name, make, splits, **config):
        def split_generators(self, _):
            return {s: ((i, make(self, file(crops[i]))) for i in range(n)) for s, n in splits.items()}

        parent = tfds.builder_class(name)
        derived = tfds.derived(parent, parent.__name__, {"_split_generators": split_generators, "name": name})
        tfds.prepare(derived(data_dir=root, **config), root / "downloads")

    def face(builder, image):
        features = builder.info.features
        return {
            "image": image,
            "landmarks": dict.fromkeys(features["landmarks"], 0),
            "attributes": dict.fromkeys(features["attributes"], True),
            "identity": {"Identity_No": 0},
        }

    prepared(
        "cycle_gan",
        lambda builder, image: {"image": image, "label": 0},
        {"trainA": 10, "trainB": 5, "testA": 3, "testB": 2},
        config="vangogh2photo",
    )
    prepared("celeb_a", face, {"train": 6, "validation": 2, "test": 3})
    return root


def test_cycle_gan_is_read_in_the_available_configuration(tfds_folder, cache):
    data = pipelines.load("cycle_gan", tfds_folder, cache)
    assert data.info.counts == {"train": 9, "validation": 1, "test": 3}
    assert "vangogh2photo" in data.info.source
    assert pixels(next(iter(data.test))["b"]).shape == (218, 178, 3)
    divided = pipelines.load("cycle_gan", tfds_folder, cache, split="60/20/20")
    assert divided.info.counts == {"train": 6, "validation": 2, "test": 2}


@pytest.mark.extended
def test_celeb_a_contains_images_only(tfds_folder, cache, crops, tmp_path):
    data = pipelines.load("celeb_a", tfds_folder, cache)
    assert data.info.counts == {"train": 6, "validation": 2, "test": 3}
    assert data.info.statistics == {"image_shape": [64, 64, 3]}
    assert set(next(iter(data.train))) == {"image"}
    for i, crop in enumerate(crops):
        save(tmp_path / f"{i}.png", crop)
    own = pipelines.load("celeb_a", tmp_path, cache)
    assert sum(own.info.counts.values()) == 12
    assert own.info.statistics == {"image_shape": [64, 64, 3]}
