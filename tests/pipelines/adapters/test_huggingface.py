"""Datasets of Hugging Face by their form; with the library itself where it is installed."""

import dataclasses

import numpy as np
import pytest
from PIL import Image as Pillow

import pipelines


@dataclasses.dataclass
class Value:
    dtype: str


@dataclasses.dataclass
class ClassLabel:
    names: list[str]
    dtype: str = "int64"


class Image:
    pass


class Rows:
    """The part of `datasets.Dataset` that is used."""

    def __init__(self, features, columns):
        self.features, self.columns = features, columns

    def __getitem__(self, key):
        return self.columns[key] if isinstance(key, str) else {k: v[key] for k, v in self.columns.items()}

    def __iter__(self):
        return (self[i] for i in range(len(self.columns["label"])))


def texts(count):
    features = {"id": Value("int64"), "text": Value("string"), "label": ClassLabel(["neg", "pos"])}
    columns = {"id": list(range(count)), "text": [f"text {i}" for i in range(count)], "label": [0, 1] * (count // 2)}
    return features, columns


def test_texts_with_class_names():
    data = pipelines.from_huggingface({"train": Rows(*texts(20)), "test": Rows(*texts(6))})
    assert data.info.counts == {"train": 18, "validation": 2, "test": 6}
    assert data.info.class_names == ("neg", "pos")
    assert data.info.name == "huggingface/dataset"
    assert next(data.test.as_numpy_iterator()) == {"text": b"text 0", "label": 0}


def test_images_of_pillow_and_as_bytes():
    image = Pillow.fromarray(np.zeros((4, 5, 3), np.uint8))
    columns = {"picture": [image] * 20, "label": [0, 1] * 10}
    data = pipelines.from_huggingface(Rows({"picture": Image(), "label": ClassLabel(["a", "b"])}, columns))
    assert data.info.statistics["image_shape"] == [4, 5, 3]
    assert next(data.train.as_numpy_iterator())["image"].startswith(b"\x89PNG")


def test_other_objects_are_refused():
    features, columns = texts(20)
    del features["text"]
    with pytest.raises(pipelines.DataError, match="no column with images or texts; the columns are id, label"):
        pipelines.from_huggingface(Rows(features, columns))
    with pytest.raises(pipelines.DataError, match="no column genre"):
        pipelines.from_huggingface(Rows(*texts(20)), label="genre")
    with pytest.raises(pipelines.DataError, match="list is not a dataset of Hugging Face"):
        pipelines.from_huggingface([1])


@pytest.mark.needs("huggingface")
def test_the_library_itself(monkeypatch):
    import datasets

    # its hash of a table fails with some versions of dill and pyarrow
    monkeypatch.setattr(datasets.arrow_dataset, "generate_fingerprint", lambda _: "0" * 16)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    images = [Pillow.fromarray(np.full((4, 5, 3), i, np.uint8)) for i in range(20)]
    rows = datasets.Dataset.from_dict({"image": images, "label": [0, 1] * 10}, features=features)
    data = pipelines.from_huggingface(datasets.DatasetDict({"train": rows}))
    assert data.info.counts == {"train": 16, "validation": 2, "test": 2}
    assert data.info.statistics["image_shape"] == [4, 5, 3]
    _, columns = texts(20)
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["n", "p"])})
    rows = datasets.Dataset.from_dict({k: columns[k] for k in features}, features=features)
    assert pipelines.from_huggingface(rows).info.class_names == ("n", "p")
