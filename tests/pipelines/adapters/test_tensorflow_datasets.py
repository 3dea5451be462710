"""TFDS datasets by their own builders, prepared in a folder: images, texts, and what is neither."""

import io

import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image

import pipelines
from pipelines.adapters import tensorflow_datasets as adapter
from pipelines.sources import search, tfds

FEATURES = tensorflow_datasets.features
LABEL = FEATURES.ClassLabel(names=["no", "yes"])
KINDS = {  # name -> features, supervised keys, counts by split
    "tiny_images": ({"picture": FEATURES.Image(shape=(4, 5, 3)), "label": LABEL}, ("picture", "label"), {"train": 40}),
    "tiny_texts": ({"sentence": FEATURES.Text(), "label": LABEL}, ("sentence", "label"), {"train": 40, "test": 10}),
    "tiny_numbers": ({"x": FEATURES.Scalar(np.float32), "label": LABEL}, None, {"train": 10}),
}


def value(name, i):
    if name == "tiny_texts":
        return f"sentence {i}"
    if name == "tiny_numbers":
        return float(i)
    file = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(file, "PNG")
    file.seek(0)
    return file


def derived(name):
    features, keys, counts = KINDS[name]

    class Builder(tensorflow_datasets.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tensorflow_datasets.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=FEATURES.FeaturesDict(features), supervised_keys=keys, homepage="https://example.org"
            )

        def _split_generators(self, _):
            return {split: self._generate_examples(count) for split, count in counts.items()}

        def _generate_examples(self, count):
            source = next(iter(features))
            yield from ((i, {source: value(name, i), "label": i % 2}) for i in range(count))

    Builder.name = name
    Builder.pkg_dir_path = None
    return Builder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    for name in KINDS:
        tfds.prepare(derived(name)(data_dir=root), root / "downloads")
    return root


def test_images_without_other_splits_are_divided(folder):
    data = pipelines.from_tfds("tiny_images", data_dir=folder)
    assert data.info.counts == {"train": 32, "validation": 4, "test": 4}
    assert data.info.statistics["image_shape"] == [4, 5, 3]
    assert data.info.class_names == ("no", "yes")
    assert (data.info.name, data.info.homepage) == ("tfds/tiny_images", "https://example.org")
    assert next(data.train.as_numpy_iterator())["image"].startswith(b"\x89PNG")
    assert pipelines.from_tfds("tiny_images", data_dir=folder, split="50/25/25").info.counts["test"] == 10


def test_texts_keep_the_split_that_is_there(folder):
    data = pipelines.from_tfds("tiny_texts", data_dir=folder)
    assert data.info.counts == {"train": 36, "validation": 4, "test": 10}
    assert set(data.train.element_spec) == {"text", "label"}


def test_the_download_is_prepared_once(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds, "builder_class", lambda _: derived("tiny_texts"))  # the real ones need a network
    monkeypatch.setattr(tfds, "raw_files", lambda _: {})
    monkeypatch.setattr(search, "check_url", lambda url: None)
    monkeypatch.setattr(adapter.tensorflow_datasets, "list_builders", lambda **_: ["tiny_texts"])
    first, second = (pipelines.from_tfds("tiny_texts", cache_dir=tmp_path) for _ in range(2))
    assert first.info.source == "TFDS download"
    assert "prepared cache" in second.info.source
    assert first.info.counts == second.info.counts


def test_what_is_not_labelled_images_or_texts_is_refused(folder, tmp_path):
    with pytest.raises(pipelines.DataError, match=r"'tiny_numbers' has no images or texts.*features are label, x"):
        pipelines.from_tfds("tiny_numbers", data_dir=folder)
    with pytest.raises(pipelines.DataError, match="has no TFDS dataset 'tiny_texts'"):
        pipelines.from_tfds("tiny_texts", data_dir=tmp_path)
    with pytest.raises(pipelines.DataError, match="unknown TFDS dataset 'cifar_10'; did you mean cifar10"):
        pipelines.from_tfds("cifar_10")
