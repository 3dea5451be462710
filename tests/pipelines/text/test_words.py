"""Python, a graph and the tokenizer of MediaPipe split texts into the same words and ids."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.text import delimited_words, words
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


DELIMITED = ("", "[UNK]", "film", "good", "don't", "ärger", "1984", "FILM")
DELIMITED_TEXTS = {
    "A GOOD film!": [1, 3, 2],
    "'Good' FILM, Film; fIlm": [3, 2, 2, 1],
    "don't ''Don't'' DON'T 'tis": [4, 4, 4, 1],
    "ärger Ärger 1984": [5, 1, 6],
    "": [],
    "  !?  '' ": [],
    "good\U0001f642film good\nfilm": [1, 3, 2],
    "good-film/good": [3, 2, 3],
}


@pytest.mark.parametrize("text", DELIMITED_TEXTS)
def test_words_of_a_text(text):
    index = delimited_words.index(DELIMITED)
    assert delimited_words.encode(text, index).tolist() == DELIMITED_TEXTS[text]


def test_a_graph_returns_the_same_ids():
    index = delimited_words.index(DELIMITED)
    texts = [*DELIMITED_TEXTS, "good " * 20]
    ids = delimited_words.encode_tensor(tf.constant(texts), DELIMITED, 6).numpy()
    assert ids.dtype == np.int32
    assert ids.tolist() == [delimited_words.encode(text, index, 6).tolist() for text in texts]


def test_the_vocabulary_counts_lower_case():
    assert delimited_words.split("The THE the 'Tis") == ["the", "the", "the", "tis"]
    assert delimited_words.counted is words.counted
