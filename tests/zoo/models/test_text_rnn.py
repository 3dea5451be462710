"""Recurrent language model: single steps, stateful training, generation in every runtime, text_baselines."""

import json
import math

import keras
import numpy as np
import pytest

import pipelines
import zoo
import zoobase.errors
from pipelines.text import words_and_characters
from tests.plugins.tiers import first
from tests.zoo.conftest import FIXTURES
from zoo import sample
from zoo.core import plan
from zoo.core.task import SplitEvaluation
from zoo.evaluation import text_baselines
from zoo.prediction import kept
from zoo.tasks.text import decoding, recurrent
from zoo.training.compiling import compile_model

PLAY = (FIXTURES / "shakespeare.txt").read_text()


def prepared(settings, name="text_rnn"):
    planned = plan.make_plan(name, settings=settings, data_dir=str(FIXTURES / "shakespeare.txt"))
    return planned, planned.load_data()


@pytest.fixture(scope="module")
def ids():
    vocabulary = pipelines.text.vocabulary([PLAY])
    return pipelines.text.encode(PLAY, vocabulary), len(vocabulary)


@pytest.mark.parametrize(
    ("name", "arguments", "shapes"),
    [
        ("text_rnn", {"cell": "lstm"}, [(1, 16)] * 4),
        pytest.param(
            "text_transformer",
            {"window": 20, "cache": 0},
            [(1, 2, 20, 8), (1, 2, 20, 8), (1, 1)] * 3,
            marks=pytest.mark.extended,
        ),
        pytest.param("text_rnn", {"cell": "gru"}, [(1, 16)] * 2, marks=pytest.mark.extended),
        pytest.param("text_rnn", {"cell": "rnn"}, [(1, 16)] * 2, marks=pytest.mark.extended),
        pytest.param(
            "text_transformer",
            {"window": 128, "cache": 40},
            [*[(1, 2, 128, 8), (1, 2, 128, 8), (1, 1)] * 3, (1, 40)],
            marks=pytest.mark.extended,
        ),
    ],
)
def test_64_steps_equal_one_forward_pass(name, arguments, shapes, ids):
    tokens, size = ids
    small = {"text_rnn": {"units": 16, "num_layers": 2, "embedding_dim": 8, "dropout": 0.5}}
    small["text_transformer"] = {"width": 16, "heads": 2, "blocks": 3}
    model = zoo.build(name, vocabulary_size=size, **small[name], **arguments)
    states = [np.zeros((1, *shape), np.float32) for shape in recurrent.state_shapes(model).values()]
    assert [state.shape for state in states] == shapes
    whole = model(tokens[None, :64], training=False).numpy()[0]
    for i in range(64):
        logits, states = recurrent.advance(model, tokens[i : i + 1], states)
        np.testing.assert_allclose(logits[0], whole[i], atol=2e-6 if name == "text_rnn" else 5e-6)


@pytest.mark.extended
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_stateful_training_continues_with_the_states_of_the_last_batch(cell, ids):
    settings = {"task.carry": True, "task.window": 20, "task.warm_up": 0, "recipe.batch_size": 4}
    settings |= {"recipe.learning_rate": 1e-30, "recipe.dropout": 0.0}  # constant weights
    planned, data = prepared(settings | {"model.units": 16, "model.cell": cell})
    keras.utils.set_random_seed(0)
    model = planned.build(data.info)
    model.set_weights([8 * weight for weight in model.get_weights()])  # otherwise the effect of the states is too small
    compile_model(model, planned, data.info, steps=2 * planned.recipe.epochs)  # two steps an epoch
    feed = planned.feed(data, "train", training=True)
    (x1, y1), (x2, y2), *_ = list(feed.epochs(4, seed=0, stop=1).take(2))
    assert (y1[:, -1].numpy() == x2[:, 0].numpy()).all(), "a row must continue in the next batch"
    whole = model(np.concatenate([x1, x2], axis=1), training=False)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = [float(loss(y1, whole[:, :20])), float(loss(y2, whole[:, 20:]))]
    for _ in range(2):  # the second epoch starts with zero states
        for batch, target in zip(((x1, y1), (x2, y2)), expected, strict=True):
            model.reset_metrics()
            assert float(model.train_on_batch(*batch, return_dict=True)["loss"]) == pytest.approx(target, rel=1e-5)
    assert abs(float(loss(y2, model(x2, training=False))) - expected[1]) > 1e-3, "the states must affect the loss"


