"""A classifier of a few words is proven: its golden texts are made of the words that it knows."""

import csv
import random

from tests.zoo.conftest import fit

WORDS = {"positive": "great lovely superb fine happy nice", "negative": "awful poor sad bad dull weak"}


def test_a_classifier_of_twelve_words_is_published(tmp_path):
    """Texts of other words have the same logits, which was taken for an output that does not vary."""
    rng = random.Random(0)
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for i in range(400):
            label = list(WORDS)[i % 2]
            table.writerow([" ".join(rng.choices(WORDS[label].split(), k=4)), label])
    data = str(tmp_path / "texts.csv")
    summary = fit("sentiment", tmp_path / "run", {"recipe.epochs": 1}, data_dir=data, export=True)
    assert summary["metrics"]["accuracy"] == 1.0
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
