"""Splits of whole groups, in the order of time and of limited size."""

import csv
import io
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines import splits, tabular
from tests.photographs import save
from tests.pipelines.conftest import FIXTURES
from zoobase.errors import DataError

RANDOM = np.random.default_rng(0)


def photograph(seed):
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype("uint8")
    return Image.fromarray(small).resize((60, 48), Image.Resampling.BICUBIC)


@pytest.fixture
def patients(tmp_path):
    """Write four photographs of each of 30 patients, in two classes."""
    for patient in range(30):
        for i in range(4):
            save(
                tmp_path / "photos" / ("nevus", "melanoma")[(patient + i) % 2] / f"p{patient:02}_{i}.png",
                photograph(4 * patient + i),
            )
    return tmp_path / "photos"


def files_of(dataset):
    return {
        part: [example["file"].decode() for example in dataset[part].as_numpy_iterator()]
        for part in ("train", "validation", "test")
    }


def test_the_images_of_a_patient_are_in_one_split(patients, tmp_path):
    load = {"data_dir": patients, "cache_dir": tmp_path / "cache"}

    def patients_of(split):
        files = files_of(pipelines.load("image_folder", **load, split=split))
        return [{name.rpartition("/")[2][:3] for name in part} for part in files.values()]

    train, validation, test = patients_of(r"60/20/20 by name (p\d+)_")
    assert not train & validation
    assert not (train | validation) & test
    assert len(train | validation | test) == 30
    assert 4 <= len(test) <= 8
    train, _, test = patients_of("60/20/20")  # without it they are in several
    assert train & test


def test_groups_of_folders_keep_the_classes_in_proportion(tmp_path):
    for patient in range(40):
        for i, name in enumerate(("ill", "well", "well")):
            save(tmp_path / "photos" / name / f"patient{patient}" / f"{i}.png", photograph(3 * patient + i))
    dataset = pipelines.load("image_folder", tmp_path / "photos", tmp_path / "cache", "70/15/15 by folder")
    for part, files in files_of(dataset).items():
        share = np.mean([file.startswith("ill") for file in files])
        assert 0.2 < share < 0.5, part
    folders = [{file.rpartition("/")[0] for file in files} for files in files_of(dataset).values()]
    assert not folders[0] & folders[2]


def test_a_class_of_one_folder_is_in_train(tmp_path):
    folder = tmp_path / "photos"
    for number in range(24):
        save(folder / "well" / f"patient{number % 8}" / f"{number}.png", photograph(number))
        save(folder / "ill" / "patient9" / f"{number}.png", photograph(100 + number))
    load = {"data_dir": folder, "cache_dir": tmp_path / "cache"}
    files = files_of(pipelines.load("tf_flowers", **load, split="70/15/15 by folder"))  # as the guide says
    assert {part: sum("patient9" in file for file in names) for part, names in files.items()}["train"] == 24
    assert min(map(len, files.values())) > 0
    for patient in range(1, 8):
        shutil.rmtree(folder / "well" / f"patient{patient}")
    save(folder / "mild" / "patient3" / "0.png", photograph(200))
    with pytest.raises(DataError, match=r'no validation images .* by folder" needs several groups in a class'):
        pipelines.load("tf_flowers", **load, split="70/15/15 by folder")


def test_a_group_in_two_official_splits_is_left_out_of_training(tmp_path):
    for split, patients_of_split in (("train", range(12)), ("valid", range(12, 15)), ("test", range(11, 18))):
        for patient in patients_of_split:
            for name in ("a", "b"):
                save(
                    tmp_path / "photos" / split / name / f"p{patient}_{name}{split}.png",
                    photograph(hash((patient, name, split)) % 2**31),
                )
    dataset = pipelines.load("image_folder", tmp_path / "photos", tmp_path / "cache", r"official by name p(\d+)_")
    files = files_of(dataset)
    assert not any("p11_" in file for file in files["train"])
    assert any("p11_" in file for file in files["test"])
    assert dataset.info.skipped["train/a/p11_atrain.png"] == "11 is in test"
    assert not any("p12_" in file or "p14_" in file for file in files["validation"])


def test_masks_are_divided_by_groups(tmp_path):
    for patient in range(12):
        for i in range(3):
            save(tmp_path / "scans" / "images" / f"p{patient}_{i}.png", photograph(3 * patient + i))
            save(tmp_path / "scans" / "masks" / f"p{patient}_{i}.png", RANDOM.integers(0, 2, (48, 60)).astype("uint8"))
    dataset = pipelines.load("mask_folder", tmp_path / "scans", tmp_path / "cache", r"60/20/20 by name p\d+_")
    assert sum(dataset.info.counts.values()) == 36
    assert all(count % 3 == 0 for count in dataset.info.counts.values())


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "author", "date"])
        writer.writerows(rows)
    return path


@pytest.fixture
def letters(tmp_path):
    rows = [
        (f"letter {i} of {i % 25}", ("kind", "angry")[i % 3 == 0], f"author {i % 25}", f"20{i % 17 + 10}-01-02")
        for i in range(300)
    ]
    return table(tmp_path / "letters.csv", rows)


