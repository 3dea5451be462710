"""Python, a graph and the tokenizer of MediaPipe split texts into the same ids."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.text import delimited_words, words

VOCABULARY = ("", "[UNK]", "film", "good", "don't", "ärger", "1984", "FILM")
TEXTS = {
    "A GOOD film!": [1, 3, 2],
    "'Good' FILM, Film; fIlm": [3, 2, 2, 1],
    "don't ''Don't'' DON'T 'tis": [4, 4, 4, 1],
    "ärger Ärger 1984": [5, 1, 6],
    "": [],
    "  !?  '' ": [],
    "good\U0001f642film good\nfilm": [1, 3, 2],
    "good-film/good": [3, 2, 3],
}


@pytest.mark.parametrize("text", TEXTS)
def test_words_of_a_text(text):
    index = delimited_words.index(VOCABULARY)
    assert delimited_words.encode(text, index).tolist() == TEXTS[text]


def test_a_graph_returns_the_same_ids():
    index = delimited_words.index(VOCABULARY)
    texts = [*TEXTS, "good " * 20]
    ids = delimited_words.encode_tensor(tf.constant(texts), VOCABULARY, 6).numpy()
    assert ids.dtype == np.int32
    assert ids.tolist() == [delimited_words.encode(text, index, 6).tolist() for text in texts]


def test_the_vocabulary_counts_lower_case():
    assert delimited_words.split("The THE the 'Tis") == ["the", "the", "the", "tis"]
    assert delimited_words.counted is words.counted
