"""Sequence to sequence: steps, greedy decoding and beam search, text endpoints, and two vocabularies."""

import json
import sys

import keras
import numpy as np
import pytest

import export
import pipelines
import zoo
from pipelines.text import sequences
from pipelines.text.sequences import END, SPECIAL
from tests.plugins.tiers import first
from tests.zoo.conftest import FIXTURES
from zoo import evaluate, predict
from zoo.core import plan
from zoo.core.recipe import Recipe
from zoo.evaluation import sequence_metrics
from zoo.tasks.text import decoding
from zoo.tasks.text.translation import Translation, _without_common_padding
from zoobase.errors import UsageError


@pytest.fixture(scope="module", params=[*first(["bahdanau", "luong"]), "transformer"])
def model(request):
    keras.utils.set_random_seed(1)  # a beam may lose the path of greedy decoding, with other weights
    if request.param == "transformer":  # a window that is shorter than the target, and weights of a larger effect
        model = zoo.build("grapheme_to_phoneme", vocabulary_size=30, width=16, heads=2, blocks=2, window=5)
        for weights in model.trainable_weights:
            weights.assign(np.random.default_rng(0).normal(scale=0.5, size=weights.shape))
        return model
    return zoo.build("attention", vocabulary_size=30, attention=request.param, units=8, embedding_dim=6)


@pytest.fixture(scope="module")
def source():
    ids = np.random.default_rng(0).integers(4, 30, (3, 10)).astype(np.int32)
    ids[1, 6:] = 0
    return ids


def test_single_steps_equal_the_forward_pass(model, source):
    target = np.random.default_rng(1).integers(2, 30, (3, 7)).astype(np.int32)
    whole = model({"source": source, "target": target}, training=False).numpy()
    memory, state = model.encode(source)
    for i in range(7):
        logits, state, shares = model.step(target[:, i], state, memory, source)
        np.testing.assert_allclose(logits, whole[:, i], atol=2e-6)
        np.testing.assert_allclose(np.sum(shares, axis=-1), 1, atol=1e-6)
        assert not np.asarray(shares)[1, 6:].any(), "attention to padding"


def test_padding_of_the_source_has_no_effect(model, source):
    short, _ = model.greedy(source[1:2, :6], 5)
    longer, _ = model.greedy(source[1:2], 5)
    assert short.numpy().tolist() == longer.numpy().tolist()


def test_beam_search_of_width_one_is_greedy_and_wider_ones_are_not_worse(model, source):
    def step(x):
        outputs = model.step(x["token"], x["state"], x["memory"], x["source"])
        return {k: np.asarray(v) for k, v in zip(("logits", "next_state", "attention"), outputs, strict=True)}

    tokens, attention = model.greedy(source, 6)
    for i in range(len(source)):
        memory, state = (np.asarray(x) for x in model.encode(source[i : i + 1]))
        inputs, ends = {"memory": memory, "source": source[i : i + 1]}, {"start": 2, "end": 3, "length": 6}
        (one,) = decoding.beam_search(step, inputs, state, width=1, **ends)
        assert list(one.tokens) == [t for t in tokens[i].numpy().tolist() if t]
        np.testing.assert_allclose(one.attention, attention[i, : len(one.tokens)], atol=1e-5)
        wide = decoding.beam_search(step, inputs, state, width=5, **ends)
        assert len({h.tokens for h in wide}) == 5
        assert wide[0].score >= one.score - 1e-6


def test_beam_search_finds_a_better_sequence_than_greedy_decoding():
    probabilities = {(): [0.4, 0.6], (4,): [0.05, 0.95], (5,): [0.5, 0.5]}  # of tokens 4 and 5; then the end

    def step(x):
        past = tuple(int(t) for t in x["state"][0] if t) + ((int(x["token"][0]),) if x["token"][0] > 3 else ())
        logits = np.full((1, 6), -1e9)
        logits[0, 4:], logits[0, 3] = (np.log(probabilities[past]), -1e9) if len(past) < 2 else (-1e9, 0.0)
        state = np.array([[*past, *([0] * (3 - len(past)))]], np.float32)
        return {"logits": logits, "next_state": state, "attention": np.ones((1, 1))}

    begin = (step, {}, np.zeros((1, 3), np.float32))
    greedy, wide = (decoding.beam_search(*begin, start=2, end=3, width=w, length=4)[0] for w in (1, 2))
    assert greedy.tokens[0] == 5
    assert wide.tokens == (4, 5, 3)
    assert wide.score == pytest.approx(np.log(0.4 * 0.95))