def test_later_tokens_and_those_before_the_window_change_nothing(ids):
    tokens, size = ids
    model = zoo.build("text_transformer", vocabulary_size=size, width=16, heads=2, blocks=1, window=20, cache=0)

    def outputs(changed):
        other = tokens[None, :64].copy()
        other[:, changed] = (other[:, changed] + 1) % size
        return model(other, training=False).numpy()[0]

    whole = outputs(slice(0, 0))
    np.testing.assert_array_equal(outputs(slice(40, None))[:40], whole[:40])
    np.testing.assert_allclose(outputs(slice(0, 21))[40:], whole[40:], atol=1e-6)
    assert np.abs(outputs(slice(0, 22))[40] - whole[40]).max() > 1e-4


def test_a_cache_is_not_carried_from_batch_to_batch():
    settings = {"task.carry": True, **zoo.get_spec("text_transformer").tiny_settings()}
    planned, data = prepared(settings, "text_transformer")
    with pytest.raises(zoobase.errors.UsageError, match=r"task\.carry is for recurrent networks: block0"):
        compile_model(planned.build(data.info), planned, data.info, steps=10)


@pytest.mark.extended
@pytest.mark.parametrize("carry", [False, True])
def test_windows_start_at_another_offset_in_each_epoch(carry):
    settings = {"task.window": 32, "task.warm_up": 0, "task.carry": carry, "recipe.batch_size": 4}
    planned, data = prepared(settings)
    feed = planned.feed(data, "train", training=True)
    epochs = [[(x.numpy(), y.numpy()) for x, y in feed.epochs(4, seed=0, start=e, stop=e + 1)] for e in (0, 1, 2, 1)]
    rows = [{tuple(row) for x, _ in epoch for row in x} for epoch in epochs]
    assert rows[1] == rows[3]  # a function of seed and epoch
    assert all(len(rows[0] & other) < len(rows[0]) / 10 for other in rows[1:3])
    for x, y in epochs[1]:
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    ids = np.concatenate([planned.task.encode(e["text"].decode(), data.info) for e in data.train.as_numpy_iterator()])
    count = np.bincount(np.concatenate([x.reshape(-1) for x, _ in epochs[0]]), minlength=ids.max() + 1)
    assert np.abs(count - np.bincount(ids, minlength=ids.max() + 1)).sum() <= 2 * 4 * 32  # but for the last batch


def test_every_token_is_evaluated_once_with_context():
    settings = {"task.window": 32, "task.warm_up": 12}
    planned, data = prepared(settings)
    text = next(iter(data.test))["text"].numpy().decode()
    pairs = [(x.numpy(), y.numpy()) for x, y in planned.feed(data, "test").batches(1)]
    evaluated = np.concatenate([y[y >= 0] for _, y in pairs])
    assert evaluated.tolist() == pipelines.text.encode(text, data.info.vocabulary)[1 : 1 + len(evaluated)].tolist()
    assert len(text) - 1 - len(evaluated) < 20
    assert all((y[0, :12] == -1).all() for _, y in pairs[1:])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("text_rnn", {"temperature": 0.0}, marks=pytest.mark.proof),
        pytest.param("text_rnn", {"temperature": 0.8, "top_p": 0.9}, marks=pytest.mark.extended),
        pytest.param("text_transformer", {"temperature": 0.8}, marks=pytest.mark.proof),  # longer than its window
    ],
)
def test_200_characters_are_equal_in_every_runtime(trained, name, options):
    run = trained(name)
    options = {"prompt": "HAMLET:", "length": 200, **options}
    texts = {r: sample.run(run, options=options, seed=1, runtime=r).rows[0]["text"] for r in kept.RUNTIMES}
    assert len(texts["keras"]) == 200
    assert set(texts.values()) == {texts["keras"]}, texts
    if options["temperature"]:
        assert sample.run(run, options=options, seed=2, runtime="tflite").rows[0]["text"] != texts["keras"]


def test_the_certificate_compares_64_steps_with_one_call(trained):
    cases = json.loads((trained("text_rnn") / "bundle" / "golden" / "cases.json").read_text())
    assert all("steps_64" in {case["name"] for case in cases[name]} for name in ("serving_default", "step"))


def test_evaluation_has_bits_per_character_and_baselines(trained):
    run = trained("text_rnn")
    evaluation = json.loads((run / "evaluation.json").read_text())
    bits = evaluation["metrics"]["bits_per_character"]
    assert 1 < bits < math.log2(60)
    model, ngram, adaptive, *others = evaluation["compared"]
    assert (model, others) == ("this model", ["xz", "xz after the training text"])
    assert ngram.endswith("-gram model (modified Kneser-Ney)")
    assert adaptive == f"{ngram} and the text before"
    bounds = [evaluation["compared"][row]["bits_per_character"] for row in (model, adaptive)]
    assert evaluation["metrics"]["adaptive_bits_per_character"] <= min(bounds) + 0.05  # a mixture with the model
    assert all(1 < b["bits_per_character"] < 6 for b in evaluation["compared"].values())
    assert evaluation["compared"]["this model"]["bits_per_character"] == bits
    vocabulary = json.loads((run / "bundle" / "vocabulary.json").read_text())
    assert vocabulary == json.loads((run / "config.json").read_text())["info"]["vocabulary"]
    assert "vocabulary.json" in (run / "bundle" / "SHA256SUMS").read_text()


