"""Images with masks: own folders with every kind of defect, scenes of garments, the pets of TFDS, decoding."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines import stateless_random
from pipelines.augment import affine
from pipelines.datasets import garment_scenes
from pipelines.images import masks
from pipelines.sources import tfds
from tests.photographs import photographs
from tests.pipelines.conftest import FIXTURES

SPLITS = ("train", "validation", "test")


@pytest.fixture
def folder(tmp_path):
    """Twenty crops of a real photograph, and masks of three classes with ignored pixels: grey and palette PNG."""
    picture, random = photographs()["chelsea"], np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(20):
        picture.crop((9 * i, 7 * i, 9 * i + 40, 7 * i + 24)).save(tmp_path / f"images/{i}.jpg")
        ids = random.choice([0, 1, 2, 255], (24, 40)).astype(np.uint8)
        (tmp_path / f"masks/{i}.png").write_bytes(masks.encode(ids, colours=bool(i % 2)))
    return tmp_path


def test_a_folder_is_read_with_its_ids(folder, cache):
    data = pipelines.load("mask_folder", folder, cache)
    assert data.info.counts == {"train": 14, "validation": 3, "test": 3}
    assert data.info.class_names == ("0", "1", "2")
    assert data.info.statistics["image_shape"] == [24, 40, 3]
    assert data.info.skipped == {}
    originals = {(folder / f"images/{i}.jpg").read_bytes(): masks.read(folder / f"masks/{i}.png") for i in range(20)}
    for example in (e for split in SPLITS for e in data[split].as_numpy_iterator()):
        expected = originals.pop(example["image"])
        np.testing.assert_array_equal(pipelines.images.decode_mask(example["mask"], 24, 40), expected)
    assert not originals
    (folder / "classes.txt").write_text("road\nsky\ntree\nwater\n")
    assert pipelines.load("mask_folder", folder, cache).info.class_names == ("road", "sky", "tree", "water")


def test_the_splits_of_a_folder_are_kept(folder, cache):
    for i in range(20):
        for kind in ("images", "masks"):
            (path,) = (folder / kind).glob(f"{i}.*")
            target = folder / kind / ("train" if i < 12 else "valid" if i < 15 else "test") / path.name
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
    assert pipelines.load("mask_folder", folder, cache).info.counts == {"train": 12, "validation": 3, "test": 5}


def save(path, ids, **options):
    Image.fromarray(np.asarray(ids)).save(path, **options)


RANDOM = np.random.default_rng(0).integers(0, 3, (24, 40)).astype(np.uint8)
DEFECTS = {
    "the mask is damaged": lambda path: path.write_bytes(path.read_bytes()[:60]),
    "the mask has 20x12 pixels and the image 40x24": lambda path: save(path, RANDOM[:12, :20]),
    "the mask has the class 7, and classes.txt names 0 to 2": lambda path: save(path, RANDOM + np.uint8(5)),
    "there is no file of this name in masks": lambda path: path.unlink(),
    "the mask has colours": lambda path: save(path, np.stack([RANDOM] * 3, -1)),
    "the mask has ids from 0 to 2000": lambda path: save(path, RANDOM.astype(np.uint16) * 1000),
    "the mask is a JPEG file": lambda path: save(path, RANDOM, format="JPEG"),
}


@pytest.mark.parametrize("reason", DEFECTS)
def test_what_is_wrong_with_a_mask_is_one_line(reason, folder, cache, caplog):
    (folder / "classes.txt").write_text("a\nb\nc\n")
    DEFECTS[reason](folder / "masks/3.png")
    with caplog.at_level("INFO", "pipelines"):
        data = pipelines.load("mask_folder", folder, cache)
    ((file, why),) = data.info.skipped.items()
    assert file in ("images/3.jpg", "masks/3.png")
    assert reason in why
    assert sum(data.info.counts.values()) == 19
    assert any(why in message and "\n" not in message for message in caplog.messages)
    for i in (5, 7):
        DEFECTS[reason](folder / f"masks/{i}.png")
    with pytest.raises(pipelines.DataError, match=f"3 files in .* cannot be used, more than 10%: .*{reason}"):
        pipelines.load("mask_folder", folder, cache)


def test_other_folders_are_one_line_errors(folder, cache):
    def error(**options):
        with pytest.raises(pipelines.DataError) as caught:
            pipelines.load("mask_folder", **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "set --data-dir FOLDER, with the sub-folders images and masks" in error()
    assert "images has no folder images and no folder masks; it must be" in error(
        data_dir=folder / "images", cache_dir=cache
    )
    for i in range(20):
        save(folder / f"masks/{i}.png", np.where(RANDOM > 0, 255, 0).astype(np.uint8))
    assert "only the values 0, 255; 255 is ignored: save masks of two classes with 0 and 1" in error(data_dir=folder)
    (folder / "classes.txt").write_text("a\na\n")
    assert "must have from 2 to 255 different names" in error(data_dir=folder)


@pytest.mark.parametrize("fit", pipelines.images.FITS)
@pytest.mark.parametrize("size", [(12, 20), (31, 17), (48, 80)])
def test_image_and_mask_are_decoded_to_one_geometry(fit, size):
    ids = np.zeros((24, 40), np.uint8)
    ids[4:14, 6:30], ids[16:22, 20:36] = 1, 2
    image = Image.fromarray(np.stack([ids * 100] * 3, -1))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    pixels = pipelines.images.decode(stream.getvalue(), *size, 3, fit).numpy()[..., 0].astype(int)
    mask = pipelines.images.decode_mask(masks.encode(ids), *size, fit).numpy().astype(int)
    assert mask.shape == size
    assert set(np.unique(mask)) <= {0, 1, 2, 255}
    assert (255 in mask) == (fit == "pad" and size != (12, 20) and size != (48, 80))
    valid = mask != 255
    assert (pixels[~valid] == 0).all()
    assert (np.abs(pixels - 100 * mask)[valid] <= 50).mean() > 0.93


# === Datasets ===


@pytest.mark.extended
def test_scenes_hold_the_garments_that_their_masks_name(cache):
    data = pipelines.load("garment_scenes", FIXTURES / "fashion_mnist", cache)
    assert data.info.num_classes == 11
    first = list(data.train.take(12).as_numpy_iterator())
    for one, again in zip(first, data.train.take(12).as_numpy_iterator(), strict=True):
        assert one == again
    assert len({example["image"] for example in first}) == 12
    ids = np.stack([pipelines.images.decode_mask(e["mask"], 64, 64) for e in first])
    shares = np.bincount(ids.ravel(), minlength=11) / ids.size
    assert 0.5 < shares[0] < 0.9
    assert shares[1:].min() >= 0
    assert len(shares) == 11
    val = next(data.validation.as_numpy_iterator())
    assert val["image"] not in {e["image"] for e in first}


def test_a_pasted_garment_is_where_its_mask_is():
    garment = np.zeros((28, 28), np.uint8)
    garment[4:24, 8:20] = 255
    black = np.zeros((1, 256, 256, 3), np.uint8)
    for seed in range(20):
        image, mask, _ = garment_scenes.compose(black, np.random.default_rng(seed), garment[None], np.array([6]))
        assert set(np.unique(mask)) <= {0, 7}
        assert image.any(axis=-1)[mask[..., 0] == 0].sum() == 0
        assert image.any(axis=-1)[mask[..., 0] == 7].mean() > 0.95


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """The builder of TFDS, with crops of real photographs and masks as the publisher's."""
    root, parent = tmp_path_factory.mktemp("tfds"), tfds.builder_class("oxford_iiit_pet")
    picture = photographs()["chelsea"]

    def examples(count):
        for i in range(count):
            image, trimap = io.BytesIO(), io.BytesIO()
            picture.crop((i, i, i + 40, i + 30)).save(image, "JPEG")
            Image.fromarray(np.repeat(np.array([[1, 2, 3, 3, 2]], np.uint8), 30, 0).repeat(8, 1)).save(trimap, "PNG")
            image.seek(0)
            trimap.seek(0)
            box = {"ymin": 0.0, "xmin": 0.0, "ymax": 1.0, "xmax": 1.0}
            about = {"label": 0, "species": 0, "file_name": f"{i}.jpg", "head_bbox": tfds.tfds.features.BBox(**box)}
            yield i, {"image": image, "segmentation_mask": trimap, **about}

    def split_generators(self, _):
        return {"train": examples(20), "test": examples(5)}

    derived = tfds.derived(parent, parent.__name__, {"_split_generators": split_generators, "name": "oxford_iiit_pet"})
    tfds.prepare(derived(data_dir=root), root / "downloads")
    return root


