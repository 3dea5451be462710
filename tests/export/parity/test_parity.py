"""The judge, alone: NumPy in, sentences out. Written to kill mutants."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from export.parity.comparison import judge_endpoint, judge_energy
from export.parity.distance import by_size, energy, measure, row_errors, spread, top1
from export.parity.noise_floor import EXCUSES, VARIANTS, judge_noise, noise, row_noise, steady, unsteady_rows
from export.parity.policy import Policy

POLICY = Policy()


@dataclass
class Case:
    name: str = "a"
    judged: bool = True
    rows: tuple = ()
    may_raise: bool = False
    outputs: dict = field(default_factory=dict)
    unsteady: tuple = ()
    row_noise: dict = field(default_factory=dict)


def real(*values):
    return np.array(values, np.float32)


def judge(reference, value, floor=0.0, errors=None, classes=frozenset(), **options):
    cases = [Case(outputs={"y": reference}, **options)]
    arrays = {} if value is None else {"a/main/y": value}
    return judge_endpoint(cases, arrays, errors or {}, {"y": floor}, classes)


def test_row_errors_are_in_units_of_the_row():
    reference, value = real([1000, 0], [0.5, 0]), real([1001, 0], [0.5, 0.25])
    np.testing.assert_allclose(row_errors(reference, value), [1e-3, 0.25])
    assert spread(reference, value) == pytest.approx(0.25)


def test_row_errors_of_odd_values():
    nan, inf = np.nan, np.inf
    found = row_errors(real([nan, 1], [inf, 1], [nan, 1], [inf, 1]), real([nan, 1], [inf, 1], [0, 1], [-inf, 1]))
    np.testing.assert_array_equal(found, [0, 0, inf, inf])
    assert row_errors(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)
    assert row_errors(np.float32(2), np.float32(3)) == [0.5]  # an output without a batch is one row
    assert spread(np.zeros((2, 2)), np.zeros((2, 3))) == np.inf
    assert spread(np.array([1, 2]), np.array([1, 2])) == 0
    assert spread(np.array([1, 2]), np.array([1, 3])) == np.inf
    assert row_errors(real([nan, 4]), real([nan, 6])) == [0.5]  # what is not finite gives no scale


def test_equal_is_equal():
    verdict = judge(real([1, 2]), real([1, 2]))
    assert verdict.findings == []
    assert verdict.figures["outputs"]["y"]["max_abs"] == 0
    assert verdict.figures["outputs"]["y"]["sqnr_db"] is None


@pytest.mark.parametrize(
    ("error", "floor", "passes"), [(9e-6, 0, True), (1.2e-5, 0, False), (3.9e-5, 1e-5, True), (4.2e-5, 1e-5, False)]
)
def test_tolerance_is_the_larger_of_policy_and_noise(error, floor, passes):
    reference = real([0.0, 1.0])
    value = reference + real(0, error)
    assert (judge(reference, value, floor).findings == []) is passes


def test_tolerance_never_shrinks_below_policy():
    assert POLICY.tolerance(0, np.dtype("float32")) == 1e-5
    assert POLICY.tolerance(1e-7, np.dtype("float32")) == 1e-5
    assert POLICY.tolerance(1e-5, np.dtype("float32")) == pytest.approx(4e-5)
    assert POLICY.tolerance(0, np.dtype("float16")) == pytest.approx(4 * 2**-10)


def test_an_extreme_row_hides_nothing():
    reference = real([1e6, 0], [1, 0])
    verdict = judge(reference, reference + real([0, 0], [0, 1e-3]), rows=("high", "low"))
    assert verdict.findings == ["y in case a differs by 0.001 in row 1 (low) (tolerance 1e-05)"]


def test_small_outputs_are_held_to_their_own_size():
    """An error of a tenth is no smaller because the outputs are."""
    reference = real([2e-5, -2e-5])
    assert "root mean square" in judge(reference, reference * real(1.1, 1)).findings[0]
    assert judge(reference, reference * np.float32(1.0005)).findings == []
    assert judge(reference, reference + np.float32(1e-7)).findings == []  # one float32 step at one is no error
    assert judge(reference, reference + np.float32(1e-6), floor=3e-7).findings == []
    assert judge(reference, reference + np.float32(1e-6), floor=2e-7).findings != []
    assert judge(reference, reference * real(1.1, 1), rows=("zeros",)).findings == []  # extremes are not ordinary


def test_shape_dtype_and_presence():
    assert judge(real([1, 2]), real([1, 2, 3])).findings == ["y in case a has shape (1, 3) instead of (1, 2)"]
    assert judge(real([1, 2]), np.array([[1, 2]], np.float64)).findings == [
        "y in case a has dtype float64 instead of float32"
    ]
    assert judge(real([1, 2]), None).findings == ["y in case a is missing"]
    assert judge(real([1, 2]), None, errors={"a/main": "ValueError: no"}).findings == ["case a/main: ValueError: no"]


def test_integers_and_strings_are_compared_exactly():
    assert judge(np.array([1, 2, 3]), np.array([1, 2, 4])).findings == ["y in case a differs in 1 of 3 values"]
    assert judge(np.array([b"x"], object), np.array([b"x"], object)).findings == []
    assert judge(np.array([b"x"], object), np.array([b"y"], object)).findings != []


def test_finite_in_the_same_places():
    assert judge(real([np.nan, 1]), real([np.nan, 1])).findings == []
    assert "not finite in other places" in judge(real([np.nan, 1]), real([0, 1])).findings[0]
    assert "differs by inf" in judge(real([np.inf, 1]), real([-np.inf, 1])).findings[0]


def test_two_identical_calls():
    case = Case(outputs={"y": real([1, 2])})
    arrays = {"a/main/y": real([1, 2]), "a/again/y": real([1, np.nextafter(np.float32(2), np.float32(3))])}
    (finding,) = judge_endpoint([case], arrays, {}, {}).findings
    assert finding.startswith("two identical calls differ: y in case a by 1.2e-07")
    arrays = {"a/main/y": real([1, np.nan]), "a/again/y": real([1, np.nan])}
    assert judge_endpoint([Case(outputs={"y": real([1, np.nan])})], arrays, {}, {}).findings == []


def test_noise_above_the_ceiling_is_a_bug():
    case = Case(outputs={"y": real([1, 2])})
    arrays = {"a/main/y": real([1, 2]), "a/rows/y": real([1, 2.1]), "a/graph/y": real([1.5, 2])}
    measured = noise([case], arrays)
    assert measured["rows"]["y"] == pytest.approx(0.05, rel=1e-5)
    first, second = judge_noise(measured, POLICY)
    assert first == "outputs depend on the batch: y differs by 0.05, batch 1 against batch N (ceiling 0.0001)"
    assert second == "eager and graph disagree: y differs by 0.25, eager against graph (ceiling 0.0001)"
    assert judge_noise({"rows": {"y": 1e-4}}, POLICY) == []
    assert judge_noise({"rows": {"y": float("nan")}}, POLICY) != []
    assert first in judge_endpoint([case], arrays, {}, {}).findings
    assert noise([Case(judged=False, outputs=case.outputs)], arrays) == {}


def test_noise_is_the_largest_over_cases():
    cases = [Case("a", outputs={"y": real([0])}), Case("b", outputs={"y": real([0])})]
    arrays = {"a/main/y": real([0]), "a/rows/y": real([0.5]), "b/main/y": real([0]), "b/rows/y": real([0.25])}
    assert noise(cases, arrays) == {"rows": {"y": 0.5}}


def test_undefined_cases_are_reported_and_never_judged():
    cases = [
        Case("a", outputs={"y": real([1])}),
        Case("nan", judged=False, outputs={"y": real([np.nan])}),
        Case("empty", judged=False, outputs={"y": np.zeros((0, 1), np.float32)}),
        Case("infinity", judged=False),
        Case("other", judged=False, outputs={"y": real([1])}),
    ]
    arrays = {"a/main/y": real([1]), "nan/main/y": real([np.nan]), "other/main/y": real([7])}
    verdict = judge_endpoint(cases, arrays, {"empty/main": "ValueError: no rows"}, {})
    assert verdict.findings == []
    assert verdict.figures["reported"] == {
        "nan": "as reference",
        "empty": "ValueError: no rows",
        "infinity": "the reference raises",
        "other": "other",
    }


def test_swapped_and_unknown_outputs():
    case = Case(outputs={"y": real([1]), "z": real([2])})
    verdict = judge_endpoint([case], {"a/main/y": real([2]), "a/main/z": real([1])}, {}, {})
    assert verdict.findings == [
        "y is what z should be: outputs are swapped",
        "z is what y should be: outputs are swapped",
    ]
    arrays = {"a/main/y": real([1]), "a/main/z": real([2]), "a/main/output_0": real([2])}
    assert judge_endpoint([case], arrays, {}, {}).findings == ["returned output_0, which the contract does not name"]


def test_top1_leaves_ties_out():
    reference = real([3, 1, 2], [1, 1.00001, 0], [0, 5, 1])
    assert top1(reference, reference, 1e-5) == (2, 2)
    assert top1(reference, real([1, 3, 2], [1, 0, 0], [0, 5, 1]), 1e-5) == (1, 2)
    assert top1(real([10, 10.0003]), real([10, 10.0003]), 1e-5) == (1, 1)
    assert top1(real([10, 10.00015]), real([10, 10.00015]), 1e-5) == (0, 0)  # a tie in units of the row


def test_figures():
    pairs = [(real([3, 4]), real([3, 4.5])), (real([0, 0]), real([0, 0]))]
    figures = measure(pairs, 1e-5, classes=True)
    assert figures["max_abs"] == 0.5
    assert figures["max_error"] == 0.125
    assert figures["rmse"] == 0.25
    assert figures["sqnr_db"] == 20.0
    assert figures["tolerance"] == 1e-5
    assert figures["top1"] == "1/1"
    assert "top1" not in measure(pairs, 1e-5, classes=False)
    assert "top1" not in measure([(real(1, 2), real(1, 2))], 1e-5, classes=True)
    assert "top1" not in measure([(real([1], [2]), real([1], [2]))], 1e-5, classes=True)
    assert energy([(real([3, np.nan]), real([3, 1]))]) == (3.0, 0.0)
    assert measure([(real([1, np.inf]), real([1, 5]))], 1e-5, False)["max_abs"] == 0


def test_no_floor_means_policy():
    case = Case(outputs={"y": real([0, 1])})
    verdict = judge_endpoint([case], {"a/main/y": real([0, 1.00002])}, {}, {}, frozenset({"y"}))
    assert len(verdict.findings) == 1
    assert verdict.figures["outputs"]["y"]["tolerance"] == 1e-5
    assert verdict.figures["outputs"]["y"]["top1"] == "1/1"
    assert "top1" not in judge(real([0, 1]), real([0, 1])).figures["outputs"]["y"]
    small = judge_endpoint([Case(outputs={"y": real([2e-5])})], {"a/main/y": real([2.2e-5])}, {}, {})
    assert len(small.findings) == 1


def test_one_sentence_for_one_cause():
    assert len(judge(real([0, 1]), real([0, 1.5])).findings) == 1


def test_noise_allows_in_units_of_the_signal():
    pairs = [(real([100, 100]), real([100.3, 100.3]))]
    assert judge_energy(pairs, 1e-3, POLICY) is None
    assert judge_energy(pairs, 0.0, POLICY).startswith("differs by 0.3 root mean square where the reference has 1e+02")


def test_only_what_matches_everywhere_is_called_swapped():
    cases = [
        Case("a", outputs={"y": real([1]), "z": real([2])}),
        Case("b", outputs={"y": real([3]), "z": real([4])}),
        Case("nan", judged=False, outputs={"y": real([5]), "z": real([6])}),
    ]
    right = {"a/main/z": real([2]), "b/main/z": real([4])}
    swapped = judge_endpoint(cases, right | {"a/main/y": real([2]), "b/main/y": real([4])}, {}, {})
    assert swapped.findings == ["y is what z should be: outputs are swapped"]
    wrong = judge_endpoint(cases, right | {"a/main/y": real([2]), "b/main/y": real([9])}, {}, {})
    assert len(wrong.findings) == 2
    assert "swapped" not in " ".join(wrong.findings)
    absent = judge_endpoint(cases, right | {"a/main/y": real([2])}, {}, {})
    assert "swapped" not in " ".join(absent.findings)


def test_ties_and_decibels_in_detail():
    assert top1(real([1, 1 - 4e-5]), real([1, 1 - 4e-5]), 1e-5) == (1, 1)
    assert measure([(real([2, 0]), real([2.1, 0]))], 1e-5, False)["sqnr_db"] == 26.0
    three = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert top1(three, three, 1e-5) == (4, 4)
    np.testing.assert_allclose(row_errors(three, three + np.float32(0.5)), [0.1, 0.5 / 11])


def test_what_the_reference_refuses_every_runtime_must_refuse():
    cases = [Case("good", outputs={"y": real([1, 2])}), Case("bad", may_raise=True)]
    good = {"good/main/y": real([1, 2])}
    refused = judge_endpoint(cases, good, {"bad/main": "ValueError: no image"}, {})
    assert refused.findings == []
    answered = judge_endpoint(cases, good | {"bad/main/y": real([0, 0])}, {}, {})
    assert answered.findings == ["case bad was answered where the reference raises"]
    taken = [cases[0], Case("bad", may_raise=True, outputs={"y": real([3, 4])})]
    refused = judge_endpoint(taken, good, {"bad/main": "ValueError: no image"}, {})
    assert refused.findings == ["case bad/main: ValueError: no image"]
    # what may not be refused is a failure, also where the reference raised itself
    assert judge_endpoint([Case("bad")], {}, {"bad/main": "ValueError"}, {}).findings == ["case bad/main: ValueError"]


def test_nudged_noise_is_measured_on_ordinary_rows_and_is_no_fault():
    y, z = real([1.0], [2.0]), real([1.0], [2.5])
    arrays = {"a/main/y": y, "a/nudged/y": z, "a/rows/y": y}
    assert noise([Case(outputs={"y": y})], arrays) == {"rows": {"y": 0.0}, "nudged": {"y": 0.25}}
    assert noise([Case(outputs={"y": y}, rows=("low", "high"))], arrays) == {"rows": {"y": 0.0}}
    assert judge_noise({"nudged": {"y": 0.2}}, POLICY) == []


def test_rows_that_jump_are_no_noise_and_any_small_change_finds_them():
    """A row of one colour through instance normalisation is all rounding: in another batch it is another image."""
    y, apart = real([1.0], [2.0], [3.0]), real([1.0], [3.0], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones", "low"))
    for variant in VARIANTS:
        assert unsteady_rows(case, {"a/main/y": y, f"a/{variant}/y": apart}, POLICY) == (1,), variant
    arrays = {"a/main/y": y, "a/rows/y": apart, "a/company/y": y + real([0.0], [0.0], [1e-3])}
    assert judge_noise(noise([case], arrays), POLICY) == [
        "outputs depend on the batch: y differs by 0.5, batch 1 against batch N (ceiling 0.0001)",
        "outputs depend on the batch: y differs by 0.00033, batch N against batch 2 N (ceiling 0.0001)",
    ]
    case.unsteady = (1,)
    assert noise([case], arrays)["rows"] == {"y": 0.0}
    (finding,) = judge_noise(noise([case], arrays), POLICY)  # other named rows still are judged
    assert finding.startswith("outputs depend on the batch: y differs by 0.00033")


def test_an_artifact_that_depends_on_its_batch_excuses_nothing():
    y, apart = real([1.0], [2.0]), real([1.0], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones"))
    for variant in ("rows", "company", "graph"):
        assert unsteady_rows(case, {"a/main/y": y, f"a/{variant}/y": apart}, POLICY, EXCUSES) == ()
    for variant in EXCUSES:
        assert unsteady_rows(case, {"a/main/y": y, f"a/{variant}/y": apart}, POLICY, EXCUSES) == (1,)


def test_a_steep_named_row_is_allowed_what_it_moves_by_and_no_other_row_is():
    y = real([1.0], [2.0], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones", "low"))
    arrays = {"a/main/y": y, "a/nudged/y": y + real([0], [2e-3], [0]), "a/kernels/y": y + real([0], [0], [0.3])}
    case.row_noise = row_noise(case, arrays, POLICY)
    np.testing.assert_allclose(case.row_noise["y"], [0, 1e-3, 0], rtol=1e-3)  # a jump widens nothing
    assert noise([case], arrays) == {}
    assert judge_endpoint([case], {"a/main/y": y + real([0], [7e-3], [0])}, {}, {}).findings == []
    (finding,) = judge_endpoint([case], {"a/main/y": y + real([0], [9e-3], [0])}, {}, {}).findings
    assert "in row 1 (ones) (tolerance 0.004)" in finding
    (finding,) = judge_endpoint([case], {"a/main/y": y + real([5e-5], [7e-3], [0])}, {}, {}).findings
    assert "in row 0 (zeros) (tolerance 1e-05)" in finding
    case.unsteady = (2,)
    (finding,) = judge_endpoint([case], {"a/main/y": y + real([0], [9e-3], [9])}, {}, {}).findings
    assert "in row 1 (ones)" in finding
    assert row_noise(Case(outputs={"y": y}), arrays, POLICY) == {}  # ordinary rows have the floor of all


def test_other_kernels_raise_the_floor_and_are_no_fault():
    y = real([1.0], [2.0])
    arrays = {"a/main/y": y, "a/kernels/y": y + np.float32(5e-5)}
    measured = noise([Case(outputs={"y": y})], arrays)
    assert measured["kernels"]["y"] == pytest.approx(5e-5, rel=0.01)
    assert judge_noise({"kernels": {"y": 0.5}}, POLICY) == []


def test_rows_at_which_the_reference_jumps_are_not_judged():
    y, z = real([1.0], [2.0], [3.0]), real([1.0], [2.5], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones", "low"))
    arrays = {"a/main/y": y, "a/nudged/y": z}
    assert unsteady_rows(case, arrays, POLICY) == (1,)
    assert unsteady_rows(Case(outputs={"y": y}), arrays, POLICY) == ()  # ordinary rows are always judged
    assert unsteady_rows(case, {"a/main/y": y}, POLICY) == ()
    assert unsteady_rows(case, {"a/main/y": y, "a/nudged/y": y + real(9e-3)}, POLICY) == ()  # a slope is no jump
    unjudged = Case(outputs={"y": y}, rows=case.rows, judged=False)
    assert unsteady_rows(unjudged, arrays, POLICY) == ()
    case.unsteady = (1,)
    verdict = judge_endpoint([case], {"a/main/y": z}, {}, {})
    assert (verdict.findings, verdict.figures["outputs"]["y"]["max_abs"]) == ([], 0)
    (finding,) = judge_endpoint([case], {"a/main/y": real([1.0], [2.0], [3.5])}, {}, {}).findings
    assert "in row 2 (low)" in finding
    whole = Case(outputs={"y": np.array([1, 2])}, rows=("zeros", "ones"), unsteady=(0,))
    assert judge_endpoint([whole], {"a/main/y": np.array([9, 2])}, {}, {}).findings == []
    assert judge_endpoint([whole], {"a/main/y": np.array([1, 9])}, {}, {}).findings == [
        "y in case a differs in 1 of 1 values"
    ]


def test_what_differs_from_itself_is_said_first():
    y = real([1.0], [2.0])
    arrays = {"a/main/y": y + real(1), "a/again/y": y + real(2)}
    findings = judge_endpoint([Case(outputs={"y": y})], arrays, {}, {}).findings
    assert [text.split(":")[0][:27] for text in findings] == [
        "two identical calls differ",
        "y in case a differs by 1 in",
    ]


def test_jumps_are_collected_over_outputs_and_whole_rows_are_left_out():
    y, z = real([1, 1], [2, 2]), real([1, 1, 1], [2, 2, 2])
    case = Case(outputs={"count": np.array([1, 2]), "absent": y, "y": y, "z": z}, rows=("zeros", "ones"))
    arrays = {"a/main/count": np.array([1, 2]), "a/nudged/count": np.array([3, 4])}
    arrays |= {"a/main/y": y, "a/nudged/y": y + real([1, 0], [0, 0]), "a/main/z": z, "a/nudged/z": z + real([0], [1])}
    assert unsteady_rows(case, arrays, POLICY) == (0, 1)
    other_shape = {"a/main/y": y, "a/nudged/y": z}
    assert unsteady_rows(Case(outputs={"y": y}, rows=case.rows), other_shape, POLICY) == ()
    np.testing.assert_array_equal(steady(Case(unsteady=(0,)), y), [[2, 2]])


def test_every_judged_case_counts_whatever_stands_before_it():
    y = real([1.0], [2.0])
    cases = [Case("n", judged=False, outputs={"y": y}), Case("r", outputs={"y": y}), Case("a", outputs={"y": y})]
    arrays = {"n/main/y": y, "a/main/y": y + real(1)}
    findings = judge_endpoint(cases, arrays, {"r/main": "raised"}, {}).findings
    assert findings[0] == "case r/main: raised"
    assert findings[1].startswith("y in case a differs by")
    missing = judge_endpoint(cases, {"n/main/y": y, "a/main/y": y + real(1)}, {}, {}).findings
    assert [text[:12] for text in missing] == ["y in case r ", "y in case a "]


def test_energy_is_judged_over_all_ordinary_cases():
    """Small outputs, wrong in the first case only: the last one alone would hide it."""
    small = real([1e-6], [2e-6])
    cases = [Case("a", outputs={"y": small}), Case("b", outputs={"y": small})]
    (finding,) = judge_endpoint(cases, {"a/main/y": small * 3, "b/main/y": small}, {}, {}).findings
    assert finding.startswith("y ")


def test_half_floats_are_judged_by_their_own_steps_and_each_output_by_its_own_floor():
    y = np.array([[1.0], [2.0]], np.float16)
    assert judge(y, y + np.array([[0.002], [0]], np.float16)).findings == []
    assert judge(y, y + np.float16(0.02)).findings
    assert judge(y, y).figures["outputs"]["y"]["tolerance"] == pytest.approx(4 * 2**-10)
    x = real([1.0], [2.0])
    assert judge(x, x, floor=5e-5).figures["outputs"]["y"]["tolerance"] == pytest.approx(2e-4)


def test_images_are_told_by_their_size():
    dark, odd = np.zeros((2, 4, 4, 1), np.float32), np.full((1, 5, 3, 1), 9, np.float32)
    found = by_size([(dark, dark + 2), (odd, odd), (dark, dark - 4)], peak=255.0)
    assert found["5x3"] == {"psnr_db": None, "max_difference": 0.0}
    assert found["4x4"]["max_difference"] == 4
    assert found["4x4"]["psnr_db"] == pytest.approx(10 * np.log10(255**2 / ((4 + 16) / 2)), abs=0.06)
    assert "images" in measure([(dark, dark)], 1e-5, classes=False, peak=255.0)
    assert "images" not in measure([(dark, dark)], 1e-5, classes=False)
