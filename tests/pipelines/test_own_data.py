"""Data that a user brings has nobody else's name, licence or homepage, whichever dataset reads it."""

import csv
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipelines
from pipelines.catalogue import own_name
from pipelines.dataset import OWN
from tests.photographs import save
from tests.plugins.tiers import only
from zoobase.errors import DataError

PUBLISHED_ONLY = {"breast_cancer", "digits", "mnist_5k", "shards", "tones"}  # these read no files of a user
FAMILY = {
    *("fashion_mnist", "mnist", "edges_to_garments", "sneakers_to_boots", "garment_boxes", "garment_scenes"),
    *("grey_to_colour", "low_to_high"),
}


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """The forms of data that datasets read, each called mine*."""
    root, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)

    def image(path, size=(40, 32)):
        save(path, rng.integers(0, 255, (*size, 3), np.uint8))

    def table(name, columns, rows):
        with (root / name).open("w", newline="") as file:
            csv.writer(file, delimiter="\t" if name.endswith("tsv") else ",").writerows([columns, *rows])

    for i in range(12):
        image(root / "mine_classes" / f"class{i % 2}" / f"{i}.png")
        for side in ("trainA", "trainB", "testA", "testB"):
            image(root / "mine_domains" / side / f"{i}.png")
        image(root / "mine_masks" / "images" / f"{i}.png")
        save(root / "mine_masks" / "masks" / f"{i}.png", (np.arange(40 * 32).reshape(40, 32) % 2).astype(np.uint8))
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 2, 3, 4]} for i in range(12)]
    listed = [{"id": i, "file_name": f"{i}.png", "height": 40, "width": 32} for i in range(12)]
    for entry in listed:
        image(root / "mine_boxes" / entry["file_name"])
    content = {"images": listed, "annotations": boxes, "categories": [{"id": 1, "name": "thing"}]}
    (root / "mine_boxes" / "annotations.json").write_text(json.dumps(content))
    for i in range(40):
        path = root / "mine_sounds" / f"word{i % 2}" / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(rng.integers(-(2**12), 2**12, 8_000, np.int16).tobytes())
    table("mine_texts.csv", ("text", "label"), [(f"text {i} of mine", "ab"[i % 2]) for i in range(80)])
    table("mine_pairs.tsv", ("source", "target"), [(f"word {i}", f"wort {i}") for i in range(80)])
    table("mine_rows.csv", ("a", "b", "y"), [(i, "uv"[i % 2], i * 2) for i in range(80)])
    table("mine_marks.csv", ("admit", "gre", "gpa", "rank"), [(i % 2, 300 + i, 3, 1 + i % 4) for i in range(80)])
    (root / "mine.txt").write_text("".join(f"HAMLET: line {i} of a text\n\n" for i in range(2000)))
    fixtures = Path(__file__).parent.parent / "fixtures"
    (root / "mine_hours.csv").write_text((fixtures / "bike_sharing.csv").read_text())
    return sorted(root.iterdir())


NAMES = [name for name in pipelines.list_datasets() if name not in PUBLISHED_ONLY | FAMILY]


READERS = {
    "fashion_mnist",
    "image_folder",
    "paired",
    "spoken_numbers",
    "movie_reviews",
    "dates",
    "mask_folder",
    "table",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("huggingface", marks=pytest.mark.needs("huggingface")),
        *only([name for name in NAMES if name != "huggingface"], READERS),
    ],
)
def test_what_a_user_brings_is_the_users(name, forms, tmp_path):
    read = []
    for path in forms:
        try:
            info = pipelines.load(name, data_dir=path, cache_dir=tmp_path).info
        except DataError:
            continue
        read.append(path.name)
        assert (info.name, info.licence, info.homepage) == (path.stem, OWN, ""), path
        assert "http" not in json.dumps(info.to_json())
    assert read, f"no form of data in this test is read by {name}"


def test_own_files_in_the_form_of_a_published_dataset(tmp_path):
    folder = Path(__file__).parent.parent / "fixtures" / "fashion_mnist"
    for name in ("fashion_mnist", "edges_to_garments", "sneakers_to_boots", "garment_boxes"):
        info = pipelines.load(name, data_dir=folder, cache_dir=tmp_path).info
        assert (info.name, info.licence, info.homepage) == ("own_fashion_mnist", OWN, "")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_folder_for_each_class_in_place_of_the_files_of_mnist(tmp_path, name):
    for number in range(20):
        save(tmp_path / "signs" / f"class{number % 2}" / f"{number}.png", Image.new("L", (9, 9), number))
    info = pipelines.load(name, data_dir=tmp_path / "signs", cache_dir=tmp_path / "cache").info
    assert (info.name, info.class_names) == ("signs", ("class0", "class1"))


def test_a_name_of_ones_own():
    assert own_name("/data/complaints.csv") == "complaints"
    assert own_name("s3://bucket/folder/claims.parquet") == "claims"
    assert own_name("movie_reviews.csv") == "own_movie_reviews"
