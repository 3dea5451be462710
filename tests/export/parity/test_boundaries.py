"""Both sides of every boundary of a comparison, differences of several runs, and outputs that are no evidence."""

import dataclasses

import numpy as np
import pytest

from export.contract import Contract, Endpoint, Tensor
from export.parity.cases import GoldenCase
from export.parity.comparison import (
    check_repeatability,
    compare_endpoint,
    compare_output,
    contract_violations,
    count_other_answers,
    exact_differences,
)
from export.parity.distance import count_top1, is_leading, top1
from export.parity.evidence import check_evidence
from export.parity.noise_floor import Policy
from export.protocol.arrays import Outputs

TOLERANCE = 1e-3
X = Tensor("x", "float32", (None, 1))


@pytest.mark.parametrize(
    ("scores", "leads"),
    [
        ([0.5, 0.4985], True),  # twice the tolerance, at one
        ([0.5, 0.4975], False),
        ([10.0, 9.985], True),  # in units of the row
        ([10.0, 9.975], False),
    ],
)
def test_a_score_is_tied_within_twice_the_tolerance_of_its_own_row(scores, leads):
    rows = np.array([scores, [1000.0, 0.0]])  # the second row must not widen the tolerance of the first
    assert is_leading(rows, np.array([1, 0]), TOLERANCE).tolist() == [leads, True]
    untied = top1(rows, rows[:, ::-1], TOLERANCE)[1]
    assert untied == (1 if leads else 2)


def test_class_ids_of_sequences_and_ids_that_are_no_class():
    scores = np.array([[[0.9, 0.1, 0.0]] * 4, [[0.0, 0.1, 0.9]] * 4])  # (2, 4, 3)
    ids = np.array([[0, 0, 3, -1], [2, 2, 0, 2]])
    leads = is_leading(scores, ids, np.array([1e-3, 1e-3]))
    np.testing.assert_array_equal(leads, [[True, True, False, False], [True, True, False, True]])
    assert count_top1([(scores[:, 0, :1], scores[:, 0, :1])], 1e-3) is None, "one column holds no classes"
    assert count_top1([(scores, scores)], 1e-3) == (8, 8)


def test_class_ids_may_differ_only_where_the_noise_of_the_scores_excuses_it():
    case = GoldenCase(
        "extremes",
        rows=("zeros", "ones"),
        outputs={"scores": np.array([[0.5, 0.499], [0.9, 0.1]], np.float32), "label": np.array([0, 0])},
        scores={"label": "scores"},
    )
    other = np.array([1, 0])
    assert compare_output(case, "label", other, 0.0, Policy()) == ["label in case extremes differs in 1 of 2 values"]
    noisy = dataclasses.replace(case, row_noise={"scores": np.array([1e-3, 0.0])})
    assert compare_output(noisy, "label", other, 0.0, Policy()) == []
    assert compare_output(noisy, "label", np.array([1, 1]), 0.0, Policy()) != []
    equal = dataclasses.replace(case, outputs=case.outputs | {"label": np.array([1, 0])})  # the reference's own choice
    assert compare_output(equal, "label", np.array([1, 0]), 0.0, Policy()) == []


def test_figures_of_images_have_their_size_and_every_output_has_figures():
    images = np.zeros((2, 4, 6, 3), np.float32)
    case = GoldenCase("a", outputs={"image": images, "y": np.ones((2, 2), np.float32)})
    outputs = Outputs({("a", "main", "image"): images + np.float32(1e-6), ("a", "main", "y"): case.outputs["y"]})
    comparison = compare_endpoint([case], outputs, {}, peaks={"image": 255.0})
    assert set(comparison.figures["outputs"]) == {"image", "y"}
    assert set(comparison.figures) == {"outputs", "noise", "reported"}
    figures = comparison.figures["outputs"]["image"]["images"]["4x6"]
    assert figures["psnr_db"] == pytest.approx(168.1, abs=0.05)
    assert figures["max_difference"] == pytest.approx(1e-6, rel=1e-3)


def test_what_the_contract_does_not_declare_is_said_in_full():
    y = Tensor("y", "string", (None, 2))
    one = GoldenCase("a", outputs={"x": np.zeros((1, 2)), "w": np.zeros(1)})
    assert contract_violations([one], [y, Tensor("x", "float32", (None, 2))]) == [
        "returns w, x where the contract declares y, x"
    ]
    texts = GoldenCase("a", outputs={"y": np.array([["a", "b"]], object)})
    reported = GoldenCase("nan", compared=False, outputs={"z": np.zeros(1)})
    assert contract_violations([texts, reported], [y]) == []
    numbers = GoldenCase("a", outputs={"y": np.zeros((1, 2), np.float32)})
    assert contract_violations([numbers], [y]) == ["y is float32 (1, 2) where the contract declares string (None, 2)"]


