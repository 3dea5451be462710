"""Both sides of every boundary of a comparison: what mutation testing (`mutmut run`) found that no test would miss."""

import dataclasses

import numpy as np
import pytest

from export.contract import Contract, Endpoint, Tensor
from export.parity.cases import GoldenCase
from export.parity.comparison import compare_endpoint, compare_output, contract_violations, count_other_answers
from export.parity.distance import count_top1, is_leading, top1
from export.parity.evidence import check_evidence
from export.parity.noise_floor import Policy
from export.protocol.arrays import Outputs

TOLERANCE = 1e-3


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
    assert is_leading(scores, ids, np.array([1e-3, 1e-3])).tolist() == [
        [True, True, False, False],
        [True, True, False, True],
    ]
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


@pytest.mark.parametrize(
    ("values", "is_softmax"),
    [([[0.2, 0.8]], True), ([[1.2, -0.2]], False), ([[0.2, 0.9]], False), ([[0.2, 0.8], [0.3, 0.3]], False)],
)
def test_logits_that_are_probabilities(values, is_softmax):
    case = GoldenCase("a", outputs={"y": np.array(values, np.float32)})
    messages = contract_violations([case], [Tensor("y", "float32", (None, 2), "logits")])
    assert [text.endswith("declares logits: remove the softmax of the last layer") for text in messages] == [
        True
    ] * is_softmax


def test_answers_are_counted_by_shape_and_equal_up_to_rounding():
    def others(*outputs, name="y"):
        cases = [
            GoldenCase(str(i), {"x": np.zeros(len(v))}, outputs={name: np.array(v)}) for i, v in enumerate(outputs)
        ]
        return count_other_answers(cases)[name]

    assert others([[1.0, 2.0], [1.0 + 1e-7, 2.0], [3.0, 4.0]]) == (1, 3)
    assert others([[0.0], [-0.0], [0.0]]) == (0, 3)
    assert others([["a"], ["a"], ["b"]]) == (1, 3)
    assert others([[1.0]], [[1.0, 2.0]]) == (0, 2), "rows of another shape are not compared"


def test_constant_columns_are_counted_in_units_of_each_column():
    contract = Contract((Endpoint("e", (Tensor("x", "float32", (None, 1)),), (Tensor("y", "float32", (None, 8)),)),))
    values = np.tile(np.arange(8.0), (3, 1))
    values[:, 0] = [1e6, 2e6, 3e6]  # a large column must not make small ones constant
    values[:, 1] = [1.0, 1.0 + 1.5e-6, 1.0]  # more than CONSTANT, at one

    def notes():
        case = GoldenCase("a", {"x": np.zeros((3, 1))}, outputs={"y": values})
        return " ".join(check_evidence(contract, {"e": [case]})[1])

    assert "6 of 8 columns (2, 3, 4, 5, 6 and 1 more)" in notes()
    values[:, 7] = [0, 1, 2]
    assert "5 of 8 columns (2, 3, 4, 5, 6)" in notes()
