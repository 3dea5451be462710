import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import text
from pipelines.datasets import shakespeare
from pipelines.text import characters
from tests.pipelines.conftest import FIXTURES

PLAY = FIXTURES / "shakespeare.txt"
EDGE_CASES = [
    b"",
    b"MACBETH:\nSo foul and fair a day",
    "\U0001f600 \u05e9\u05dc\u05d5\u05dd e\u0301 \u00e9 \u200d\ufeff".encode(),
    b"a\0b\x01\x7f",
    b"\xff\xfe bad \xc3\x28 \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf end",
    b"x" * 1_000_000,
]


@pytest.fixture(scope="module")
def vocabulary():
    return text.vocabulary([PLAY.read_text(), "\u00e9\U0001f600"])


def test_vocabulary_is_in_code_point_order_and_contains_the_unknown_character(vocabulary):
    assert list(vocabulary) == sorted(set(vocabulary))
    assert text.UNKNOWN in vocabulary
    assert vocabulary[-1] == "\U0001f600"


@pytest.mark.parametrize("raw", EDGE_CASES, ids=range(len(EDGE_CASES)))
def test_numpy_and_tensorflow_give_the_same_ids(raw, vocabulary, monkeypatch):
    monkeypatch.setattr(characters, "BLOCK", 16)
    inside = tf.function(lambda t: text.encode_tensor(t, vocabulary))(raw).numpy()
    outside = text.encode(raw, vocabulary)
    assert inside.dtype == outside.dtype == np.int32
    assert inside.tolist() == outside.tolist()
    assert outside.size == 0 or 0 <= outside.min() <= outside.max() < len(vocabulary)


def test_batches_are_ragged(vocabulary):
    ids = text.encode_tensor(tf.constant(EDGE_CASES[:3]), vocabulary)
    assert [row.tolist() for row in ids.numpy()] == [text.encode(raw, vocabulary).tolist() for raw in EDGE_CASES[:3]]


def test_ids_outside_are_refused(vocabulary):
    with pytest.raises(pipelines.DataError, match="vocabulary is 0"):
        text.decode([len(vocabulary)], vocabulary)


def test_windows_predict_each_token_once():
    pairs = list(text.windows(np.arange(10), 3).as_numpy_iterator())
    assert [(x.tolist(), y.tolist()) for x, y in pairs] == [
        ([0, 1, 2], [1, 2, 3]),
        ([3, 4, 5], [4, 5, 6]),
        ([6, 7, 8], [7, 8, 9]),
    ]
    assert len(text.windows(np.arange(10), 3, stride=1)) == 7
    assert pipelines.feed(text.windows(np.arange(10), 3)).count == 3
    with pytest.raises(pipelines.DataError, match="too few"):
        text.windows(np.arange(3), 3)


def test_a_play_is_stripped_to_speakers_and_lines():
    markdown = (
        "# Play\n\n## ACT I\n\n_Enter A, and\nothers_\n\n**FIRST  WITCH**  \n_\\[Aside]_  \nWhen shall we,  \n"
        "three?\n\n_Exit_\n\n*Alarum.*\n\nAgain\\--so.\n\n**BOTH**\n[within]\n\n**A**\nHo!\n"
    )
    assert shakespeare.plain(markdown) == "FIRST  WITCH:\nWhen shall we,\nthree?\nAgain--so.\n\nA:\nHo!\n"


@pytest.mark.parametrize("split", ["official", "60/20/20"])
def test_own_text_is_divided_at_line_ends_without_loss(split, tmp_path):
    data = pipelines.load("shakespeare", data_dir=PLAY, split=split)
    parts = [b"".join(e["text"] for e in data[name].as_numpy_iterator()) for name in ("train", "validation", "test")]
    assert b"".join(parts) == PLAY.read_bytes()
    assert all(part.endswith(b"\n") for part in parts)
    share = len(parts[0]) / PLAY.stat().st_size
    assert share == pytest.approx(0.9 if split == "official" else 0.6, abs=0.01)
    assert data.info.vocabulary == text.vocabulary([parts[0].decode()])


def test_a_folder_of_texts_is_read_in_order(tmp_path):
    (tmp_path / "b.txt").write_text("second\n" * 50)
    (tmp_path / "a.txt").write_text("first\n" * 50)
    train = next(iter(pipelines.load("shakespeare", data_dir=tmp_path).train))["text"].numpy()
    assert train.startswith(b"first\n")
    assert b"second" in train


def test_invalid_text(tmp_path):
    with pytest.raises(pipelines.DataError, match="not a folder of them"):
        pipelines.load("shakespeare", data_dir=tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 au lait")
    with pytest.raises(pipelines.DataError, match="not UTF-8"):
        pipelines.load("shakespeare", data_dir=tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"a")
    with pytest.raises(pipelines.DataError, match="too few"):
        pipelines.load("shakespeare", data_dir=tmp_path)


@pytest.mark.proof
def test_the_plays_are_complete(tmp_path):
    data = pipelines.load("shakespeare", cache_dir=tmp_path)
    assert data.info.statistics["train_characters"] > 900_000