def test_answers_are_counted_by_shape_and_equal_up_to_rounding():
    def others(*outputs, name="y"):
        cases = [GoldenCase(str(v), {"x": np.zeros(len(v))}, outputs={name: np.array(v)}) for v in outputs]
        return count_other_answers(cases)[name]

    assert others([[1.0, 2.0], [1.0 + 1e-7, 2.0], [3.0, 4.0]]) == (1, 3)
    assert others([["a"], ["a"], ["b"]]) == (1, 3)
    assert others([[3.0], [1.0], [1.0 + 4e-7], [1.0 - 4e-7]]) == (1, 4), "three answers round to one"
    assert others([[-1e-9], [1e-9], [0.0], [5.0], [5.0]]) == (2, 5), "zeros of both signs are one answer"
    assert others([[1.0]], [[1.0, 2.0]]) == (0, 2), "rows of another shape are not compared"


def test_constant_columns_are_counted_in_units_of_each_column():
    contract = Contract((Endpoint("e", (X,), (Tensor("y", "float32", (None, 8)),)),))
    values = np.tile(np.arange(8.0), (3, 1))
    values[:, 0] = [1e6, 2e6, 3e6]  # a large column must not make small ones constant
    values[:, 1] = [1.0, 1.0 + 1.5e-6, 1.0]  # more than CONSTANT, at one

    def notes():
        case = GoldenCase("a", {"x": np.zeros((3, 1))}, outputs={"y": values})
        return " ".join(check_evidence(contract, {"e": [case]})[1])

    assert "6 of 8 columns (2, 3, 4, 5, 6 and 1 more)" in notes()
    values[:, 7] = [0, 1, 2]
    assert "5 of 8 columns (2, 3, 4, 5, 6)" in notes()


def outputs(case, **values):
    return Outputs({(case, "main", name): np.asarray(value) for name, value in values.items()})


def test_repeatability_looks_at_every_output():
    case = GoldenCase("a", outputs={"first": np.zeros(2), "second": np.zeros(2)})
    found = Outputs({("a", v, "second"): np.full(2, i) for i, v in enumerate(("main", "again"))})
    assert len(check_repeatability([case], found)) == 1


def test_every_output_is_asked_for_evidence():
    names = ("text", "label", "bad", "worse", "fixed", "good")
    tensors = tuple(Tensor(name, "float32", (None,)) for name in names)
    contract = Contract((Endpoint("e", (X,), tensors),))
    case = GoldenCase(
        "a",
        {"x": np.zeros((3, 1))},
        outputs={
            "text": np.array([b"a", b"a", b"a"], object),
            "label": np.array([1, 1, 1]),
            "bad": np.array([np.nan, 1.0, 2.0]),
            "worse": np.array([0.0, np.nan, 2.0]),
            "fixed": np.array([1.0, 1.0, 1.0]),
            "good": np.array([1.0, 2.0, 3.0]),
        },
    )
    failures, notes = check_evidence(contract, {"e": [case]})
    assert [text.partition(" ")[0] for text in failures] == ["bad", "worse", "fixed"]
    assert "row 0 of case a" in failures[0]
    assert "row 1 of case a" in failures[1]
    assert [text.partition(" ")[0] for text in notes] == ["text", "label"]
    varied = GoldenCase("a", case.inputs, outputs={**case.outputs, "label": np.array([1, 2, 1])})
    assert [text.partition(" ")[0] for text in check_evidence(contract, {"e": [varied]})[1]] == ["text"]


def test_an_equal_class_is_right_although_another_one_leads():
    case = GoldenCase(
        "a",
        outputs={"label": np.array([0, 0]), "scores": np.array([[0.1, 0.9], [0.9, 0.1]])},
        scores={"label": "scores"},
    )
    assert compare_output(case, "label", np.array([0, 0]), 0.0, Policy()) == []
    (message,) = compare_output(case, "label", np.array([0, 1]), 0.0, Policy())
    assert "differs in 1 of 2 values" in message


def test_exact_differences_names_what_is_not_equal():
    expected = {"y": np.array([1.0, np.nan]), "z": np.array([b"1"], object)}
    assert list(exact_differences(expected, dict(expected), "reply")) == []
    shape, value = {**expected, "y": np.zeros((1, 2))}, {**expected, "z": np.array([b"2"], object)}
    assert list(exact_differences(expected, shape, "reply")) == ["y of shape (2,) is decoded from a reply as (1, 2)"]
    assert list(exact_differences(expected, value, "reply")) == ["z is decoded from a reply with other values"]
    both = {"y": np.zeros((1, 2)), "z": value["z"]}
    assert len(list(exact_differences(expected, both, "reply"))) == 2
    (message,) = exact_differences(expected, {"y": expected["y"]}, "reply")
    assert message == "a reply with y, z is decoded with y"


FOUR_ROWS = np.arange(4, dtype="float32").reshape(4, 1)


def check(value, dtype="float32", rows=(), unstable=(), compared=True):
    value = np.asarray(value, None if dtype == "string" else dtype)
    tensor = Tensor("y", dtype, (None, *value.shape[1:]))
    contract = Contract((Endpoint("e", (X,), (tensor,)),))
    case = GoldenCase("c", {"x": FOUR_ROWS}, rows=rows, outputs={"y": value}, unstable_rows=unstable, compared=compared)
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
