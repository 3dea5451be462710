import numpy as np
import pytest
import tensorflow as tf

from pipelines.text import words
from tests.pipelines.text.test_text import EDGE_CASES

TEXTS = [
    *EDGE_CASES,
    b"",
    b"It's a 'quoted' thing -- isn't it? YES!!",
    "\u00dcn\u00efc \u0130st \u03a3\u03c3\u03c2 e\u0301 \U0001f642\U0001f642 \u05e9\u05dc\u05d5\u200f \u0645".encode(),
    b"''' ' 'a' b' 'c\n\tn't \x00nul\x00inside\x85 \xe2\x80\xa8",
    b"word " * 200_000,
    b"\xff\xfebad \xed\xa0\x80\xf4\x90\x80\x80 cafe\xcc\x81",
]
VOCABULARY = words.vocabulary(
    ["it's a yes ! bad isn't", "it's a quoted cafe\u0301 bad \U0001f642 a yes ? ? !", "word word nul nul"], 30
)


@pytest.mark.parametrize("raw", TEXTS, ids=range(len(TEXTS)))
def test_python_and_graph_give_the_same_words_and_ids(raw):
    inside = words.split_tensor(tf.constant([raw])).to_list()[0]
    assert [w.decode() for w in inside] == words.split(raw)
    ids = tf.function(lambda t: words.encode_tensor(t, VOCABULARY, 12))(tf.constant([raw])).numpy()
    assert ids.dtype == np.int32
    assert ids.shape == (1, 12)
    assert ids[0].tolist() == words.encode(raw, words.index(VOCABULARY), 12).tolist()


def test_words_are_split_at_separators():
    assert words.split("It's 'so' Bad--isn't it?!") == ["it's", "so", "bad", "isn't", "it", "?", "!"]
    assert words.split("fun\U0001f642now") == ["fun", "\U0001f642", "now"]
    assert words.split("\ud800 lone") == ["lone"]


def test_vocabulary_is_ranked_and_rare_words_are_unknown():
    assert VOCABULARY[:2] == ("", "[UNK]")
    assert "quoted" not in VOCABULARY
    ids = words.encode("a quoted yes", words.index(VOCABULARY))
    assert ids.tolist() == [VOCABULARY.index("a"), 1, VOCABULARY.index("yes")]


def test_no_words_at_all_is_padding():
    assert words.encode_tensor(tf.constant([b"", b"..."]), VOCABULARY, 3).numpy().tolist() == [[0] * 3] * 2
    assert words.encode_tensor(tf.constant([b"a b"]), ("", "[UNK]"), 3).numpy().tolist() == [[1, 1, 0]]
