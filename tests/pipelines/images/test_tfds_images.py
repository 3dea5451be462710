"""The datasets of TFDS, by its own builders: their features, filled with crops of real photographs."""

import io

import numpy as np
import pytest

import pipelines
from pipelines.sources import search, tfds
from tests.photographs import photographs

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
