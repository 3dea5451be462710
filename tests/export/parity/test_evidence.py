"""Golden outputs that are no evidence: constants, and NaN on legal inputs."""

import numpy as np
import pytest

from export.contract import Contract, Endpoint, Tensor
from export.parity.cases import GoldenCase
from export.parity.evidence import check_evidence

X = np.arange(4, dtype="float32").reshape(4, 1)


def check(value, dtype="float32", rows=(), unstable=(), compared=True):
    value = np.asarray(value, None if dtype == "string" else dtype)
    tensor = Tensor("y", dtype, (None, *value.shape[1:]))
    contract = Contract((Endpoint("e", (Tensor("x", "float32", (None, 1)),), (tensor,)),))
    case = GoldenCase("c", {"x": X}, rows=rows, outputs={"y": value}, unstable_rows=unstable, compared=compared)
    return check_evidence(contract, {"e": [case]})


def test_numbers_that_vary_are_evidence():
    assert check([[0, 1], [2, 3], [4, 5], [6, 7]]) == ([], [])


@pytest.mark.parametrize(("dtype", "value"), [("int32", [3] * 4), ("string", [b"a"] * 4), ("bool", [True] * 4)])
def test_constants_fail_only_where_they_are_real_numbers(dtype, value):
    failures, _ = check([[1.0]] * 4)
    assert "y of e is the same for every input" in failures[0]
    assert check(value, dtype) == ([], ["y of e is the same for every input"])


def test_a_constant_column_is_noted():
    assert check([[0, 1], [2, 1], [4, 1], [6, 1]]) == (
        [],
        ["1 of 2 columns (1) of y of e are the same for every input"],
    )


def test_nan_on_legal_inputs_is_named():
    nan = np.nan
    assert check([[0, nan], [1, nan], [2, nan], [3, nan]])[0] == ["y of e is NaN on legal inputs: value 1 of every row"]
    assert check([[0, 1], [1, 2], [nan, 3], [3, 4]])[0] == ["y of e is NaN on legal inputs: row 2 of case c"]
    names = ("plain", "empty", "long", "emoji")
    text = [[0], [nan], [1], [2]]
    assert check(text, rows=names)[0] == ["y of e is NaN on legal inputs: row 1 (empty) of case c"]
    assert check(text, rows=names, unstable=(1,)) == ([], [])
    assert check(text, compared=False) == ([], [])


def test_infinity_fails_on_ordinary_rows_and_is_noted_on_extreme_ones():
    value = [[0], [np.inf], [1], [2]]
    assert check(value)[0] == ["y of e is infinite on legal inputs: row 1 of case c"]
    assert check(value, rows=tuple("abcd")) == ([], ["y of e is infinite on legal inputs: row 1 (b) of case c"])