def test_length_normalisation_prefers_longer_sequences():
    """The end after one token has probability 0.3; four more tokens of 0.8 each, and the end, have 0.29."""

    def step(x):
        count = int(x["state"][0, 0])
        logits = np.full((1, 6), -1e9)
        if count == 0:
            logits[0, 3], logits[0, 4] = np.log([0.3, 0.7])
        else:
            logits[0, 4 if count < 5 else 3] = np.log(0.8)
            logits[0, 5] = np.log(0.2)
        return {"logits": logits, "next_state": np.array([[count + 1.0]]), "attention": np.ones((1, 1))}

    arguments = {"start": 2, "end": 3, "width": 3, "length": 8}
    shortest, longest = (
        decoding.beam_search(step, {}, np.zeros((1, 1)), penalty=penalty, **arguments)[0] for penalty in (0.0, 1.0)
    )
    assert shortest.tokens == (3,)
    assert longest.tokens == (4, 4, 4, 4, 4, 3)


def test_translations_are_equal_in_every_runtime(trained):
    run = trained("attention")
    rows, _, images = predict.run(run, ["3 March 1987", ""], top_k=2)
    assert len(rows) == 4
    assert images["3 March 1987"].shape[2] == 3
    assert rows[0]["probability"] >= rows[1]["probability"]
    for other in (predict.run(run / "bundle", ["3 March 1987", ""], top_k=2).rows,):
        assert [r["output"] for r in other] == [r["output"] for r in rows]
    info = json.loads((run / "config.json").read_text())["info"]
    tokenizer = sequences.Tokenizer(tuple(info["vocabulary"]), "characters")
    ids = tokenizer.encode("3 March 1987")
    ids = np.pad(ids, (0, info["statistics"]["source_length"] - len(ids)))[None]
    served, lite = (export.load(run / "bundle", runtime) for runtime in ("saved_model", "tflite"))
    outputs = served["text"](text=np.array([b"3 March 1987"], object))
    tokens = lite["greedy"](source=ids)["tokens"]
    assert outputs["tokens"].tolist() == tokens.tolist()
    assert outputs["translation"][0].decode() == tokenizer.decode(tokens[0])
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert {"exact", "exact_beam", "token_accuracy"} <= set(evaluation["metrics"])
    assert (run / "figures" / "attention.png").stat().st_size > 1000


@pytest.mark.extended
def test_the_word_level(tmp_path):
    path = tmp_path / "pairs.tsv"
    lines = [f"the {a} {b}\to {b} {a}" for a in ("big", "small", "old") for b in ("cat", "dog", "house", "tree", "man")]
    path.write_text("source\ttarget\n" + "\n".join(lines * 4))
    settings = {"data": "ted_hrlr_translate", "task.level": "words"}
    planned = plan.make_plan("attention", settings=settings, data_dir=str(path))
    data = planned.load_data()
    x, y = next(iter(planned.feed(data, "train", training=True).batches(1)))
    assert data.info.statistics["source_length"] == 3
    assert sequences.Tokenizer(data.info.vocabulary, "words").decode(y[0].numpy()).startswith("o ")
    assert x["target"][0, 0] == sequences.START
    assert x["target"][0, 1:].numpy().tolist() == y[0, :-1].numpy().tolist()


PAIRS = [(f"the {a} {b}", f"O {b} {a}!") for a in ("big", "small", "old") for b in ("cat", "dog", "tree", "man")]


@pytest.fixture
def words(tmp_path):
    """A plan at the level of words, with an untrained model of two sentences in four of which a word is unknown."""
    path = tmp_path / "pairs.tsv"
    rows = [*PAIRS * 3, *((f"the {name} {i}", f"o {name} {i}") for i, name in enumerate(["Ana", "Bo", "Cy", "Di"] * 3))]
    path.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows))
    settings = {"recipe.split": "60/20/20", "model.units": 8, "model.embedding_dim": 4, "task.searched": 3}
    return plan.make_plan("attention", recipe="verses", settings=settings, data_dir=str(path))


