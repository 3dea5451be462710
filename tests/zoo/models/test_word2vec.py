"""Word vectors: the text that is learned from, the loss against one by hand, neighbours, analogies, what people say."""

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
    made = plan.make_plan("word2vec", settings={"task.window": 2}, data_dir=str(FIXTURES / "shakespeare.txt"))
    return made, made.load_data()


def test_places_hold_what_stands_around_and_frequent_words_go(planned):
    made, data = planned
    index, counts = words.index(data.info.vocabulary), data.info.statistics["word_counts"]
    rows = dataclasses.replace(made.task, sample=1.0)._places(data.train, data.info)
    text = words.split(next(iter(data.train))["text"].numpy())
    known = [index[word] for word in text if word in index]
    assert rows[:, 2].tolist() == known
    assert rows[0].tolist() == [0, 0, *known[:3]]
    assert rows[-1].tolist() == [*known[-3:], 0, 0]
    the, rare = index["the"], len(index) - 1
    as_rare = 1.0001 * counts[rare] / sum(counts)  # words of that share of the text are all kept
    thinned = dataclasses.replace(made.task, sample=as_rare)._places(data.train, data.info)[:, 2]
    assert (thinned == the).sum() < 0.5 * known.count(the)
    assert (thinned == rare).sum() == known.count(rare)


def test_noise_is_drawn_by_the_count_to_three_quarters(planned):
    made, data = planned
    feed = made.feed(data, "train", training=True)
    drawn = np.concatenate([y[:, 1] for epoch in range(20) for _, y in feed.batches(4096, epoch=epoch)])
    share = np.array(data.info.statistics["word_counts"], float) ** 0.75
    expected = share / share.sum() * len(drawn)
    got = np.bincount(drawn, minlength=len(share))
    assert got[:2].sum() == 0
    assert (np.abs(got - expected) < 6 * np.sqrt(expected) + 6).all()
    once, again = (next(iter(feed.batches(64, epoch=3)))[1].numpy() for _ in range(2))
    assert (once == again).all()


def test_loss_is_that_of_a_loop_by_hand():
    model = zoo.build("word2vec", vocabulary_size=9, embedding_dim=4, negatives=3.0, pool=2)
    word, noise = np.array([2, 3, 4], np.int32), np.array([5, 6, 7], np.int32)
    beside = np.array([[3, 0], [4, 8], [0, 0]], np.int32)
    own, other = (table.embeddings.numpy() for table in (model.words, model.neighbours))
    pair = lambda a, b: np.log1p(np.exp(-own[a] @ other[b]))  # noqa: E731
    away = lambda a: 3.0 * np.mean([np.log1p(np.exp(own[a] @ other[n])) for n in (5, 6)])  # noqa: E731
    expected = sum([pair(2, 3) + away(2), pair(3, 4) + away(3), pair(3, 8) + away(3)])
    loss, pairs = model.batch_loss(word, noise, beside)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(pairs) == 3


def test_neighbours_analogies_and_agreement_with_people():
    angles = np.radians([0, 0, 0, 10, 90, 100, 180])
    table = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert neighbours.nearest(table @ table[2], 2, {2}) == [3, 4]
    assert neighbours.analogies(table, np.array([[2, 3, 4, 5], [2, 4, 3, 5], [2, 4, 3, 6]])) == pytest.approx(2 / 3)
    truth = np.array([[2, 4, 3, 0], [3, 5, 2, 4], [4, 2, 5, 0], [5, 3, 4, 2]])
    assert neighbours.auc(table[[2, 3, 4, 5]], truth) == pytest.approx(5 / 6)


def test_predict_gives_neighbours_and_analogies_in_every_runtime(trained):
    run = trained("word2vec")
    asked = ["king", "King - man + thane"]
    rows = predict.run(run, asked, top_k=10).rows
    assert len(rows) == 20
    assert not {"king", "man", "thane"} & {row["word"] for row in rows[10:]}
    assert all(a["similarity"] >= b["similarity"] for a, b in itertools.pairwise(rows[:10]))
    assert [r["word"] for r in predict.run(run / "bundle", asked, top_k=10).rows] == [r["word"] for r in rows]
    near = json.loads((run / "evaluation.json").read_text())["neighbours"]
    assert near["king"]["nearest"].split(", ") == [row["word"] for row in rows[:10]]
    answers = predict.run(run, ["kingg", "king queen", "king -"])
    assert not answers.rows
    assert "did you mean king" in answers.problems[0]
    assert "with + and - between them" in answers.problems[1]


@pytest.mark.proof
def test_the_lists_of_words_come_whole(tmp_path):
    assert len(word_similarity.load("ws353", tmp_path)) == 348
    assert all(len(row) == 4 for row in word_similarity.load("google", tmp_path))
