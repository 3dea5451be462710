"""Texts with a label: raw strings in, the words that weighed, and a simple method beside the figure."""

import json

import numpy as np
import pytest

import pipelines
from pipelines import words
from tests.pipelines.test_words import TEXTS
from tests.zoo.conftest import FIXTURES
from zoo import predict

SPEECHES = FIXTURES / "speeches.csv"


@pytest.fixture(scope="module")
def bundle(trained):
    return trained("sentiment") / "bundle"


def test_raw_strings_and_token_ids_give_the_same_answer(bundle):
    import tensorflow as tf

    vocabulary = json.loads((bundle / "vocabulary.json").read_text())
    served = tf.saved_model.load(str(bundle / "saved_model" / "1"))
    length = served.signatures["serving_default"].structured_input_signature[1]["tokens"].shape[1]
    raw = served.signatures["text"](text=tf.constant(TEXTS))
    ids = np.stack([words.encode(text, words.index(vocabulary), length) for text in TEXTS])
    told = served.signatures["serving_default"](tokens=tf.constant(ids))
    np.testing.assert_allclose(raw["logits"], told["logits"], atol=1e-5)
    labels = (bundle / "labels.txt").read_text().split()
    assert [w.decode() for w in raw["label"].numpy()] == [labels[i] for i in told["logits"].numpy().argmax(-1)]


def test_predict_says_which_words_weighed_most(trained):
    rows = predict.run(trained("sentiment"), ["Come, you spirits, unsex me here", ""], top_k=2)[0]
    assert len(rows) == 4
    told = rows[0]["words"]
    assert {w["word"] for w in told} <= {"come", "you", "spirits", "unsex", "me", "here"}
    assert abs(told[0]["weight"]) >= abs(told[1]["weight"])


def test_the_simple_method_stands_beside(trained):
    compared = json.loads((trained("sentiment") / "evaluation.json").read_text())["compared"]
    assert set(compared) == {"this model", "TF-IDF logistic regression"}


def test_what_is_after_the_end_of_a_text_changes_nothing():
    import zoo

    model = zoo.build("sentiment", vocabulary_size=50, units=4, embedding_dim=8, pairs=100)
    short = np.array([[3, 4, 5]])
    longer = np.pad(short, ((0, 0), (0, 20)))
    np.testing.assert_allclose(model(short), model(longer), atol=1e-6)


def test_labels_of_ones_own(tmp_path):
    for label in ("good", "bad"):
        (tmp_path / label).mkdir()
        for i in range(30):
            (tmp_path / label / f"{i}.txt").write_text(f"{label} {i}")
    data = pipelines.load("movie_reviews", data_dir=tmp_path)
    assert data.info.class_names == ("bad", "good")
    assert sum(data.info.counts.values()) == 60
    assert pipelines.load("movie_reviews", data_dir=SPEECHES).info.class_names == ("lady", "macbeth")
    (tmp_path / "x.csv").write_text("text,kind\na,b\n")
    with pytest.raises(pipelines.DataError, match="no column 'label'"):
        pipelines.load("movie_reviews", data_dir=tmp_path / "x.csv")
    with pytest.raises(pipelines.DataError, match="two classes"):
        pipelines.load("movie_reviews", data_dir=tmp_path / "good")