@pytest.mark.extended
def test_translations_into_words_are_scored_by_sacrebleu(words, monkeypatch):
    import sacrebleu

    data = words.load_data()
    model = words.build(data.info)
    written = []
    monkeypatch.setattr(
        "zoo.evaluation.sequence_metrics.sentence_scores",
        lambda texts, references: written.append((texts, references)) or {"bleu": 1.0, "chrf": 2.0},
    )
    evaluation = evaluate.evaluate_split(words, model, data, "test")
    names = [f"{name}{suffix}" for suffix in ("", "_beam", "_same_examples") for name in ("bleu", "chrf")]
    assert set(names) <= set(evaluation.metrics)
    assert {"bleu", "chrf"} <= set(evaluation.metrics["intervals"])
    _, (_, first), (same, _), (texts, references), *_ = (tuple(map(list, call)) for call in written)
    targets = [example["target"].decode() for example in data.test.as_numpy_iterator()]
    assert references == [target.lower().replace("!", " !") for target in targets], (
        "not words, or [UNK] in place of them"
    )
    assert any(word not in data.info.vocabulary for text in references for word in text.split())
    assert (first, same) == (references[:3], texts[:3])
    assert len(texts) == len(references) == data.info.counts["test"] == len(evaluation.truth)
    monkeypatch.undo()
    scores = sequence_metrics.sentence_scores(texts, references)
    assert scores["bleu"] == sacrebleu.corpus_bleu(texts, [references]).score
    assert scores["chrf"] == sacrebleu.corpus_chrf(texts, [references]).score


def test_bleu_of_a_known_corpus():
    """Four precisions of 4/5, 3/4, 2/3 and 1/2: the fourth root of their product, which is 1/5."""
    assert sequence_metrics.sentence_scores(["a b c d e"], ["a b c d f"])["bleu"] == pytest.approx(100 * 0.2**0.25)
    shorter = sequence_metrics.sentence_scores(["a b c d e"], ["a b c d e f"])["bleu"]
    assert shorter == pytest.approx(100 * np.exp(1 - 6 / 5))  # brevity penalty


