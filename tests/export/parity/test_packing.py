"""Golden inputs in which every value occurs."""

import numpy as np
import pytest

from export.contract import Tensor
from export.proof.table_search import capacity_of, choices_of, drawn_choices, packed_values

KINDS = tuple("abcde")
TENSORS = {
    "ids": Tensor("ids", "int32", (None, 6), "token", 0, 49),
    "open length": Tensor("ids", "int64", (None, None), "token", 1, 49),
    "ids as numbers": Tensor("ids", "float32", (None, 2, 3), "token", 0, 20),
    "strings": Tensor("kind", "string", (None, 1), "category", vocabulary=KINDS),
    "integers": Tensor("kind", "int64", (None,), "category", vocabulary=(7, -3, 900)),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=list(TENSORS))
def test_every_choice_occurs(tensor):
    choices, width = choices_of(tensor), capacity_of(tensor)
    rows = -(-len(choices) // width)
    values = packed_values(tensor, np.resize(choices, (rows, width)))
    assert tensor.fits(values.shape)
    assert drawn_choices(tensor, values).tolist() == choices.tolist()


def test_columns_with_tables_of_their_own():
    tensor = Tensor("ids", "int32", (None, 3), "token", 0, (4, 99, 6))
    assert capacity_of(tensor) == 1
    values = packed_values(tensor, choices_of(tensor)[:, None])
    assert [len(np.unique(column)) for column in values.T] == [5, 100, 7]
    assert values.max(axis=0).tolist() == [4, 99, 6]


def test_texts_are_made_of_words():
    tensor = Tensor("line", "string", (None, 1), "text", vocabulary=("", "[UNK]", *KINDS))
    choices = choices_of(tensor)
    assert choices.tolist() == [2, 3, 4, 5, 6]
    assert set(packed_values(tensor, choices[None])[0, 0].decode().split()) == set(KINDS)


def test_numbers_have_no_choices():
    assert choices_of(Tensor("x", "float32", (None, 3))) is None
