"""Pieces of byte pair encoding: Python against the graph and the formulas, for any bytes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.text import byte_pairs
from tests.pipelines.text.test_words import TEXTS

PIECES = (
    "▁▁",
    "▁t",
    "he",
    "▁the",
    "in",
    "at",
    "▁c",
    "ing",
    "n",
    "a",
    "aa",
    "▁",
    "t",
    "h",
    "e",
    "c",
    "i",
    "g",
    "\u4f60",
)
VOCABULARY = ("<unk>", "<s>", "</s>", *map(byte_pairs.BYTE.format, range(256)), *PIECES)
INDEX = byte_pairs.index(VOCABULARY)


@pytest.fixture(scope="module")
def graph():
    spec = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda texts: byte_pairs.encode_tensor(texts, VOCABULARY, 24), input_signature=spec)


def pieces(text):
    return [VOCABULARY[i] for i in byte_pairs.encode(text, INDEX)]


def test_pairs_are_merged_in_the_order_of_the_vocabulary():
    assert pieces("the cat") == ["▁the", "▁c", "at"]
    assert pieces("  the") == ["▁▁", "▁the"]  # spaces come last: that before the word is its own
    assert pieces("thing") == ["▁t", "h", "ing"]  # "in" first, then "ing"
    assert pieces("aaa") == ["▁", "aa", "a"]
    assert pieces("\u4f60\u00e9<s>") == ["▁", "\u4f60", "<0xC3>", "<0xA9>", "<0x3C>", "<0x73>", "<0x3E>"]
    assert pieces("") == []
    assert byte_pairs.encode("the " * 9, INDEX, 3).tolist() == [INDEX["▁the"]] * 3


def test_long_words_are_divided(graph):
    text = "a" * (2 * byte_pairs.LONGEST + 1)
    assert [len(word) for word in byte_pairs.split(text)] == [byte_pairs.LONGEST, byte_pairs.LONGEST, 2]
    np.testing.assert_array_equal(graph(tf.constant([text]))[0], byte_pairs.encode(text, INDEX, 24))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30) | st.text("the cating▁ \u4f60", max_size=40).map(str.encode), max_size=4))
def test_the_graph_returns_the_ids_of_python(graph, texts):
    texts = [*texts, *TEXTS[:2]]
    expected = [byte_pairs.encode(text, INDEX, 24) for text in texts]
    np.testing.assert_array_equal(graph(tf.constant(texts, tf.string)), expected)


def test_no_text_and_no_texts(graph):
    assert graph(tf.constant([], tf.string)).shape == (0, 24)
    assert not graph(tf.constant([""])).numpy().any()