@pytest.mark.extended
def test_without_sacrebleu_the_scores_are_absent_with_a_remark(words, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    data = words.load_data()
    metrics = evaluate.evaluate_split(words, words.build(data.info), data, "validation").metrics
    (remark,) = metrics["remarks"]
    assert remark.startswith("BLEU and chrF need sacrebleu")
    assert remark.endswith("pip install 'sacrebleu>=2.5'")
    assert not {"bleu", "chrf"} & set(metrics)
    assert "exact" in metrics


@pytest.mark.extended
def test_training_starts_at_the_frequencies_of_the_words_of_targets(words):
    data = words.load_data()
    model = words.build(data.info)
    words.task.initialize(model, data)
    probabilities = dict(zip(data.info.vocabulary, np.exp(model.logits.bias.numpy()), strict=True))
    assert sum(probabilities.values()) == pytest.approx(1, rel=1e-5)
    assert probabilities["[END]"] == max(probabilities.values())
    targets = [words.task._tokenizers(data.info)[1].split(e["target"].decode()) for e in data.train.as_numpy_iterator()]
    count = sum(target.count("cat") for target in targets)
    assert probabilities["cat"] / probabilities["[END]"] == pytest.approx(
        (count + 0.1) / (len(targets) + 0.1), rel=1e-5
    )
    assert probabilities["the"] < 0.01, "a word of sources"
    dates = Translation()
    dates.initialize(None, data)  # characters: nothing is changed


@pytest.mark.extended
def test_the_epoch_of_sentences_is_chosen_by_cross_entropy(words):
    assert words.task.monitor == "val_loss"
    assert plan.make_plan("attention").task.monitor == "val_sequence_error_rate"
    assert Translation(target_level="words").monitor == "val_loss"


TASK = Translation(level="characters", target_level="symbols", lowercase=True)


@pytest.fixture(scope="module")
def data():
    return TASK.prepare(pipelines.load("cmudict", data_dir=FIXTURES / "pronunciations.tsv"))


def test_letters_and_phonemes_have_ids_of_their_own(data):
    count = data.info.statistics["source_tokens"]
    letters, phonemes = data.info.vocabulary[len(SPECIAL) : count], data.info.vocabulary[count:]
    assert set("abcdefghijklmnopqrstuvwxyz") <= set(letters)
    assert {"AA", "B", "HH", "ZH"} <= set(phonemes)
    reader, writer = TASK._tokenizers(data.info)
    assert max(reader.encode("Baxter's")) < count <= min(writer.encode("B AE K S T ER Z"))
    assert reader.decode(reader.encode("BaXter")) == "baxter"


@pytest.mark.extended
def test_batches_have_no_column_of_padding_only_and_the_same_loss(data):
    feed = TASK.examples(data.train, data.info, None, {}, training=True)
    whole, cut = (next(iter(feed.batches(8, augmented=augmented))) for augmented in (False, True))
    assert cut[1].shape[1] < whole[1].shape[1]
    assert np.asarray(cut[0]["source"])[:, -1].any()
    assert (np.asarray(cut[1])[:, -1] != 0).any()
    rows = np.asarray(cut[1]).shape[1]
    np.testing.assert_array_equal(whole[1][:, :rows], cut[1])
    loss = TASK.compile_arguments(None, Recipe(label_smoothing=0.1), data.info)["loss"]
    keras.utils.set_random_seed(0)
    logits = np.random.default_rng(0).normal(size=(*whole[1].shape, len(data.info.vocabulary))).astype("float32")
    assert float(loss(whole[1], logits)) == pytest.approx(float(loss(cut[1], logits[:, :rows])), rel=1e-5)
    empty = ({"source": np.zeros((2, 3), "int32"), "target": np.full((2, 2), END)}, np.array([[END, 0], [END, 0]]))
    assert _without_common_padding(empty, None)[1].shape == (2, 1)


def test_one_of_several_pronunciations_is_enough():
    words, written, accepted = ["a", "a", "the"], ["EY", "EY", "DH AH"], ["AH", "EY", "DH IY"]
    assert np.nanmean(sequence_metrics.exact_matches(words, written, accepted)) == 0.5

    def error_rate(sources, *pairs):
        errors, tokens = sequence_metrics.token_errors(sources, *pairs)
        return np.nansum(errors) / max(1, np.nansum(tokens))

    tokens = [[text.split() for text in texts] for texts in (written, accepted)]
    assert error_rate(words, *tokens) == pytest.approx(1 / 3)
    assert error_rate(["x"], [[]], [["B"]]) == 1
    assert error_rate(["x"], [["B"]], [[]]) == 1
    assert error_rate(["x"], [[]], [[]]) == 0


@pytest.mark.proof
def test_every_runtime_writes_the_same_phonemes(trained):
    run = trained("grapheme_to_phoneme")
    rows, _, images = predict.run(run, ["Keras", "keras"], top_k=1)
    assert rows[0]["output"] == rows[1]["output"]
    assert set(images) == {"Keras", "keras"}
    info = json.loads((run / "config.json").read_text())["info"]
    assert set(rows[0]["output"].split()) <= set(info["vocabulary"][info["statistics"]["source_tokens"] :]) | {"[UNK]"}
    served, lite = (export.load(run / "bundle", runtime) for runtime in ("saved_model", "tflite"))
    outputs = served["text"](text=np.array([b"KERAS"], object))
    names = {}
    card = (run / "bundle" / "README.md").read_text()
    snippet = card.split("## Token ids of a text\n\n```python\n")[1].split("```")[0]
    exec(snippet.replace('"vocabulary.json"', repr(str(run / "bundle" / "vocabulary.json"))), names)
    tokens = lite["greedy"](source=names["tokens"](b"KERAS")[None])["tokens"]
    assert outputs["tokens"].tolist() == tokens.tolist()
    metrics = json.loads((run / "evaluation.json").read_text())["metrics"]
    assert {"exact", "token_error_rate", "exact_beam", "token_accuracy"} <= set(metrics)


def test_an_unknown_level_is_refused():
    with pytest.raises(UsageError, match=r"task\.target_level"):
        Translation(target_level="syllables")