def test_the_texts_of_an_author_are_in_one_split(letters):
    dataset = pipelines.load("movie_reviews", letters, split="70/15/15 by column author")
    authors = [{e["text"].split()[-1] for e in dataset[part].as_numpy_iterator()} for part in ("train", "test")]
    assert not authors[0] & authors[1]
    assert sum(dataset.info.counts.values()) == 300


def test_the_test_split_is_the_last_in_time(letters):
    dataset = pipelines.load("movie_reviews", letters, split="70/15/15 by time date")
    years = {
        part: [int(e["text"].split()[1]) % 17 for e in dataset[part].as_numpy_iterator()] for part in ("train", "test")
    }
    assert max(years["train"]) <= min(years["test"])


@pytest.mark.parametrize(
    ("name", "split", "sentence"),
    [
        ("movie_reviews", "70/15/15 by folder", 'use "70/15/15 by column NAME" or "70/15/15 by time COLUMN"'),
        ("movie_reviews", "70/15/15 by column writer", "has no column 'writer'"),
        ("table", "70/15/15 by column author", "set task.groups=COLUMN or task.time=COLUMN"),
    ],
)
def test_what_data_does_not_have_is_refused(letters, name, split, sentence):
    with pytest.raises(DataError, match=sentence):
        pipelines.load(name, letters, split=split)


def test_published_data_and_invalid_expressions_are_refused(patients):
    with pytest.raises(DataError, match="only files, and texts of a table, of your own"):
        pipelines.load("digits", split="60/20/20 by folder")
    with pytest.raises(DataError, match="is not a regular expression"):
        splits.grouping("60/20/20 by name (", splits.FILES)
    with pytest.raises(DataError, match="has no such part"):
        pipelines.load("image_folder", patients, split=r"60/20/20 by name doctor(\d+)")
    with pytest.raises(DataError, match="2 groups cannot be divided"):
        pipelines.load("image_folder", patients, split="60/20/20 by folder")


# === Near duplicates ===


def encoded(image, form="PNG", **options):
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def labels(split):
    return [int(example["label"]) for example in split.as_numpy_iterator()]


def test_a_limit_keeps_every_class_and_the_order(capfd):
    whole = pipelines.load("digits")
    data = splits.limited(whole, 50)
    assert data.info.counts == {"train": 50, "validation": 50, "test": 50}
    assert [int(data[split].cardinality()) for split in data.info.counts] == [50, 50, 50]
    assert np.bincount(labels(data.train)).tolist() == [5] * 10  # the classes of digits have about the same size
    images = [example["image"] for example in whole.train.as_numpy_iterator()]
    places = [next(i for i, x in enumerate(images) if np.array_equal(x, e["image"])) for e in data.train]
    assert places == sorted(places)
    assert labels(splits.limited(whole, 50).train) == labels(data.train)
    assert splits.limited(whole, 10_000).info.counts == whole.info.counts
    assert splits.limited(whole, 0) is whole
    assert "could not parse" not in capfd.readouterr().err  # AutoGraph warns about two lambdas of one line
    with pytest.raises(pipelines.DataError, match="5 examples a split are too few for 10 classes"):
        splits.limited(whole, 5)


def test_a_rare_class_keeps_one_example_and_a_frequent_one_its_share():
    chosen = splits.stratified(np.repeat([3, 7, 9], [900, 99, 1]), 20)
    assert len(set(chosen)) == 20
    assert np.bincount(np.repeat([3, 7, 9], [900, 99, 1])[chosen])[[3, 7, 9]].tolist() == [17, 2, 1]


def test_rows_without_labels_stay_in_the_order_of_time():
    data = splits.limited(pipelines.load("bike_sharing", data_dir=FIXTURES / "bike_sharing.csv"), 30)
    days = tabular.collect(data.test)["days"]
    assert len(days) == 30
    assert (np.diff(days) >= 0).all()
    assert days[-1] - days[0] > 10  # of the whole split
    assert isinstance(data.test, tf.data.Dataset)


# === Groups travel with the examples ===


def test_examples_carry_their_groups(patients, letters, tmp_path):
    load = {"data_dir": patients, "cache_dir": tmp_path / "cache"}
    photographs = pipelines.load("image_folder", **load, split=r"60/20/20 by name (p\d+)_")
    for part, files in files_of(photographs).items():
        assert splits.groups_of(photographs, part).tolist() == [file.rpartition("/")[2][:3] for file in files]
    assert photographs.info.features[splits.GROUP] == r"name (p\d+)_"
    assert splits.groups_of(pipelines.load("image_folder", **load), "test") is None
    texts = pipelines.load("movie_reviews", letters, split="70/15/15 by column author")
    written = [example["text"].decode().split()[-1] for example in texts.test.as_numpy_iterator()]
    assert splits.groups_of(texts, "test").tolist() == [f"author {number}" for number in written]
    assert splits.GROUP not in pipelines.load("movie_reviews", letters, split="70/15/15 by time date").info.features


def test_groups_of_a_limited_split_are_those_of_its_examples(letters):
    texts = splits.limited(pipelines.load("movie_reviews", letters, split="70/15/15 by column author"), 20)
    written = [example["text"].decode().split()[-1] for example in texts.test.as_numpy_iterator()]
    assert splits.groups_of(texts, "test").tolist() == [f"author {number}" for number in written]