def test_the_border_of_a_pet_is_ignored(pets, cache):
    data = pipelines.load("oxford_iiit_pet", pets, cache)
    assert data.info.counts == {"train": 17, "validation": 3, "test": 5}
    assert data.info.class_names == ("background", "pet")
    example = next(data.train.as_numpy_iterator())
    assert set(example) == {"image", "mask"}
    assert pipelines.images.decode_mask(example["mask"], 30, 40)[0, ::8].numpy().tolist() == [1, 0, 255, 255, 0]


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(pipelines.DataError, match="has no folder images and no folder masks"):
        pipelines.load("oxford_iiit_pet", tmp_path)


# === Augmentation ===

SAME = "rotation=25,zoom=0.3,shear=8,flip,fill=constant"
POLICY = "rotation=25,width_shift=0.2,height_shift=0.1,shear=8,zoom=0.3,flip,fill=constant"


@pytest.fixture
def labelled():
    """Images whose pixels are 80 times the class ids of their masks."""
    random = np.random.default_rng(0)
    ids = random.integers(0, 4, (24, 6, 8)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    keys = stateless_random.example_keys(3, 1, tf.range(24, dtype=tf.int64))
    return tf.constant((ids * 60 + 20)[..., None]), tf.constant(ids), keys


@pytest.mark.parametrize("fill", ["constant", "nearest", "reflect", "wrap"])
def test_geometry_moves_image_and_mask_together(fill, labelled):
    images, ids, keys = labelled
    moved, mask = pipelines.augment.mask_policy(POLICY.replace("constant", fill))((images, ids), keys)
    moved, mask = moved.numpy()[..., 0].astype(int), mask.numpy().astype(int)
    assert mask.dtype.kind == "i"
    assert set(np.unique(mask)) == {0, 1, 2, 3} | ({255} if fill == "constant" else set())
    valid = mask != 255
    assert (np.abs(moved - (60 * mask + 20))[valid] <= 30).mean() > 0.93  # between two classes, images are blended
    assert (mask != ids.numpy()).mean() > 0.3
    if fill == "constant":
        assert 0.05 < (~valid).mean() < 0.6
        assert (moved[~valid] < 20).mean() > 0.95


def test_nearest_neighbours_move_both_identically(labelled):
    _, ids, keys = labelled
    options = {"rotation": 25, "zoom": 0.3, "shear": 8, "flip": True, "fill": "constant", "value": 255}
    moved = affine.warp(ids[..., None], keys, interpolation="nearest", **options)[..., 0]
    _, mask = pipelines.augment.mask_policy(SAME)((ids[..., None], ids), keys)
    np.testing.assert_array_equal(mask, moved)
    with pytest.raises(pipelines.DataError, match='interpolation "cubic" is not one of bilinear, nearest'):
        affine.warp(ids[..., None], keys, interpolation="cubic")


@pytest.mark.parametrize("name", ["flip", "flip,shift"])
def test_whole_pixels_are_moved_exactly(name, labelled):
    images, ids, keys = labelled
    moved, mask = (part.numpy() for part in pipelines.augment.mask_policy(name)((images, ids), keys))
    valid = mask != 255
    np.testing.assert_array_equal(moved[..., 0][valid], (60 * mask + 20)[valid])
    assert (moved[..., 0][~valid] == 0).all()
    assert valid.all() == (name == "flip")


@pytest.mark.parametrize("name", ["brightness=0.3", "contrast=0.5", "noise=20", "cutout=0.4", "noise", "cutout"])
def test_light_and_noise_leave_masks_alone(name, labelled):
    images, ids, keys = labelled
    changed, mask = pipelines.augment.mask_policy(name)((images, ids), keys)
    np.testing.assert_array_equal(mask, ids)
    assert (changed.numpy() != images.numpy()).any()


def test_policies_that_masks_cannot_follow():
    assert pipelines.augment.mask_policy("none") is None
    with pytest.raises(pipelines.DataError, match="masks cannot be mixed"):
        pipelines.augment.mask_policy("flip,mixup=0.2")
    with pytest.raises(pipelines.DataError, match="did you mean"):
        pipelines.augment.mask_policy("flipp")
