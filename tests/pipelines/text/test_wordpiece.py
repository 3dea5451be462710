import numpy as np
import pytest
import tensorflow as tf

from pipelines.text import wordpiece, words
from tests.pipelines.text.test_words import TEXTS
from tests.plugins.tiers import first

PIECES = ["un", "##aff", "##able", "##a", "##b", "a", "b", "film", "##s", "!", "'", "東", "cafe", "ᄒ", "##ᅡ"]
VOCABULARY = (*wordpiece.SPECIAL, *PIECES)
INDEX = words.index(VOCABULARY)
MORE = [
    b"unaffable films! FILMS' unaffablex",
    b"a" * 100,
    b"a" * 101,
    b"[SEP] [PAD]",
    "caf\u00e9 cafe\u0301 CAF\u00c9 \u6771\u4eac a\u6771b \ud558 a\u200bb \ufffd \ue000a \U000e0041".encode(),
]


@pytest.mark.parametrize("raw", first([*TEXTS, *MORE]), ids=range(len(TEXTS) + len(MORE)))
def test_python_and_graph_give_the_same_words_and_ids(raw):
    inside = wordpiece.split_tensor(tf.constant([raw])).to_list()[0]
    assert [w.decode() for w in inside] == wordpiece.split(raw)
    ids = tf.function(lambda t: wordpiece.encode_tensor(t, VOCABULARY, 12))(tf.constant([raw])).numpy()
    assert ids.dtype == np.int32
    assert ids[0].tolist() == wordpiece.encode(raw, INDEX, 12).tolist()


def test_several_texts_at_once_are_as_one_by_one():
    texts = [*TEXTS[:-2], *MORE]
    ids = wordpiece.encode_tensor(tf.constant(texts), VOCABULARY, 20).numpy()
    assert ids.tolist() == [wordpiece.encode(text, INDEX, 20).tolist() for text in texts]
    assert wordpiece.encode_tensor(tf.constant([], tf.string), VOCABULARY, 20).shape == (0, 20)


def pieces(text):
    return [VOCABULARY[i] for i in wordpiece.encode(text, INDEX)][1:-1]


def test_the_longest_piece_comes_first():
    assert pieces("unaffable Films!") == ["un", "##aff", "##able", "film", "##s", "!"]
    assert pieces("aab unaffablex") == ["a", "##a", "##b", "[UNK]"]  # a word of which a rest is unknown is unknown
    assert pieces("a" * 100) == ["a"] + ["##a"] * 99
    assert pieces("a" * 101) == ["[UNK]"]
    assert pieces("cafe\u0301 CAF\u00c9 a\u6771b") == ["cafe", "cafe", "a", "\u6771", "b"]
    assert pieces("\ud558") == ["\u1112", "##\u1161"]  # a syllable is decomposed
    assert "[SEP]" not in pieces("[SEP]")


def test_long_texts_are_cut_before_the_end_mark():
    assert wordpiece.encode("a b a b", INDEX, 4).tolist() == [2, INDEX["a"], INDEX["b"], 3]


def test_a_vocabulary_of_texts_knows_each_of_their_words():
    vocabulary = wordpiece.vocabulary(["The film, the end.", b"Films \xff"], 30)
    assert vocabulary[:4] == wordpiece.SPECIAL
    assert "the" in vocabulary
    assert "film" not in vocabulary
    assert 1 not in wordpiece.encode("the films end", words.index(vocabulary))
    assert 1 in wordpiece.encode("quiz", words.index(vocabulary))


@pytest.mark.needs("third_party")  # keras-hub brings the tokenizers
def test_the_ids_are_those_of_the_tokenizers_library():
    """All characters below U+3000 whose properties have not changed since Unicode 8, inside and outside of words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    reference = Tokenizer(models.WordPiece(INDEX, unk_token=wordpiece.UNKNOWN, max_input_chars_per_word=100))
    reference.normalizer = normalizers.BertNormalizer(lowercase=True)
    reference.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    codes = range(0x3000)
    texts = [f"a{chr(code)}b {chr(code)} film{chr(code)}" for code in codes]
    differ = [
        code
        for code, text, other in zip(codes, texts, reference.encode_batch(texts), strict=True)
        if wordpiece.encode(text, INDEX).tolist()[1:-1] != other.ids
    ]
    assert len(differ) < 260  # marks, and accents, that came later
    assert not [code for code in differ if code < 0x600]
