"""Word vectors: windows and negative samples, the loss by hand, neighbours, analogies, human ratings."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

import zoo
from pipelines.text import word_similarity, words
from tests.zoo.conftest import FIXTURES
from zoo import predict
from zoo.core import plan
from zoo.evaluation import word_similarity as neighbours


@pytest.fixture(scope="module")
def planned():
    training_plan = plan.make_plan("word2vec", settings={"task.window": 2}, data_dir=str(FIXTURES / "shakespeare.txt"))
    return training_plan, training_plan.load_data()


def test_windows_and_subsampling(planned):
    training_plan, data = planned
    index, counts = words.index(data.info.vocabulary), data.info.statistics["word_counts"]
    rows = dataclasses.replace(training_plan.task, sample=1.0)._windows(data.train, data.info)
    text = words.split(next(iter(data.train))["text"].numpy())
    ids = [index[word] for word in text if word in index]
    assert rows[:, 2].tolist() == ids
    assert rows[0].tolist() == [0, 0, *ids[:3]]
    assert rows[-1].tolist() == [*ids[-3:], 0, 0]
    the, rare = index["the"], len(index) - 1
    as_rare = 1.0001 * counts[rare] / sum(counts)  # words of this frequency are not subsampled
    subsampled = dataclasses.replace(training_plan.task, sample=as_rare)._windows(data.train, data.info)[:, 2]
    assert (subsampled == the).sum() < 0.5 * ids.count(the)
    assert (subsampled == rare).sum() == ids.count(rare)


def test_distribution_of_negative_samples(planned):
    training_plan, data = planned
    feed = training_plan.feed(data, "train", training=True)
    samples = np.concatenate([y[:, 1] for epoch in range(20) for _, y in feed.batches(4096, epoch=epoch)])
    weights = np.array(data.info.statistics["word_counts"], float) ** 0.75
    expected = weights / weights.sum() * len(samples)
    got = np.bincount(samples, minlength=len(weights))
    assert got[:2].sum() == 0
    assert (np.abs(got - expected) < 6 * np.sqrt(expected) + 6).all()
    once, again = (next(iter(feed.batches(64, epoch=3)))[1].numpy() for _ in range(2))
    assert (once == again).all()


def test_loss_by_hand():
    model = zoo.build("word2vec", vocabulary_size=9, embedding_dim=4, negatives=3.0, pool=2)
    word, negatives = np.array([2, 3, 4], np.int32), np.array([5, 6, 7], np.int32)
    context = np.array([[3, 0], [4, 8], [0, 0]], np.int32)
    centre, contexts = (table.embeddings.numpy() for table in (model.words, model.neighbours))
    pair = lambda a, b: np.log1p(np.exp(-centre[a] @ contexts[b]))  # noqa: E731
    sampled = lambda a: 3.0 * np.mean([np.log1p(np.exp(centre[a] @ contexts[n])) for n in (5, 6)])  # noqa: E731
    expected = sum([pair(2, 3) + sampled(2), pair(3, 4) + sampled(3), pair(3, 8) + sampled(3)])
    loss, pairs = model.batch_loss(word, negatives, context)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(pairs) == 3


def test_neighbours_analogies_and_auc():
    angles = np.radians([0, 0, 0, 10, 90, 100, 180])
    table = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert neighbours.nearest(table @ table[2], 2, {2}) == [3, 4]
    assert neighbours.analogies(table, np.array([[2, 3, 4, 5], [2, 4, 3, 5], [2, 4, 3, 6]])) == pytest.approx(2 / 3)
    truth = np.array([[2, 4, 3, 0], [3, 5, 2, 4], [4, 2, 5, 0], [5, 3, 4, 2]])
    assert neighbours.auc(table[[2, 3, 4, 5]], truth) == pytest.approx(5 / 6)


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
