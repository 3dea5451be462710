"""Differences between several runs, and rows in which two models agree."""

import numpy as np
import pytest

from export.contract import Contract, Endpoint, Tensor
from export.parity.cases import GoldenCase
from export.parity.comparison import (
    agreeing_rows,
    check_repeatability,
    compare_output,
    count_other_answers,
    exact_differences,
    pairwise_differences,
)
from export.parity.evidence import check_evidence
from export.parity.noise_floor import Policy
from export.protocol.arrays import Outputs

X = Tensor("x", "float32", (None, 1))


def outputs(case, **values):
    return Outputs({(case, "main", name): np.asarray(value) for name, value in values.items()})


def test_the_two_runs_that_differ_most_are_named():
    reference = np.array([[1.0, 2.0], [100.0, 0.0]])
    case = GoldenCase("a", outputs={"y": reference})
    cases = {"e": [case, GoldenCase("b", outputs={"y": reference}, compared=False)]}
    larger, smaller = reference.copy(), reference.copy()
    larger[0, 1] += 0.5
    smaller[1, 0] -= 10
    runs = {
        "p": {"e": outputs("a", y=reference)},
        "q": {"e": outputs("a", y=larger)},
        "r": {"e": outputs("a", y=smaller)},
        "of another shape": {"e": outputs("a", y=reference[:1])},
        "nothing": {"e": Outputs()},
        "another endpoint": {},
    }
    # 0.5 in a row of 2 is more than 10 in one of 100
    assert pairwise_differences(runs, cases) == {"e": {"runs": 4, "max_error": 0.25, "of": ["p", "q"]}}
    two = pairwise_differences({name: runs[name] for name in "pr"}, cases)
    assert two == {"e": {"runs": 2, "max_error": 0.1, "of": ["r", "p"]}}
    assert pairwise_differences({"p": runs["p"]}, cases) == {}
    same = pairwise_differences({"p": runs["p"], "s": runs["p"]}, cases)
    assert same == {"e": {"runs": 2, "max_error": 0.0, "of": []}}


def test_values_that_are_not_finite_have_no_difference():
    reference = np.array([[np.nan, 1.0]])
    cases = {"e": [GoldenCase("a", outputs={"y": reference})]}
    runs = {"p": {"e": outputs("a", y=reference)}, "q": {"e": outputs("a", y=[[np.inf, 1.0]])}}
    assert pairwise_differences(runs, cases)["e"]["max_error"] == 0.0
    empty = {"e": [GoldenCase("a", outputs={"y": np.zeros((0, 2))})]}
    runs = {name: {"e": outputs("a", y=np.zeros((0, 2)))} for name in "pq"}
    assert pairwise_differences(runs, empty)["e"] == {"runs": 2, "max_error": 0.0, "of": []}


@pytest.mark.parametrize(
    ("meaning", "shape", "expected", "value", "agree"),
    [
        ("logits", (None, 2), [[0.1, 0.2], [0.3, 0.2]], [[5.0, 6.0], [0.1, 0.2]], [True, False]),
        ("logits", (None, 1), [[0.1], [-0.1]], [[3.0], [0.1]], [True, False]),
        ("probabilities", (None, 1), [[0.6], [0.4]], [[0.9], [0.6]], [True, False]),
        ("tensor", (None, 1), [[1.0], [10.0]], [[1.002], [10.002]], [False, True]),
        ("class_ids", (None,), [1, 2], [1, 3], [True, False]),
    ],
)
def test_rows_agree_by_class_or_within_the_tolerance(meaning, shape, expected, value, agree):
    dtype = "int64" if meaning == "class_ids" else "float64"
    tensor = Tensor("y", dtype, shape, meaning)
    assert agreeing_rows(tensor, np.array(expected), np.array(value), 2, 1e-3).tolist() == agree


def test_an_output_without_rows_counts_for_each_and_another_shape_for_none():
    tensor = Tensor("y", "float64", ())
    assert agreeing_rows(tensor, np.array(1.0), np.array(1.0), 3, 0.0).tolist() == [True] * 3
    assert agreeing_rows(tensor, np.array(1.0), np.array([1.0]), 3, 0.0).tolist() == [False] * 3
    words = Tensor("w", "string", (None, 2))
    expected, value = np.array([["a", "b"], ["a", "b"]], object), np.array([["a", "b"], ["a", "c"]], object)
    assert agreeing_rows(words, expected, value, 2, 0.0).tolist() == [True, False]


def test_repeatability_looks_at_every_output():
    case = GoldenCase("a", outputs={"first": np.zeros(2), "second": np.zeros(2)})
    found = Outputs({("a", v, "second"): np.full(2, i) for i, v in enumerate(("main", "again"))})
    assert len(check_repeatability([case], found)) == 1


def test_answers_that_differ_by_rounding_alone_are_one_answer():
    def others(values):
        case = GoldenCase("a", {"x": np.zeros(len(values))}, outputs={"y": np.array(values)})
        return count_other_answers([case])["y"]

    assert others([[3.0], [1.0], [1.0 + 4e-7], [1.0 - 4e-7]]) == (1, 4), "three answers round to one"
    assert others([[-1e-9], [1e-9], [0.0], [5.0], [5.0]]) == (2, 5), "zeros of both signs are one answer"


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
