"""Images of TFDS and of packages: their features, licences and folds, filled with crops of real photographs."""

import dataclasses
import io

import numpy as np
import pytest

import pipelines
from benchmarks import transfer
from pipelines.datasets import stamps, wallpapers
from pipelines.sources import packages, search, tfds
from tests.photographs import photographs, save
from zoobase.errors import DataError, SourceUnavailable

COUNTS = {"oxford_flowers102": {"train": 12, "validation": 6, "test": 6}, "tf_flowers": {"train": 40}}


def examples(name, count, start):
    images = list(photographs().values())[:5]
    for i in range(start, start + count):
        label = i % 5
        file, crop = io.BytesIO(), images[label].crop((i, i, i + 120, i + 90))
        crop.save(file, "JPEG")
        file.seek(0)
        example = {"image": file, "label": label}
        yield i, example | ({"file_name": f"{i}.jpg"} if name == "oxford_flowers102" else {})


@pytest.fixture(scope="module", params=COUNTS)
def folder(request, tmp_path_factory):
    name, root = request.param, tmp_path_factory.mktemp("tfds")

    def split_generators(self, _):
        return {s: examples(name, n, 50 * i) for i, (s, n) in enumerate(COUNTS[name].items())}

    parent = tfds.builder_class(name)
    derived = tfds.derived(parent, parent.__name__, {"_split_generators": split_generators, "name": name})
    tfds.prepare(derived(data_dir=root), root / "downloads")
    return name, root, derived


def test_a_tfds_folder_is_read_in_its_splits(folder, cache):
    name, root, _ = folder
    data = pipelines.load(name, data_dir=root, cache_dir=cache)
    expected = COUNTS[name] if len(COUNTS[name]) == 3 else {"train": 28, "validation": 6, "test": 6}
    assert data.info.counts == expected
    assert data.info.num_classes == {"oxford_flowers102": 102, "tf_flowers": 5}[name]
    assert sum(data.info.statistics["class_counts"].values()) == expected["train"]
    assert "TFDS folder" in data.info.source
    example = next(iter(data.train.as_numpy_iterator()))
    assert set(example) == {"image", "label"}
    assert example["image"].startswith(b"\xff\xd8")
    assert example["label"].dtype == np.int64
    first = [e["image"] for e in data.test.as_numpy_iterator()]
    assert first == [e["image"] for e in data.test.as_numpy_iterator()]


def test_a_tfds_download_is_prepared_once(folder, tmp_path, monkeypatch):
    name, root, derived = folder
    monkeypatch.setattr(tfds, "builder_class", lambda _: derived)  # the original needs a network
    monkeypatch.setattr(search, "check_url", lambda url: None)
    first, second = (pipelines.load(name, cache_dir=tmp_path) for _ in range(2))
    assert first.info.source == "TFDS download"
    assert second.info.source.startswith("prepared cache")
    for data in (first, second):
        expected = pipelines.load(name, data_dir=root, cache_dir=tmp_path)
        assert list(data.test.as_numpy_iterator()) == list(expected.test.as_numpy_iterator())
        assert data.info.sha256 == expected.info.sha256


