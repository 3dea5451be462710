"""Pairs of texts: generated dates, the user's table, sequences with start and end tokens."""

import datetime
import hashlib

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines.datasets import cmudict, dates
from pipelines.text import sequences
from tests.pipelines.text.test_words import TEXTS

PAIRS = ["It's 3 March, it's 3 March!!", "1987-03-03", "caf\u00e9 bad \U0001f642", "a a bad yes"]


def _rows(split):
    return [(e["source"].decode(), e["target"].decode()) for e in split.as_numpy_iterator()]


@pytest.mark.extended
def test_dates_are_deterministic_and_no_day_is_in_two_splits():
    data = pipelines.load("dates")
    parts = {name: _rows(data[name]) for name in ("train", "validation", "test")}
    assert {name: len(rows) for name, rows in parts.items()} == dates.COUNTS
    days = [{target for _, target in rows} for rows in parts.values()]
    assert sum(map(len, days)) == len(set().union(*days)) == sum(dates.COUNTS.values())
    contents = "\n".join(f"{a}\t{b}" for rows in parts.values() for a, b in rows)
    assert hashlib.sha256(contents.encode()).hexdigest()[:16] == "b04932e43f0f7294"


def test_every_form_of_a_date():
    day = datetime.date(2021, 2, 1)
    texts = [dates.format_date(day, form) for form in dates.FORMS]
    assert texts[6] == "Monday, February 1, 2021"
    assert texts[4] == "February 1st, 2021"
    assert [dates.format_date(datetime.date(2000, 1, d), "{d}{th}") for d in (2, 3, 11, 12, 13, 21)] == [
        *("2nd", "3rd", "11th", "12th", "13th", "21st")
    ]
    every = [
        dates.format_date(datetime.date(2000, m, d), f) for m in range(1, 13) for d in range(1, 29) for f in dates.FORMS
    ]
    assert len(set(every)) == len(every), "two dates have the same text"


def test_the_users_own_pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("target\tsource\n" + "".join(f"um {i}\tone {i}\n" for i in range(200)))
    data = pipelines.load("ted_hrlr_translate", data_dir=path)
    rows = [row for name in ("train", "validation", "test") for row in _rows(data[name])]
    assert sorted(rows) == sorted((f"one {i}", f"um {i}") for i in range(200))
    path.write_text("from\tto\na\tb\n")
    with pytest.raises(pipelines.DataError, match="no column 'source'"):
        pipelines.load("dates", data_dir=path)
    with pytest.raises(pipelines.DataError, match=r"not a \.csv or \.tsv"):
        pipelines.load("dates", data_dir=tmp_path)


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("level", sequences.LEVELS)
@pytest.mark.parametrize("others", [0, 5])
def test_python_and_graph_give_the_same_ids_and_texts(level, others, lowercase):
    own = sequences.vocabulary(PAIRS, level, 20)
    vocabulary = (*sequences.SPECIAL, *"ABCDE"[:others], *own[4:], "F", "G")
    tokenizer = sequences.Tokenizer(vocabulary, level, 4 + others, len(own) - 4, lowercase)
    allowed = {1, *range(4 + others, len(vocabulary) - 2)}
    inside = tf.function(lambda t: tokenizer.encode_tensor(t, 12))(tf.constant(TEXTS)).numpy()
    for raw, ids in zip(TEXTS, inside, strict=True):
        outside = tokenizer.encode(raw)[:12]
        assert ids.tolist() == np.pad(outside, (0, 12 - len(outside))).tolist()
        assert set(outside.tolist()) <= allowed
    written = np.array([[4, 5, 0, 3, 6, 7], [2, 0, 3, 0, 0, 0], [6, 1, 6, 0, 0, 0]])
    spelled = tf.function(tokenizer.decode_tensor)(written).numpy()
    assert [text.decode() for text in spelled] == [tokenizer.decode(row) for row in written]


def test_the_end_token_follows_the_last_token():
    assert sequences.with_end_token(tf.constant([5, 6, 0])).numpy().tolist() == [5, 6, sequences.END, 0]
    assert sequences.with_end_token(tf.constant([5, 6, 7])).numpy().tolist() == [5, 6, 7, sequences.END]


def test_lower_case_is_of_ascii_letters_only():
    tokenizer = sequences.Tokenizer((*sequences.SPECIAL, *"ab\u00e9\ufffd"), "characters", lowercase=True)
    assert tokenizer.decode(tokenizer.encode("AB\u00c9")) == "ab\ufffd"


def test_round_trip():
    tokenizer = sequences.Tokenizer(sequences.vocabulary(PAIRS, "characters", 0), "characters")
    assert [tokenizer.decode(tokenizer.encode(text)) for text in PAIRS] == PAIRS


def test_lines_of_the_pronouncing_dictionary():
    assert cmudict.parse("a(2) EY1") == ("a", "EY")
    assert cmudict.parse("'bout B AW1 T") == ("'bout", "B AW T")
    assert cmudict.parse("a.d. EY2 D IY1") is None
