"""Folders of images: real garments as PNG and JPEG, in every layout, valid and damaged."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import pipelines
from pipelines import DataError
from pipelines.images import index, stratified_split

CLASSES = ("Bag", "Coat", "Dress")


@pytest.fixture(scope="module")
def garments(fashion, decode, tmp_path_factory):
    """A folder of three classes: PNG and JPEG, grey and RGBA, of two sizes."""
    root = tmp_path_factory.mktemp("photos")
    count = dict.fromkeys(CLASSES, 0)
    for image, label in fashion.train.map(decode).as_numpy_iterator():
        name = fashion.info.class_names[label]
        if name in count and count[name] < 20:
            i, garment = count[name], Image.fromarray(image[..., 0])
            (root / name).mkdir(exist_ok=True)
            if i % 3 == 0:
                garment.save(root / name / f"{i}.png")
            elif i % 3 == 1:
                garment.convert("RGBA").resize((61, 47)).save(root / name / f"{i}.png")
            else:
                garment.resize((90, 70)).save(root / name / f"{i}.jpg")
            count[name] += 1
    return root


@pytest.fixture
def photos(garments, tmp_path):
    return shutil.copytree(garments, tmp_path / "photos")


def load(folder, cache, **options):
    return pipelines.load("image_folder", data_dir=folder, cache_dir=cache, **options)


def files_by_split(data):
    return {
        split: sorted(example["file"].decode() for example in data[split].as_numpy_iterator())
        for split in ("train", "validation", "test")
    }


def message(folder, cache):
    with pytest.raises(DataError) as caught:
        load(folder, cache)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_image_occurs_once_with_its_label(photos, cache):
    data = load(photos, cache)
    assert data.info.class_names == CLASSES
    assert data.info.counts == {"train": 42, "validation": 9, "test": 9}
    assert data.info.statistics["class_counts"] == dict.fromkeys(CLASSES, 14)
    split_of = {}
    for split in ("train", "validation", "test"):
        for example in data[split].as_numpy_iterator():
            file = example["file"].decode()
            assert file.startswith(CLASSES[example["label"]])
            assert example["image"] == (photos / file).read_bytes()
            split_of[file] = split
    assert len(split_of) == 60
    assert data.info == pipelines.Info.from_json(json.loads(json.dumps(data.info.to_json())))


def test_splits_depend_on_contents_and_on_nothing_else(photos, cache, tmp_path):
    before = load(photos, cache)
    for path in list(photos.rglob("*.*")):
        path.rename(path.with_name("renamed-" + path.name))
    after = load(shutil.move(photos, tmp_path / "elsewhere"), cache)
    assert before.info.sha256 == after.info.sha256
    (tmp_path / "elsewhere" / "Bag" / "copy.png").write_bytes((tmp_path / "elsewhere/Bag/renamed-0.png").read_bytes())
    files = files_by_split(load(tmp_path / "elsewhere", cache))
    splits = [split for split, files in files.items() if {"Bag/copy.png", "Bag/renamed-0.png"} & set(files)]
    assert len(splits) == 1


def test_percentages_divide_every_class(photos, cache):
    data = load(photos, cache, split="50/25/25")
    assert data.info.counts == {"train": 30, "validation": 15, "test": 15}
    assert set(data.info.statistics["class_counts"].values()) == {10}


@pytest.mark.parametrize(("valid", "test"), [("valid", "test"), ("val", None), (None, "test")])
def test_splits_of_the_folder_are_used_and_missing_ones_are_taken_from_train(photos, cache, tmp_path, valid, test):
    root = tmp_path / "split"
    shutil.copytree(photos, root / "train")
    for name in filter(None, (valid, test)):
        for kind in CLASSES:
            (root / name / kind).mkdir(parents=True)
            for path in sorted((root / "train" / kind).iterdir())[:3]:
                shutil.move(path, root / name / kind)
    files = files_by_split(load(root, cache))
    for split, name in (("validation", valid), ("test", test)):
        assert files[split]
        assert all(file.startswith(f"{name or 'train'}/") for file in files[split])
    assert sum(map(len, files.values())) == 60


def test_an_archive_unpacked_one_level_too_deep(photos, cache, tmp_path):
    shutil.move(photos, tmp_path / "outer" / "flower_photos")
    assert load(tmp_path / "outer", cache).info.class_names == CLASSES


def test_damaged_files_are_named_and_skipped(photos, cache):
    whole = (photos / "Coat" / "2.jpg").read_bytes()
    (photos / "Bag" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "Bag" / "notes.txt").write_text("no image")
    (photos / "Coat" / "empty.png").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(photos / "Coat" / "modern.webp")
    (photos / "Coat" / ".DS_Store").write_bytes(b"left behind")
    data = load(photos, cache)
    assert dict(data.info.skipped) == {
        "Bag/half.jpg": "damaged",
        "Bag/notes.txt": "not an image",
        "Coat/empty.png": "empty",
        "Coat/modern.webp": "a WEBP file; convert it to JPEG or PNG",
    }
    assert sum(data.info.counts.values()) == 60


def test_the_same_image_in_two_classes_or_splits_is_skipped(photos, cache, tmp_path):
    shutil.copy(photos / "Bag" / "0.png", photos / "Coat" / "bag.png")
    skipped = load(photos, cache).info.skipped
    assert skipped == {
        "Bag/0.png": "the same image is in the class Coat",
        "Coat/bag.png": "the same image is in the class Bag",
    }
    root = tmp_path / "split"
    shutil.copytree(photos, root / "train")
    for kind in CLASSES:
        (root / "test" / kind).mkdir(parents=True)
        shutil.copy(root / "train" / kind / "3.png", root / "test" / kind / "again.png")
    data = load(root, cache)
    assert {f: why for f, why in data.info.skipped.items() if "3.png" in f} == {
        f"train/{kind}/3.png": "the same image is in test" for kind in CLASSES
    }
    assert files_by_split(data)["test"] == [f"test/{kind}/again.png" for kind in CLASSES]


def test_folders_that_cannot_be_used_for_training(photos, cache, tmp_path):
    assert "there is no folder" in message(tmp_path / "nowhere", cache)
    assert "is a file" in message(photos / "Bag" / "0.png", cache)
    assert "no sub-folders" in message(photos / "Bag", cache)
    (tmp_path / "void").mkdir()
    assert "no files" in message(tmp_path / "void", cache)
    (photos / "Shirt").mkdir()
    assert "the class 'Shirt' has no images" in message(photos, cache)
    (photos / "Shirt" / "0.png").write_bytes(b"x")
    assert "no image of the class 'Shirt'" in message(photos, cache)
    shutil.rmtree(photos / "Shirt")
    for i in range(8):
        (photos / "Bag" / f"bad{i}.png").write_bytes(b"x" * (i + 1))
    assert "8 of 68 files" in message(photos, cache)
    shutil.rmtree(photos / "Bag")
    shutil.rmtree(photos / "Coat")
    assert "the one class 'Dress'" in message(photos, cache)
    with pytest.raises(DataError, match="--data-dir"):
        pipelines.load("image_folder")


def test_a_class_of_test_that_train_does_not_have(photos, cache, tmp_path):
    root = tmp_path / "split"
    shutil.copytree(photos, root / "train")
    shutil.copytree(photos, root / "test")
    shutil.rmtree(root / "train" / "Dress")
    assert "the class 'Dress' has no images in" in message(root, cache)
    (root / "train").rename(root / "valid")
    assert "has valid and test, but no train" in message(root, cache)


def test_files_are_checked_once(photos, cache, monkeypatch):
    load(photos, cache)
    monkeypatch.setattr(index, "_examine", lambda path: pytest.fail(f"{path} was read again"))
    load(photos, cache)
    Image.new("L", (5, 5), 77).save(photos / "Bag" / "0.png")
    with pytest.raises(pytest.fail.Exception, match=r"Bag/0.png"):
        load(photos, cache)


def test_an_interrupted_check_continues(photos, cache, monkeypatch):
    """The last file of the folder cannot be examined the first time; the others are not examined again."""
    monkeypatch.setattr(index, "_CHUNK", 16)
    monkeypatch.setattr(index, "_INTERVAL", 0)
    examine, examined = index._examine, []

    def interrupted(name):
        if not examined and "Dress/9.png" in name:
            raise KeyboardInterrupt
        return examine(name)

    monkeypatch.setattr(index, "_examine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(photos, cache)
    monkeypatch.setattr(index, "_examine", lambda name: examined.append(name) or examine(name))
    assert load(photos, cache).info.counts == {"train": 42, "validation": 9, "test": 9}
    assert 0 < len(examined) <= 16 + 60 % 16


def test_small_classes_stay_in_train(photos):
    images = [index.ImageFile(photos / str(i), str(i), "") for i in range(2)]
    parts = stratified_split.divide(photos, {"": {"rare": images}}, (70, 15, 15), {})
    assert [len(parts[s]) for s in ("train", "validation", "test")] == [2, 0, 0]


def test_the_order_is_not_the_order_of_the_classes(photos, cache):
    labels = [int(e["label"]) for e in load(photos, cache).train.as_numpy_iterator()]
    assert sorted(labels) != labels
    assert np.count_nonzero(np.diff(labels)) > 15
