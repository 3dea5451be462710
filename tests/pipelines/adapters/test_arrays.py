"""Arrays, tables and texts in memory as datasets."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines.adapters.arrays import from_python

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (100, 6, 5, 3), np.uint8)
LABELS = np.repeat([0, 1, 2], [60, 30, 10])


def rows(split):
    return list(split.as_numpy_iterator())


def test_rows_with_missing_cells_and_files_of_them(tmp_path):
    table = [{"size": None if i % 9 == 0 else i / 2, "kind": None if i % 7 == 0 else "ab"[i % 2]} for i in range(60)]
    prices = [float(i % 11) + 0.5 for i in range(60)]
    cells = ("".join("" if v is None else str(v) for v in (row["size"],)) + f",{row['kind'] or ''}" for row in table)
    lines = [f"{cell},{price}" for cell, price in zip(cells, prices, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["size,kind,price", *lines]))
    data = [pipelines.from_arrays(table, prices), pipelines.from_arrays(tmp_path / "a.csv", "price")]
    assert data[0].info.statistics["columns"] == data[1].info.statistics["columns"]
    assert data[0].info.statistics["columns"][1]["vocabulary"] == ["a", "b"]
    assert any(np.isnan(row["size"]) for row in rows(data[0].train))
    with pytest.raises(pipelines.DataError, match="the y of train, row 3, is missing"):
        pipelines.from_arrays(table, [*prices[:3], None, *prices[4:]])


def test_what_train_run_takes():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            return IMAGES[10 * index : 10 * index + 10], LABELS[10 * index : 10 * index + 10]

    examples = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    expected = pipelines.from_arrays(IMAGES, LABELS).info
    for given in ((IMAGES, LABELS), examples, examples.batch(7), Batches()):
        assert from_python(given).info == expected
    texts = tf.data.Dataset.from_tensor_slices(([f"text {i} \u00e9" for i in range(100)], LABELS)).batch(9)
    assert next(iter(rows(from_python(texts).train)))["text"].decode().endswith("\u00e9")
    for wrong, sentence in ((examples.repeat(), "are not finite"), (range(3), "has pairs")):
        with pytest.raises(pipelines.DataError, match=sentence):
            from_python(wrong)


def test_images_are_divided_with_the_share_of_each_class_and_keep_their_pixels():
    data = pipelines.from_arrays(IMAGES, LABELS, class_names=["a", "b", "c"])
    assert data.info.counts == {"train": 80, "validation": 10, "test": 10}
    assert data.info.class_names == ("a", "b", "c")
    assert data.info.statistics == {"class_counts": {"a": 48, "b": 24, "c": 8}, "image_shape": [6, 5, 3]}
    seen = []
    for part in ("train", "validation", "test"):
        for example in rows(data[part]):
            pixels = np.asarray(Image.open(io.BytesIO(example["image"])))
            seen.append((pixels.tobytes(), int(example["label"])))
    assert sorted(seen) == sorted((image.tobytes(), int(label)) for image, label in zip(IMAGES, LABELS, strict=True))
    assert [int(data[p].cardinality()) for p in ("train", "validation", "test")] == [80, 10, 10]


def test_the_seed_determines_the_division_and_the_digest():
    first, again, other = (pipelines.from_arrays(IMAGES, LABELS, seed=seed) for seed in (0, 0, 1))
    assert first.info == again.info
    assert rows(first.test) == rows(again.test) != rows(other.test)
    assert first.info.sha256 != other.info.sha256


def test_given_splits_are_kept_and_the_others_are_taken_from_train():
    test = (IMAGES[:7], LABELS[:7])
    data = pipelines.from_arrays(IMAGES, LABELS, test=test)
    assert data.info.counts == {"train": 90, "validation": 10, "test": 7}
    data = pipelines.from_arrays(IMAGES, LABELS, test=test, validation=test)
    assert data.info.counts == {"train": 100, "validation": 7, "test": 7}
    assert data.info.split == "given"


def test_texts_with_class_names_as_labels():
    data = pipelines.from_arrays(["schön", "bad"] * 10, ["yes", "no"] * 10)
    assert data.info.class_names == ("no", "yes")
    texts = {example["text"]: int(example["label"]) for example in rows(data.train)}
    assert texts == {"schön".encode(): 1, b"bad": 0}


def test_encoded_images_keep_their_bytes_and_their_common_size():
    def encoded(shape):
        stream = io.BytesIO()
        Image.fromarray(np.zeros(shape, np.uint8)).save(stream, "BMP")
        return stream.getvalue()

    data = pipelines.from_arrays([encoded((4, 5))] * 20, [0, 1] * 10)
    assert data.info.statistics["image_shape"] == [4, 5, 1]
    assert rows(data.test)[0]["image"] == encoded((4, 5))
    data = pipelines.from_arrays([encoded((4, 5)), encoded((5, 4))] * 10, [0, 1] * 10)
    assert data.info.statistics["image_shape"] is None
    with pytest.raises(pipelines.DataError, match="an encoded image cannot be read: cannot identify"):
        pipelines.from_arrays([b"no image"] * 20, [0, 1] * 10)


def test_a_table_of_numbers_and_categories_has_described_columns():
    table = {"size": np.arange(40.0), "town": ["Köln", "Bonn"] * 20}
    data = pipelines.from_arrays(table, np.arange(40) * 2.5)
    size, town = data.info.statistics["columns"]
    assert (size["kind"], town["vocabulary"]) == ("number", ["Bonn", "Köln"])
    assert data.info.statistics["target"]["name"] == "target"
    assert data.info.class_names is None
    assert rows(data.train)[0] == {"size": 0.0, "town": "Köln".encode(), "target": 0.0}


@pytest.mark.parametrize("y", [[0.0, 1.0] * 20, [0, 1] * 20, [False, True] * 20, ["0", "1"] * 20])
def test_the_target_of_a_table_is_a_class_if_it_is_one_of_two(y):
    data = pipelines.from_arrays(RNG.normal(size=(40, 3)), y)
    assert len(data.info.class_names) == 2
    assert [c["name"] for c in data.info.statistics["columns"]] == ["feature_0", "feature_1", "feature_2"]
    assert {float(example["target"]) for example in rows(data.train)} == {0.0, 1.0}


def test_features_by_name_without_labels():
    data = pipelines.from_arrays({"input": IMAGES, "target": IMAGES[..., :1]})
    assert data.info.features == {"input": "uint8 (6, 5, 3), PNG bytes", "target": "uint8 (6, 5, 1), PNG bytes"}
    assert data.info.class_names is None


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (IMAGES / 255, LABELS, {}, "image of train is float64: images are uint8"),
        (IMAGES[..., :2], LABELS, {}, "with 1 or 3 channels"),
        (np.zeros((9, 2, 2, 3, 3)), LABELS, {}, r"shape \(9, 2, 2, 3, 3\) and dtype float64: give images"),
        (IMAGES, LABELS[:9], {}, "train has 100 examples in x and 9 in y"),
        (IMAGES, np.eye(3)[LABELS], {}, r"shape \(100, 3\), not \(N,\); of one-hot rows give y.argmax"),
        (IMAGES, LABELS * 0.5, {}, "labels are class numbers or names"),
        (IMAGES, LABELS, {"class_names": ["a", "b"]}, "row 90: '2' is not one of 2 classes"),
        (IMAGES, LABELS - 1, {}, "row 0: '-1' is not one of 2 classes"),
        (IMAGES, LABELS * 2, {}, "the class '1' has no training examples"),
        (IMAGES[:5], LABELS[:5], {}, "5 examples are too few to be split 80/10/10"),
        (IMAGES, LABELS, {"split": "80/20"}, "three percentages"),
        (IMAGES, LABELS, {"test": (IMAGES[:, :5], LABELS)}, "the features of test differ from those of train"),
        (IMAGES, LABELS, {"test": (IMAGES[:0], LABELS[:0])}, "of shape|has no examples|1 or 3 channels"),
        ({"a": [1.0, 2.0], "b": [1.0]}, [0, 1], {}, "must have one length: a 2, b 1"),
        ({"a": [1.0, np.inf]}, [0, 1], {}, "a of train, row 1: inf is not a finite number"),
        ({"target": [1.0, 2.0]}, [0, 1], {}, "the column target is in x and in y"),
        (["text", None], [0, 1], {}, "text of train, row 1: None is not str"),
    ],
)
def test_arrays_that_are_no_dataset_are_refused_in_one_sentence(x, y, options, message):
    with pytest.raises(pipelines.DataError, match=message) as caught:
        pipelines.from_arrays(x, y, **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
