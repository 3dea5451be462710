"""What sentence vectors are good for, on real data; `make proof` runs it."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import pipelines
from pipelines.text import wordpiece
from zoo import train, weights
from zoo.core.run_folder import RunFolder

pytestmark = pytest.mark.proof


def _is_right(plan, model):
    parts = []
    for inputs, labels in plan.feed(plan.load_data(), "test").batches(64):
        parts.append(np.argmax(model(inputs, training=False), axis=-1) == labels.numpy())
    return np.concatenate(parts).astype(float)


def test_all_layers_trained_for_an_epoch_beat_the_linear_model_on_film_reviews(tmp_path):
    train.run("text", recipe="finetune", out=str(tmp_path / "run"), export=False)
    run = RunFolder.open(tmp_path / "run")
    plan, model, _ = weights.open_default("sentiment")
    difference = _is_right(run.plan(), run.model()) - _is_right(plan, model)
    interval = 1.96 * difference.std() / np.sqrt(len(difference))
    print(f"text --recipe finetune against sentiment: {difference.mean():+.4f} +- {interval:.4f}, paired")
    assert difference.mean() - interval > 0


@pytest.mark.parametrize(("name", "count"), [("movie_reviews", 20), ("newsgroups", 5), ("newsgroups", 20)])
def test_with_few_examples_a_class_vectors_beat_bags_of_words(name, count):
    """A logistic regression on the vectors against a linear SVM on TF-IDF, on 1,000 test texts; five draws."""
    _, model, info = weights.open_default("minilm")
    random, data = np.random.default_rng(0), pipelines.load(name)

    def columns(split, per_class=None):
        rows = [(e["text"].decode("utf-8", "replace"), int(e["label"])) for e in data[split].as_numpy_iterator()]
        labels = np.array([label for _, label in rows])
        classes = [np.flatnonzero(labels == c) for c in np.unique(labels)]
        chosen = random.choice(len(rows), 1000, replace=False)
        if per_class is not None:
            chosen = np.concatenate([random.choice(members, per_class, replace=False) for members in classes])
        texts = [rows[i][0] for i in chosen]
        batches = [tf.constant(texts[i : i + 32]) for i in range(0, len(texts), 32)]
        vectors = [model(wordpiece.encode_tensor(batch, info.vocabulary, 128), training=False) for batch in batches]
        return np.array(texts, object), np.concatenate(vectors), labels[chosen]

    texts, vectors, labels = columns("train", 60)
    test_texts, test_vectors, truth = columns("test")
    ours, theirs = [], []
    for draw in range(5):
        random = np.random.default_rng(draw)
        few = np.concatenate([random.choice(np.flatnonzero(labels == c), count, False) for c in np.unique(labels)])
        ours.append(LogisticRegression(C=10, max_iter=500).fit(vectors[few], labels[few]).score(test_vectors, truth))
        bag = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts[few])
        svm = LinearSVC().fit(bag.transform(texts[few]), labels[few])
        theirs.append(svm.score(bag.transform(test_texts), truth))
    print(f"{name}, {count} a class: vectors {np.mean(ours):.3f}, TF-IDF {np.mean(theirs):.3f}")
    assert np.mean(ours) > np.mean(theirs)