def test_bits_per_character_of_words_count_characters():
    task = zoo.get_spec("text_rnn").task
    info = pipelines.Info("x", "", "", "", {}, {}, vocabulary=("a", "bcd"))
    truth = np.array([[0, 1, -1]])
    batch = SplitEvaluation({}, {"logits": np.zeros((1, 3, 2), np.float32)}, truth, info)
    reduced = task.reduce(batch)
    assert task.metrics(reduced.outputs, truth, info)["bits_per_character"] == pytest.approx(2 / 4)


def test_frequent_words_are_tokens_and_others_characters():
    vocabulary = words_and_characters.vocabulary(["the cat and the dog\n", "the end"], 17)
    assert "the" in vocabulary
    assert len(vocabulary) == 17
    text = "the hat:\n"
    ids = words_and_characters.encode(text, vocabulary)
    assert pipelines.text.decode(ids, vocabulary) == "the hat\ufffd\n"
    assert len(ids) == 7
    assert words_and_characters.encode(b"\xff\0", vocabulary).tolist() == [vocabulary.index("\ufffd")] * 2


def test_a_text_that_repeats_itself_is_known_the_second_time():
    ids = np.tile(np.random.default_rng(0).permutation(50), 2)
    probabilities = text_baselines.cache(ids, np.full(100, 0.02))
    assert (probabilities[:50] == 0.02).all()  # nothing occurred before
    assert (probabilities[55:] == 1.0).all()


def test_the_weights_of_a_mixture_are_those_it_was_made_with():
    random = np.random.default_rng(0)
    models = random.dirichlet(np.ones(20), size=(2, 3000))  # two models of 20 tokens, at each of 3,000 places
    source = random.random(3000) < 0.3
    tokens = [random.choice(20, p=models[0 if first else 1, i]) for i, first in enumerate(source)]
    given = models[:, np.arange(3000), tokens].T
    assert text_baselines.mixture_weights(given) == pytest.approx([0.3, 0.7], abs=0.06)


def test_kneser_ney_by_hand():
    """Too few n-grams for discounts of their own: 0.5, 1 and 1.5 are subtracted from the counts 1, 2 and 3 or more."""
    train, test = np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1, 2])  # a b a b a c
    # unigrams count the tokens before: a follows b; b follows a; c follows a. P = (1 - 0.5 + 3 * 0.5 / 3) / 3
    unigram = (0.5 + 1.5 / 3) / 3
    # bigrams: ab 2, ac 1, ba 2. P(b|a) = (2 - 1 + (1 + 0.5) P(b)) / 3; after b came only a: P(c|b) = 1 P(c) / 2
    expected = [unigram, (1 + 1.5 * unigram) / 3, unigram / 2]
    np.testing.assert_allclose(text_baselines.kneser_ney(train, test, 3, [2])[2], expected)


@pytest.mark.parametrize("order", first([3, 1, 2, 6]))
def test_kneser_ney_probabilities_sum_to_one(ids, order):
    tokens, size = ids
    for context in (tokens[-order - 5 : -5], np.zeros(order, tokens.dtype)):  # one that occurs, one that does not
        tests = (np.append(context, token) for token in range(size))
        total = sum(text_baselines.kneser_ney(tokens, test, size, [order])[order][-1] for test in tests)
        assert total == pytest.approx(1)


def test_the_order_is_chosen_on_validation(ids):
    tokens, size = ids
    train, validation, test = np.split(tokens, [len(tokens) // 2, len(tokens) * 3 // 4])
    order, _, probabilities = text_baselines.best_ngram(train, validation, test, size)
    bits = {n: -np.log2(p).mean() for n, p in text_baselines.kneser_ney(train, validation, size, range(2, 8)).items()}
    assert order == min(bits, key=bits.get)
    assert probabilities.shape == test.shape
    assert len(bits) == 6


def test_xz_bits():
    assert text_baselines.xz_bits(b"", b"abc" * 1000, 3000) < 0.5
    assert text_baselines.xz_bits(PLAY.encode(), PLAY.encode(), len(PLAY)) < 0.1


def test_sampling_respects_top_p_and_excluded_tokens():
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    sample_token = decoding.sampler(0, top_p=0.75)
    assert {sample_token(logits) for _ in range(200)} == {0, 1}
    assert {decoding.sampler(0, temperature=0.0, excluded=[0])(logits) for _ in range(3)} == {1}
