"""Word vectors: windows and negative samples, the loss by hand, neighbours, analogies, human ratings."""

import dataclasses
import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines.text import word_similarity, words
from tests.zoo.conftest import FIXTURES
from zoo import predict
from zoo.core import plan
from zoo.evaluation import word_similarity as neighbours
from zoo.training.optimizers import Adagrad


@pytest.fixture(scope="module")
def planned():
    training_plan = plan.make_plan("word2vec", settings={"task.window": 2}, data_dir=str(FIXTURES / "shakespeare.txt"))
    return training_plan, training_plan.load_data()


def test_windows_and_subsampling(planned):
    training_plan, data = planned
    index, counts = words.index(data.info.vocabulary), data.info.statistics["word_counts"]
    rows = dataclasses.replace(training_plan.task, sample=1.0)._windows(data.train, data.info, 1)
    text = words.split(next(iter(data.train))["text"].numpy())
    ids = [index[word] for word in text if word in index]
    assert rows[:, 2].tolist() == ids
    assert rows[0].tolist() == [0, 0, *ids[:3]]
    assert rows[-1].tolist() == [*ids[-3:], 0, 0]
    chunks = dataclasses.replace(training_plan.task, sample=1.0)._windows(data.train, data.info, 3)
    assert chunks[:, 2:5].ravel()[: len(ids)].tolist() == ids
    assert chunks[1].tolist() == ids[1:8]
    the, rare = index["the"], len(index) - 1
    as_rare = 1.0001 * counts[rare] / sum(counts)  # words of this frequency are not subsampled
    subsampled = dataclasses.replace(training_plan.task, sample=as_rare)._windows(data.train, data.info, 1)[:, 2]
    assert (subsampled == the).sum() < 0.5 * ids.count(the)
    assert (subsampled == rare).sum() == ids.count(rare)


@pytest.mark.extended
def test_distribution_of_negative_samples(planned):
    training_plan, data = planned
    feed = training_plan.feed(data, "train", training=True)
    samples = np.concatenate(
        [np.ravel(y["negatives"]) for epoch in range(20) for _, y in feed.batches(256, epoch=epoch)]
    )
    weights = np.array(data.info.statistics["word_counts"], float) ** 0.75
    expected = weights / weights.sum() * len(samples)
    got = np.bincount(samples, minlength=len(weights))
    assert got[:2].sum() == 0
    assert (np.abs(got - expected) < 6 * np.sqrt(expected) + 6).all()
    once, again = (next(iter(feed.batches(64, epoch=3)))[1]["negatives"].numpy() for _ in range(2))
    assert (once == again).all()


def test_loss_by_hand():
    """Two chunks of two words, 2 3 and 4 0, with one neighbour on each side of a word, or two."""
    model = zoo.build("word2vec", vocabulary_size=9, embedding_dim=4, negatives=3.0)
    ids = np.array([[0, 8, 2, 3, 4, 0], [0, 0, 4, 0, 8, 5]], np.int32)
    radius, negatives = np.array([[1, 2], [2, 1]], np.int32), np.array([[5, 6], [7, 7]], np.int32)
    centre, contexts = (table.embeddings.numpy() for table in (model.words, model.neighbours))
    pair = lambda a, b: np.log1p(np.exp(-centre[a] @ contexts[b]))  # noqa: E731
    sampled = lambda a, *chosen: 3.0 * np.mean([np.log1p(np.exp(centre[a] @ contexts[n])) for n in chosen])  # noqa: E731
    pairs = [(2, 8), (2, 3), (3, 8), (3, 2), (3, 4), (4, 8)]
    expected = sum(pair(a, b) + (sampled(a, 7) if a == 4 else sampled(a, 5, 6)) for a, b in pairs)
    loss, count = model.chunk_loss(ids, radius, negatives)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(count) == len(pairs)
    model.compile(optimizer=Adagrad())
    windows = np.array([[a, 5, b] for a, b in pairs], np.int32)  # as an evaluation has them, with no left neighbour
    windows = np.insert(windows, 2, 0, axis=1)
    expected = np.mean([pair(a, b) + sampled(a, 5) for a, b in pairs])
    assert model.test_on_batch(windows[:, 0], windows) == pytest.approx(expected, rel=1e-5)


def test_sparse_adagrad_equals_the_dense_one():
    """Rows that occur several times are summed; rows that do not occur keep their accumulators."""
    table, dense = (keras.Variable(np.ones((5, 3), np.float32)) for _ in range(2))
    sparse_optimizer, dense_optimizer = Adagrad(0.2), keras.optimizers.Adagrad(0.2)
    rows, values = np.array([3, 1, 3]), np.arange(9, dtype=np.float32).reshape(3, 3) / 4
    for scale in (1.0, -0.5):
        gradient = tf.IndexedSlices(tf.constant(scale * values), tf.constant(rows), tf.constant([5, 3]))
        sparse_optimizer.apply([gradient], [table])
        dense_optimizer.apply([tf.convert_to_tensor(gradient)], [dense])
    np.testing.assert_allclose(table.numpy(), dense.numpy(), rtol=1e-6)
    for ours, theirs in zip(sparse_optimizer.variables, dense_optimizer.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_neighbours_analogies_and_auc():
    angles = np.radians([0, 0, 0, 10, 90, 100, 180])
    table = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert neighbours.nearest(table @ table[2], 2, {2}) == [3, 4]
    assert neighbours.analogies(table, np.array([[2, 3, 4, 5], [2, 4, 3, 5], [2, 4, 3, 6]])) == pytest.approx(2 / 3)
    truth = np.array([[2, 4, 3, 0], [3, 5, 2, 4], [4, 2, 5, 0], [5, 3, 4, 2]])
    assert neighbours.auc(table[[2, 3, 4, 5]], truth) == pytest.approx(5 / 6)


@pytest.mark.extended
def test_predict_gives_neighbours_and_analogies_in_every_runtime(trained):
    run = trained("word2vec")
    queries = ["king", "King - man + thane"]
    rows = predict.run(run, queries, top_k=10).rows
    assert len(rows) == 20
    assert not {"king", "man", "thane"} & {row["word"] for row in rows[10:]}
    assert all(a["similarity"] >= b["similarity"] for a, b in itertools.pairwise(rows[:10]))
    assert [r["word"] for r in predict.run(run / "bundle", queries, top_k=10).rows] == [r["word"] for r in rows]
    reported = json.loads((run / "evaluation.json").read_text())["neighbours"]
    assert reported["king"]["nearest"].split(", ") == [row["word"] for row in rows[:10]]
    result = predict.run(run, ["kingg", "king queen", "king -"])
    assert not result.rows
    assert "did you mean king" in result.problems[0]
    assert "with + and - between them" in result.problems[1]


@pytest.mark.proof
def test_the_word_lists_are_complete(tmp_path):
    assert len(word_similarity.load("ws353", tmp_path)) == 348
    assert all(len(row) == 4 for row in word_similarity.load("google", tmp_path))
