"""Letters to phonemes: two vocabularies, upper case, several pronunciations of a word."""

import json

import keras
import numpy as np
import pytest

import export
import pipelines
from pipelines.text.sequences import END, SPECIAL
from tests.zoo.conftest import FIXTURES
from zoo import predict
from zoo.evaluation import sequence_metrics
from zoo.tasks.text.translation import Translation, _without_common_padding
from zoobase.errors import UsageError

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


def test_batches_have_no_column_of_padding_only_and_the_same_loss(data):
    feed = TASK.examples(data.train, data.info, None, {}, training=True)
    whole, cut = (next(iter(feed.batches(8, augmented=augmented))) for augmented in (False, True))
    assert cut[1].shape[1] < whole[1].shape[1]
    assert np.asarray(cut[0]["source"])[:, -1].any()
    assert (np.asarray(cut[1])[:, -1] != 0).any()
    rows = np.asarray(cut[1]).shape[1]
    np.testing.assert_array_equal(whole[1][:, :rows], cut[1])
    loss = TASK.compile_arguments(None, None, data.info)["loss"]
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