def test_percentages_divide_the_training_set(folder, cache):
    name, root, _ = folder
    data = pipelines.load(name, data_dir=root, cache_dir=cache, split="50/25/25")
    assert sum(data.info.counts.values()) == COUNTS[name]["train"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder like that of the installed package, of six photographs a class and of stamps that are none."""
    folder, random = tmp_path / "stamps", np.random.default_rng(0)
    for below in stamps.CLASSES.values():
        for name in ("a", "b", "c", "more/a", "more/b", "more/c", "drawn", "a_mirror", "cartoon/d"):
            save(folder / below / f"{name}.png", random.integers(0, 256, (20, 30, 4), np.uint8))
        (folder / below / "drawn.svg").touch()
    installed = packages.Debian("no-such-package", str(folder))
    monkeypatch.setattr(stamps, "PHOTOGRAPHS", dataclasses.replace(stamps.PHOTOGRAPHS, origin=installed))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return folder


def test_stamps_that_are_drawn_are_left_out(package):
    data = pipelines.load("stamps")
    assert (data.info.name, data.info.licence) == ("stamps", "GPL-2")
    assert data.info.class_names == tuple(sorted(stamps.CLASSES))
    rows = [row for split in ("train", "validation", "test") for row in data[split].as_numpy_iterator()]
    assert len(rows) == sum(data.info.counts.values()) == 6 * len(stamps.CLASSES)
    contents = {(package / below / f"{name}.png").read_bytes() for below in stamps.CLASSES.values() for name in "abc"}
    assert contents < {row["image"] for row in rows}
    assert not any(part in row["file"].decode() for row in rows for part in ("drawn", "mirror", "cartoon"))
    assert pipelines.load("stamps").info.source.startswith("prepared cache")


def test_each_photograph_is_tested_in_one_fold(package):
    parts = transfer.folds(pipelines.load("stamps"))
    files = [
        [row["file"] for s in ("train", "validation", "test") for row in part[s].as_numpy_iterator()] for part in parts
    ]
    assert all(sorted(names) == sorted(files[0]) and len(set(names)) == len(names) for names in files)
    tested = [row["file"] for part in parts for row in part.test.as_numpy_iterator()]
    assert sorted(tested) == sorted(files[0])
    assert len({part.info.split for part in parts}) == transfer.FOLDS


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders of the two installed packages, with one picture more than is used; return them."""
    made, used, pictures = [], {}, iter(photographs().values())
    for attribute, names in (("BUDGIE", ("a", "b", "c", *wallpapers.STYLES)), ("LOMIRI", ("d", "e", "f"))):
        folder = tmp_path / attribute
        folder.mkdir()
        for name in (*names, "unused"):
            next(pictures).resize((64, 48)).save(folder / f"{name}.jpg")
        package = packages.Debian("no-such-package", str(folder), sha256="0")
        used[package] = {"photographs": [name for name in names if name not in wallpapers.STYLES]}
        used[package]["styles"] = [name for name in names if name in wallpapers.STYLES]
        made.append(folder)
    monkeypatch.setattr(wallpapers, "PICTURES", used)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return made


def test_photographs_and_styles_are_read_once(folders):
    data = pipelines.load("wallpapers")
    assert data.info.name == "wallpapers"
    assert sum(data.info.counts.values()) == 6
    splits = (data.train, data.validation, data.test)
    used = {example["image"] for split in splits for example in split.as_numpy_iterator()}
    files = [folders[0] / f"{name}.jpg" for name in "abc"] + [folders[1] / f"{name}.jpg" for name in "def"]
    assert used == {file.read_bytes() for file in files}
    for name in wallpapers.STYLES:
        assert wallpapers.style(name).read_bytes() == (folders[0] / f"{name}.jpg").read_bytes()
    (folders[0] / "a.jpg").unlink()
    assert pipelines.load("wallpapers").info.source.startswith("prepared cache")


def test_another_version_of_a_package_is_refused(folders, tmp_path):
    (folders[1] / "e.jpg").unlink()
    with pytest.raises(DataError, match=r"LOMIRI has no e\.jpg: it is of another version of the package"):
        pipelines.load("wallpapers")
    assert not list((tmp_path / "cache" / "wallpapers").glob("pictures*"))


def test_without_the_packages_the_error_names_the_way_out(folders, tmp_path, monkeypatch):
    def missing(*_):
        raise SourceUnavailable("no network")

    monkeypatch.setattr(packages, "fetch_debian", missing)
    for name in wallpapers.PICTURES:
        broken = {packages.Debian(name.package, str(tmp_path / "none")): {"photographs": ["a"]}}
        monkeypatch.setattr(wallpapers, "PICTURES", broken)
        with pytest.raises(DataError, match=r"wallpapers is not available; .*no network.*Try: .*--data-dir FOLDER"):
            pipelines.load("wallpapers")
