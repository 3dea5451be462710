"""Text classification: the text endpoint, explanations, and the TF-IDF baseline."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from export.contract import Contract
from export.parity.cases import read_golden
from export.parity.golden import REAL_ROWS
from pipelines.text import words
from tests.pipelines.text.test_words import TEXTS
from tests.zoo.conftest import FIXTURES, fit
from zoo import predict
from zoo.evaluation import text_baselines
from zoo.export import SENTENCE

SPEECHES = FIXTURES / "speeches.csv"


@pytest.fixture(scope="module")
def bundle(trained):
    return trained("sentiment") / "bundle"


def test_raw_strings_and_token_ids_give_the_same_outputs(bundle):
    vocabulary = json.loads((bundle / "vocabulary.json").read_text())
    served = tf.saved_model.load(str(bundle / "saved_model" / "1"))
    length = served.signatures["serving_default"].structured_input_signature[1]["tokens"].shape[1]
    raw = served.signatures["text"](text=tf.constant(TEXTS))
    ids = np.stack([words.encode(text, words.index(vocabulary), length) for text in TEXTS])
    outputs = served.signatures["serving_default"](tokens=tf.constant(ids))
    np.testing.assert_allclose(raw["logits"], outputs["logits"], atol=1e-5)
    labels = (bundle / "labels.txt").read_text().split()
    assert [w.decode() for w in raw["label"].numpy()] == [labels[i] for i in outputs["logits"].numpy().argmax(-1)]


def test_golden_texts_are_sentences_of_the_data(bundle):
    contract = Contract.from_json(json.loads((bundle / "manifest.json").read_text())["contract"])
    real = next(case for case in read_golden(bundle / "golden", contract)["text"] if case.name == "real")
    texts = [text.decode() for text in real.inputs["text"]]
    known = {row["text"] for row in csv.DictReader(SPEECHES.open(encoding="utf-8"))}
    assert len(texts) == REAL_ROWS
    assert set(texts) <= known
    assert max(map(len, texts)) <= SENTENCE


def test_predictions_name_the_words_with_the_largest_effect(trained):
    rows = predict.run(trained("sentiment"), ["Come, you spirits, unsex me here", ""], top_k=2)[0]
    assert len(rows) == 4
    effects = rows[0]["words"]
    assert {w["word"] for w in effects} <= {"come", "you", "spirits", "unsex", "me", "here"}
    assert abs(effects[0]["weight"]) >= abs(effects[1]["weight"])


def test_evaluation_has_the_baseline(trained):
    compared = json.loads((trained("sentiment") / "evaluation.json").read_text())["compared"]
    of_ladder = {"most frequent class", "logistic regression on TF-IDF"}
    assert set(compared) == {"this model", "TF-IDF of words and characters, linear SVM", *of_ladder}


def test_the_baseline_reads_pairs_of_words_and_parts_of_words():
    train = ["running", "walking", "eating", "jumped", "talked", "baked"], [0, 0, 0, 1, 1, 1]
    assert text_baselines.fit_tfidf(*train).predict(["singing", "cooked"]).tolist() == [0, 1]
    train = ["yes no", "no yes"] * 3, [0, 1] * 3
    assert text_baselines.fit_tfidf(*train).predict(["yes no", "no yes"]).tolist() == [0, 1]


def test_padding_has_no_effect():
    model = zoo.build("sentiment", vocabulary_size=50, encoder="gru", units=4, embedding_dim=8, pairs=100, parts=100)
    short = np.array([[3, 4, 5]])
    longer = np.pad(short, ((0, 0), (0, 20)))
    np.testing.assert_allclose(model(short), model(longer), atol=1e-6)


def test_own_labels(tmp_path):
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


def test_log_count_ratios():
    vocabulary = ("", "[UNK]", "good", "goodness", "bad", "film")
    model = zoo.build("sentiment", vocabulary_size=6, pairs=1009, parts=1009)
    linear = model.get_layer("linear")
    tokens = np.array([[2, 5, 0], [2, 2, 0], [4, 5, 0], [4, 0, 0]], np.int32)
    linear.observe(tokens, np.array([1, 1, 0, 0]), vocabulary)

    ratios = linear.word_ratios.numpy()
    counts = np.array([[1, 1, 1, 1, 3, 2], [1, 1, 3, 1, 1, 2]])  # texts with each word, and one more
    shares = counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(ratios[:, 1], np.log(shares[1] / shares[0]), rtol=1e-6)
    assert ratios[5, 1] == 0
    assert linear.bigram_ratios.numpy()[(2 * 7919 + 5) % 1009, 1] > 0

    linear.ngrams.assign(np.tile([[0.0, 1.0]], (1009, 1)))  # "goodness" does not occur, but shares n-grams with "good"
    logits = model(np.array([[3], [4], [1]], np.int32)).numpy()
    assert logits[0, 1] > 0 > logits[1, 1]
    assert logits[2, 1] == 0


@pytest.mark.parametrize("encoder", ["none", "bag", "gru", "lstm"])
def test_a_text_without_words_has_an_answer(encoder):
    """Every token is padding: a mean over no words is no 0/0."""
    small = {"vocabulary_size": 20, "num_classes": 2, "units": 4, "embedding_dim": 8, "pairs": 100, "parts": 100}
    model = zoo.build("sentiment", encoder=encoder, **small)
    tokens = np.array([[0, 0, 0, 0], [3, 4, 0, 0], [5, 0, 0, 0]], "int32")
    logits = np.asarray(model(tokens))
    assert np.isfinite(logits).all()
    if encoder == "bag":  # padding behind a text changes nothing
        np.testing.assert_allclose(logits[1:], np.asarray(model(np.pad(tokens[1:], [(0, 0), (0, 3)]))), atol=1e-6)


@pytest.mark.extended
def test_a_recurrent_encoder_with_masks_is_proven_in_every_format(tmp_path):
    settings = zoo.get_spec("sentiment").tiny_settings() | {
        "model.encoder": "gru",
        "model.units": 4,
        "recipe.epochs": 1,
    }
    (bundle,) = fit("sentiment", tmp_path / "run", settings, export=True)["bundles"]
    assert bundle["verdict"] == "pass"
