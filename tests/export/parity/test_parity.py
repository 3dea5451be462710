"""The comparison with the reference, without runtimes: NumPy arrays in, messages out. Written for mutation testing."""

import numpy as np
import pytest

from export.contract import Contract, Endpoint, Tensor
from export.parity.cases import GoldenCase, read_golden, write_golden
from export.parity.comparison import compare_endpoint, compare_rms, contract_violations
from export.parity.distance import difference_figures, image_figures, max_row_error, root_mean_squares, row_errors, top1
from export.parity.golden import cases_for
from export.parity.noise_floor import (
    TOLERATED_VARIANTS,
    VARIANTS,
    Policy,
    check_noise_floor,
    find_unstable_rows,
    measure_noise_floor,
    measure_row_noise,
)
from export.protocol.arrays import Outputs

POLICY = Policy()


def Case(name="a", **options):
    return GoldenCase(name, **options)


def real(*values):
    return np.array(values, np.float32)


def outputs(case="a", **variants):
    """Return the output y of a case: {variant: array}."""
    return Outputs({(case, variant, "y"): value for variant, value in variants.items()})


def findings_of(case, value, **options):
    return compare_endpoint([case], outputs(main=value), {}, **options).findings


def compare(reference, value, floor=0.0, errors=None, classes=frozenset(), **options):
    cases = [Case(outputs={"y": reference}, **options)]
    arrays = {} if value is None else {("a", "main", "y"): value}
    return compare_endpoint(cases, Outputs(arrays, errors or {}), {"y": floor}, classes)


def test_row_errors_are_in_units_of_the_row():
    reference, value = real([1000, 0], [0.5, 0]), real([1001, 0], [0.5, 0.25])
    np.testing.assert_allclose(row_errors(reference, value), [1e-3, 0.25])
    assert max_row_error(reference, value) == pytest.approx(0.25)


def test_row_errors_of_non_finite_values():
    nan, inf = np.nan, np.inf
    errors = row_errors(real([nan, 1], [inf, 1], [nan, 1], [inf, 1]), real([nan, 1], [inf, 1], [0, 1], [-inf, 1]))
    np.testing.assert_array_equal(errors, [0, 0, inf, inf])
    assert row_errors(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)
    assert row_errors(np.float32(2), np.float32(3)) == [0.5]  # an output without a batch is one row
    assert max_row_error(np.zeros((2, 2)), np.zeros((2, 3))) == np.inf
    assert max_row_error(np.array([1, 2]), np.array([1, 2])) == 0
    assert max_row_error(np.array([1, 2]), np.array([1, 3])) == np.inf
    assert row_errors(real([nan, 4]), real([nan, 6])) == [0.5]  # what is not finite gives no scale


def test_equal_is_equal():
    verdict = compare(real([1, 2]), real([1, 2]))
    assert verdict.findings == []
    assert verdict.figures["outputs"]["y"]["max_abs"] == 0
    assert verdict.figures["outputs"]["y"]["sqnr_db"] is None


@pytest.mark.parametrize(
    ("error", "floor", "passes"), [(9e-6, 0, True), (1.2e-5, 0, False), (3.9e-5, 1e-5, True), (4.2e-5, 1e-5, False)]
)
def test_tolerance_is_the_larger_of_policy_and_measure_noise_floor(error, floor, passes):
    reference = real([0.0, 1.0])
    value = reference + real(0, error)
    assert (compare(reference, value, floor).findings == []) is passes


def test_tolerance_never_shrinks_below_policy():
    assert POLICY.tolerance(0, np.dtype("float32")) == 1e-5
    assert POLICY.tolerance(1e-7, np.dtype("float32")) == 1e-5
    assert POLICY.tolerance(1e-5, np.dtype("float32")) == pytest.approx(4e-5)
    assert POLICY.tolerance(0, np.dtype("float16")) == pytest.approx(4 * 2**-10)


def test_an_error_in_an_ordinary_row_is_found_beside_an_extreme_row():
    reference = real([1e6, 0], [1, 0])
    verdict = compare(reference, reference + real([0, 0], [0, 1e-3]), rows=("high", "low"))
    assert verdict.findings == ["y in case a differs by 0.001 in row 1 (low) (tolerance 1e-05)"]


def test_small_outputs_are_compared_in_units_of_their_size():
    reference = real([2e-5, -2e-5])
    assert "root mean square" in compare(reference, reference * real(1.1, 1)).findings[0]
    assert compare(reference, reference * np.float32(1.0005)).findings == []
    assert compare(reference, reference + np.float32(1e-7)).findings == []  # one float32 step at one is no error
    assert compare(reference, reference + np.float32(1e-6), floor=3e-7).findings == []
    assert compare(reference, reference + np.float32(1e-6), floor=2e-7).findings != []
    # the root mean square counts ordinary cases only
    assert compare(reference, reference * real(1.1, 1), rows=("zeros",)).findings == []


@pytest.mark.parametrize(
    ("value", "errors", "finding"),
    [
        (real([1, 2, 3]), None, "y in case a has shape (1, 3) instead of (1, 2)"),
        (np.array([[1, 2]], np.float64), None, "y in case a has dtype float64 instead of float32"),
        (None, None, "y in case a is missing"),
        (None, {("a", "main"): "ValueError: no"}, "case a/main: ValueError: no"),
    ],
)
def test_shape_dtype_and_presence(value, errors, finding):
    assert compare(real([1, 2]), value, errors=errors).findings == [finding]


def test_integers_and_strings_are_compared_exactly():
    assert compare(np.array([1, 2, 3]), np.array([1, 2, 4])).findings == ["y in case a differs in 1 of 3 values"]
    assert compare(np.array([b"x"], object), np.array([b"x"], object)).findings == []
    assert compare(np.array([b"x"], object), np.array([b"y"], object)).findings != []


def test_finite_in_the_same_places():
    assert compare(real([np.nan, 1]), real([np.nan, 1])).findings == []
    assert "not finite at other positions" in compare(real([np.nan, 1]), real([0, 1])).findings[0]
    assert "differs by inf" in compare(real([np.inf, 1]), real([-np.inf, 1])).findings[0]


def test_two_identical_calls():
    next_to_two = np.nextafter(np.float32(2), np.float32(3))
    arrays = outputs(main=real([1, 2]), again=real([1, next_to_two]))
    (finding,) = compare_endpoint([Case(outputs={"y": real([1, 2])})], arrays, {}).findings
    assert finding.startswith("two identical calls differ: y in case a by 1.2e-07")
    nan = real([1, np.nan])
    assert compare_endpoint([Case(outputs={"y": nan})], outputs(main=nan, again=nan), {}).findings == []


def test_noise_above_the_ceiling_is_a_bug():
    case = Case(outputs={"y": real([1, 2])})
    arrays = outputs(main=real([1, 2]), batch_1=real([1, 2.1]), graph=real([1.5, 2]))
    measured = measure_noise_floor([case], arrays)
    assert measured["batch_1"]["y"] == pytest.approx(0.05, rel=1e-5)
    first, second = check_noise_floor(measured, POLICY)
    assert first == "outputs depend on the batch: y differs by 0.05, batch 1 against batch N (ceiling 0.0001)"
    assert second == "eager and graph mode differ: y differs by 0.25, eager against graph (ceiling 0.0001)"
    assert check_noise_floor({"batch_1": {"y": 1e-4}}, POLICY) == []
    assert check_noise_floor({"batch_1": {"y": float("nan")}}, POLICY) != []
    assert first in compare_endpoint([case], arrays, {}).findings
    assert measure_noise_floor([Case(compared=False, outputs=case.outputs)], arrays) == {}


def test_noise_is_the_largest_over_cases():
    cases = [Case("a", outputs={"y": real([0])}), Case("b", outputs={"y": real([0])})]
    of_a, of_b = outputs("a", main=real([0]), batch_1=real([0.5])), outputs("b", main=real([0]), batch_1=real([0.25]))
    assert measure_noise_floor(cases, Outputs(of_a.arrays | of_b.arrays)) == {"batch_1": {"y": 0.5}}


def test_undefined_cases_are_reported_and_not_compared():
    cases = [
        Case("a", outputs={"y": real([1])}),
        Case("nan", compared=False, outputs={"y": real([np.nan])}),
        Case("empty", compared=False, outputs={"y": np.zeros((0, 1), np.float32)}),
        Case("infinity", compared=False),
        Case("other", compared=False, outputs={"y": real([1])}),
    ]
    arrays = {("a", "main", "y"): real([1]), ("nan", "main", "y"): real([np.nan]), ("other", "main", "y"): real([7])}
    verdict = compare_endpoint(cases, Outputs(arrays, {("empty", "main"): "ValueError: no rows"}), {})
    assert verdict.findings == []
    assert verdict.figures["reported"] == {
        "nan": "as reference",
        "empty": "ValueError: no rows",
        "infinity": "the reference raises",
        "other": "other",
    }


def test_swapped_and_unknown_outputs():
    case = Case(outputs={"y": real([1]), "z": real([2])})
    verdict = compare_endpoint([case], Outputs({("a", "main", "y"): real([2]), ("a", "main", "z"): real([1])}), {})
    assert verdict.findings == [
        "y is what z should be: outputs are swapped",
        "z is what y should be: outputs are swapped",
    ]
    arrays = {("a", "main", "y"): real([1]), ("a", "main", "z"): real([2]), ("a", "main", "output_0"): real([2])}
    assert compare_endpoint([case], Outputs(arrays), {}).findings == [
        "returned output_0, which the contract does not declare"
    ]


def test_top1_excludes_ties():
    reference = real([3, 1, 2], [1, 1.00001, 0], [0, 5, 1])
    assert top1(reference, reference, 1e-5) == (2, 2)
    assert top1(reference, real([1, 3, 2], [1, 0, 0], [0, 5, 1]), 1e-5) == (1, 2)
    assert top1(real([10, 10.0003]), real([10, 10.0003]), 1e-5) == (1, 1)
    assert top1(real([10, 10.00015]), real([10, 10.00015]), 1e-5) == (0, 0)  # a tie in units of the row


def test_figures():
    pairs = [(real([3, 4]), real([3, 4.5])), (real([0, 0]), real([0, 0]))]
    figures = difference_figures(pairs, 1e-5, classes=True)
    assert figures["max_abs"] == 0.5
    assert figures["rmse"] == 0.25
    assert figures["sqnr_db"] == 20.0
    assert figures["top1"] == "1/1"
    assert "top1" not in difference_figures(pairs, 1e-5, classes=False)
    assert "top1" not in difference_figures([(real(1, 2), real(1, 2))], 1e-5, classes=True)
    assert "top1" not in difference_figures([(real([1], [2]), real([1], [2]))], 1e-5, classes=True)
    assert root_mean_squares([(real([3, np.nan]), real([3, 1]))]) == (3.0, 0.0)
    assert difference_figures([(real([1, np.inf]), real([1, 5]))], 1e-5, False)["max_abs"] == 0


def test_no_floor_means_policy():
    case = Case(outputs={"y": real([0, 1])})
    verdict = compare_endpoint([case], Outputs({("a", "main", "y"): real([0, 1.00002])}), {}, frozenset({"y"}))
    assert len(verdict.findings) == 1
    assert verdict.figures["outputs"]["y"]["tolerance"] == 1e-5
    assert verdict.figures["outputs"]["y"]["top1"] == "1/1"
    assert "top1" not in compare(real([0, 1]), real([0, 1])).figures["outputs"]["y"]
    small = compare_endpoint([Case(outputs={"y": real([2e-5])})], Outputs({("a", "main", "y"): real([2.2e-5])}), {})
    assert len(small.findings) == 1


def test_the_noise_floor_is_in_units_of_the_signal():
    pairs = [(real([100, 100]), real([100.3, 100.3]))]
    assert compare_rms(pairs, 1e-3, POLICY) is None
    assert compare_rms(pairs, 0.0, POLICY).startswith("differs by 0.3 root mean square where the reference has 1e+02")


def test_outputs_are_swapped_only_if_they_match_in_every_case():
    cases = [
        Case("a", outputs={"y": real([1]), "z": real([2])}),
        Case("b", outputs={"y": real([3]), "z": real([4])}),
        Case("nan", compared=False, outputs={"y": real([5]), "z": real([6])}),
    ]

    def findings(**y):
        values = {("a", "z"): 2, ("b", "z"): 4} | {(case, "y"): value for case, value in y.items()}
        arrays = {(case, "main", name): real([value]) for (case, name), value in values.items()}
        return compare_endpoint(cases, Outputs(arrays), {}).findings

    assert findings(a=2, b=4) == ["y is what z should be: outputs are swapped"]
    assert len(findings(a=2, b=9)) == 2
    assert "swapped" not in " ".join(findings(a=2, b=9) + findings(a=2))


def test_ties_and_decibels_in_detail():
    assert top1(real([1, 1 - 4e-5]), real([1, 1 - 4e-5]), 1e-5) == (1, 1)
    assert difference_figures([(real([2, 0]), real([2.1, 0]))], 1e-5, False)["sqnr_db"] == 26.0
    three = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert top1(three, three, 1e-5) == (4, 4)
    np.testing.assert_allclose(row_errors(three, three + np.float32(0.5)), [0.1, 0.5 / 11])


def test_runtimes_must_raise_where_the_reference_raises():
    cases = [Case("good", outputs={"y": real([1, 2])}), Case("bad", may_raise=True)]
    good = {("good", "main", "y"): real([1, 2])}
    refused = compare_endpoint(cases, Outputs(good, {("bad", "main"): "ValueError: no image"}), {})
    assert refused.findings == []
    answered = compare_endpoint(cases, Outputs(good | {("bad", "main", "y"): real([0, 0])}), {})
    assert answered.findings == ["case bad returned outputs where the reference raises"]
    taken = [cases[0], Case("bad", may_raise=True, outputs={"y": real([3, 4])})]
    refused = compare_endpoint(taken, Outputs(good, {("bad", "main"): "ValueError: no image"}), {})
    assert refused.findings == ["case bad/main: ValueError: no image"]
    # what may not be refused is a failure, also where the reference raised itself
    assert compare_endpoint([Case("bad")], Outputs({}, {("bad", "main"): "ValueError"}), {}).findings == [
        "case bad/main: ValueError"
    ]


def test_noise_of_perturbed_inputs_is_measured_on_ordinary_rows_and_is_not_a_failure():
    y = real([1.0], [2.0])
    arrays = outputs(main=y, perturbed=real([1.0], [2.5]), batch_1=y)
    measured = measure_noise_floor([Case(outputs={"y": y})], arrays)
    assert measured == {"batch_1": {"y": 0.0}, "perturbed": {"y": 0.25}}
    assert measure_noise_floor([Case(outputs={"y": y}, rows=("low", "high"))], arrays) == {"batch_1": {"y": 0.0}}
    assert check_noise_floor({"perturbed": {"y": 0.2}}, POLICY) == []


def test_discontinuous_rows_are_found_by_every_variant_and_are_not_noise():
    """Instance normalisation of a row of one colour amplifies rounding errors, which depend on the batch."""
    y, changed = real([1.0], [2.0], [3.0]), real([1.0], [3.0], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones", "low"))
    for variant in VARIANTS:
        assert find_unstable_rows(case, outputs(main=y, **{variant: changed}), POLICY) == (1,), variant
    arrays = outputs(main=y, batch_1=changed, batch_2n=y + real([0.0], [0.0], [1e-3]))
    assert check_noise_floor(measure_noise_floor([case], arrays), POLICY) == [
        "outputs depend on the batch: y differs by 0.5, batch 1 against batch N (ceiling 0.0001)",
        "outputs depend on the batch: y differs by 0.00033, batch N against batch 2 N (ceiling 0.0001)",
    ]
    case.unstable_rows = (1,)
    measured = measure_noise_floor([case], arrays)
    assert measured["batch_1"] == {"y": 0.0}
    (finding,) = check_noise_floor(measured, POLICY)  # the other named rows are still compared
    assert finding.startswith("outputs depend on the batch: y differs by 0.00033")


@pytest.mark.parametrize("variant", ["batch_1", "batch_2n", "graph", *TOLERATED_VARIANTS])
def test_batch_dependence_of_an_artifact_does_not_make_rows_unstable(variant):
    y, changed = real([1.0], [2.0]), real([1.0], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones"))
    unstable = find_unstable_rows(case, outputs(main=y, **{variant: changed}), POLICY, TOLERATED_VARIANTS)
    assert unstable == ((1,) if variant in TOLERATED_VARIANTS else ())


def test_the_tolerance_of_a_named_row_follows_its_own_noise():
    y = real([1.0], [2.0], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones", "low"))
    arrays = outputs(main=y, perturbed=y + real([0], [2e-3], [0]), kernels=y + real([0], [0], [0.3]))
    case.row_noise = measure_row_noise(case, arrays, POLICY)
    # a discontinuity does not widen the tolerance
    np.testing.assert_allclose(case.row_noise["y"], [0, 1e-3, 0], rtol=1e-3)
    assert measure_noise_floor([case], arrays) == {}
    assert findings_of(case, y + real([0], [7e-3], [0])) == []
    (finding,) = findings_of(case, y + real([0], [9e-3], [0]))
    assert "in row 1 (ones) (tolerance 0.004)" in finding
    (finding,) = findings_of(case, y + real([5e-5], [7e-3], [0]))
    assert "in row 0 (zeros) (tolerance 1e-05)" in finding
    case.unstable_rows = (2,)
    (finding,) = findings_of(case, y + real([0], [9e-3], [9]))
    assert "in row 1 (ones)" in finding
    assert measure_row_noise(Case(outputs={"y": y}), arrays, POLICY) == {}  # ordinary rows use the common noise floor


def test_other_kernels_raise_the_noise_floor_and_are_not_a_failure():
    y = real([1.0], [2.0])
    measured = measure_noise_floor([Case(outputs={"y": y})], outputs(main=y, kernels=y + np.float32(5e-5)))
    assert measured["kernels"]["y"] == pytest.approx(5e-5, rel=0.01)
    assert check_noise_floor({"kernels": {"y": 0.5}}, POLICY) == []


def test_rows_at_which_the_reference_is_discontinuous_are_not_compared():
    y, z = real([1.0], [2.0], [3.0]), real([1.0], [2.5], [3.0])
    case = Case(outputs={"y": y}, rows=("zeros", "ones", "low"))
    arrays = outputs(main=y, perturbed=z)
    assert find_unstable_rows(case, arrays, POLICY) == (1,)
    assert find_unstable_rows(Case(outputs={"y": y}), arrays, POLICY) == ()  # ordinary rows are always compared
    assert find_unstable_rows(case, outputs(main=y), POLICY) == ()
    steep = outputs(main=y, perturbed=y + real(9e-3))  # which is not a discontinuity
    assert find_unstable_rows(case, steep, POLICY) == ()
    assert find_unstable_rows(Case(outputs={"y": y}, rows=case.rows, compared=False), arrays, POLICY) == ()
    case.unstable_rows = (1,)
    verdict = compare_endpoint([case], outputs(main=z), {})
    assert (verdict.findings, verdict.figures["outputs"]["y"]["max_abs"]) == ([], 0)
    (finding,) = findings_of(case, real([1.0], [2.0], [3.5]))
    assert "in row 2 (low)" in finding
    whole = Case(outputs={"y": np.array([1, 2])}, rows=("zeros", "ones"), unstable_rows=(0,))
    assert findings_of(whole, np.array([9, 2])) == []
    assert findings_of(whole, np.array([1, 9])) == ["y in case a differs in 1 of 1 values"]


def test_instability_is_reported_first():
    y = real([1.0], [2.0])
    arrays = outputs(main=y + real(1), again=y + real(2))
    first, second = compare_endpoint([Case(outputs={"y": y})], arrays, {}).findings
    assert first.startswith("two identical calls differ:")
    assert second.startswith("y in case a differs by 1 in")


def test_discontinuities_are_collected_over_outputs_and_whole_rows_are_left_out():
    y, z, count = real([1, 1], [2, 2]), real([1, 1, 1], [2, 2, 2]), np.array([1, 2])
    case = Case(outputs={"count": count, "absent": y, "y": y, "z": z}, rows=("zeros", "ones"))
    perturbed = {"count": count + 2, "y": y + real([1, 0], [0, 0]), "z": z + real([0], [1])}
    arrays = {("a", "perturbed", name): value for name, value in perturbed.items()}
    arrays |= {("a", "main", name): case.outputs[name] for name in perturbed}
    assert find_unstable_rows(case, Outputs(arrays), POLICY) == (0, 1)
    assert find_unstable_rows(Case(outputs={"y": y}, rows=case.rows), outputs(main=y, perturbed=z), POLICY) == ()
    np.testing.assert_array_equal(Case(unstable_rows=(0,)).stable(y), [[2, 2]])


def test_every_compared_case_counts_whatever_precedes_it():
    y = real([1.0], [2.0])
    cases = [Case("n", compared=False, outputs={"y": y}), Case("r", outputs={"y": y}), Case("a", outputs={"y": y})]
    arrays = {("n", "main", "y"): y, ("a", "main", "y"): y + real(1)}
    findings = compare_endpoint(cases, Outputs(arrays, {("r", "main"): "raised"}), {}).findings
    assert findings[0] == "case r/main: raised"
    assert findings[1].startswith("y in case a differs by")
    missing = compare_endpoint(cases, Outputs({("n", "main", "y"): y, ("a", "main", "y"): y + real(1)}), {}).findings
    assert [text[:12] for text in missing] == ["y in case r ", "y in case a "]


def test_root_mean_square_is_compared_over_all_ordinary_cases():
    small = real([1e-6], [2e-6])
    cases = [Case(name, outputs={"y": small}) for name in "ab"]
    arrays = outputs("a", main=small * 3).arrays | outputs("b", main=small).arrays
    (finding,) = compare_endpoint(cases, Outputs(arrays), {}).findings
    assert finding.startswith("y ")


def test_float16_has_its_own_resolution_and_each_output_its_own_noise_floor():
    y = np.array([[1.0], [2.0]], np.float16)
    assert compare(y, y + np.array([[0.002], [0]], np.float16)).findings == []
    assert compare(y, y + np.float16(0.02)).findings
    assert compare(y, y).figures["outputs"]["y"]["tolerance"] == pytest.approx(4 * 2**-10)
    assert compare(y[:0], y[:0]).figures["outputs"]["y"]["tolerance"] == pytest.approx(4 * 2**-10)
    x = real([1.0], [2.0])
    assert compare(x, x, floor=5e-5).figures["outputs"]["y"]["tolerance"] == pytest.approx(2e-4)


def test_figures_of_images_are_grouped_by_size():
    four_by_four, five_by_three = np.zeros((2, 4, 4, 1), np.float32), np.full((1, 5, 3, 1), 9, np.float32)
    figures = image_figures(
        [(four_by_four, four_by_four + 2), (five_by_three, five_by_three), (four_by_four, four_by_four - 4)], peak=255.0
    )
    assert figures["5x3"] == {"psnr_db": None, "max_difference": 0.0}
    assert figures["4x4"]["max_difference"] == 4
    assert figures["4x4"]["psnr_db"] == pytest.approx(10 * np.log10(255**2 / ((4 + 16) / 2)), abs=0.06)
    assert "images" in difference_figures([(four_by_four, four_by_four)], 1e-5, classes=False, peak=255.0)
    assert "images" not in difference_figures([(four_by_four, four_by_four)], 1e-5, classes=False)


LOGITS = np.random.default_rng(0).normal(0, 3, (5, 10)).astype(np.float32)
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("meaning", "values", "reason"),
    [
        ("logits", SOFTMAX, "remove the softmax of the last layer"),
        ("logits", LOGITS, ""),
        ("logits", np.ones((5, 1), np.float32), ""),
        ("logits", [[0.2, 0.8]], "remove the softmax of the last layer"),
        ("logits", [[1.2, -0.2]], ""),
        ("logits", [[0.2, 0.9]], ""),
        ("logits", [[0.2, 0.8], [0.3, 0.3]], ""),
        ("logits", 1 / (1 + np.exp(-LOGITS)), ""),  # cannot be told from small logits
        ("probabilities", SOFTMAX, ""),
        ("probabilities", LOGITS, "values outside [0, 1] where the contract declares probabilities"),
    ],
)
def test_logits_are_no_probabilities_and_probabilities_are(meaning, values, reason):
    values = np.asarray(values, np.float32)
    tensor = Tensor("y", "float32", (None, values.shape[1]), meaning)
    (finding,) = contract_violations([Case(outputs={"y": values})], [tensor]) or [""]
    assert reason in finding
    assert bool(reason) is bool(finding)


def test_one_row_of_logits_may_look_like_probabilities():
    tensor = Tensor("y", "float32", (None, 10), "logits")
    assert contract_violations([Case(outputs={"y": SOFTMAX}), Case(outputs={"y": LOGITS})], [tensor]) == []


@pytest.mark.parametrize(
    ("noise", "floor"),
    [([4e-4, 0.0], 0), ([1e-4, 0.0], pytest.approx(1e-3, rel=0.01)), ([0.0, 4e-4], pytest.approx(1e-3, rel=0.01))],
)
def test_a_named_row_may_depend_on_the_batch_by_a_multiple_of_its_own_noise(noise, floor):
    """On another instruction set the sum of a batch of one has another order, and a steep row shows it."""
    y = np.ones((2, 3), "float32")
    case = Case(rows=("zeros", "ones"), outputs={"y": y}, row_noise={"y": np.array(noise)})
    arrays = outputs(main=y, batch_1=y + real([1e-3], [0.0]))
    assert measure_noise_floor([case], arrays)["batch_1"]["y"] == floor


@pytest.mark.parametrize(("wrong", "figure"), [(5e-7, (1e-3, 1e-2)), (8e-6, (8e-6, 1e-5))])
def test_the_figure_of_an_output_is_that_of_the_row_nearest_to_its_tolerance(wrong, figure):
    y = np.zeros((2, 3))
    case = Case(rows=("zeros", "ones"), outputs={"y": y}, row_noise={"y": np.array([1e-2 / POLICY.multiple, 0])})
    (shown,) = compare_endpoint([case], outputs(main=y + real([1e-3], [wrong])), {}).figures["outputs"].values()
    assert (shown["max_error"], shown["tolerance"]) == pytest.approx(figure)


def test_class_ids_may_differ_where_scores_are_tied():
    """Ids of two classes whose scores differ by less than the tolerance: either is right, a third class is not."""
    scores = real([[0.2, 0.8], [0.5 + 4e-6, 0.5]], [[0.9, 0.1], [0.5, 0.5]])
    ids = np.array([[1, 0], [0, 0]], np.int32)

    def findings(value, variant=None, **options):
        case = Case(outputs={"ids": ids, "scores": scores}, scores={"ids": "scores"}, **options)
        arrays = {("a", "main", "ids"): np.array(value, np.int32), ("a", "main", "scores"): scores}
        arrays |= {} if variant is None else {("a", "batch_1", "ids"): np.array(variant, np.int32)}
        return compare_endpoint([case], Outputs(arrays), {}).findings

    assert findings(ids) == []
    assert findings([[1, 1], [0, 1]]) == []
    assert findings([[0, 0], [0, 0]]) == ["ids in case a differs in 1 of 4 values"]
    assert findings([[1, 7], [0, -1]]) == ["ids in case a differs in 2 of 4 values"]
    assert findings([[0, 0], [0, 0]], rows=("x", "y"), unstable_rows=(0,)) == []
    assert findings(ids, variant=[[1, 1], [0, 1]]) == []
    (finding,) = findings(ids, variant=[[0, 0], [0, 0]])
    assert finding.startswith("outputs depend on the batch: ids differs by inf")


def test_cases_know_the_scores_of_class_ids(tmp_path):
    x, logits = Tensor("x", "float32", (None, 4, 4, 1), "image"), Tensor("y", "float32", (None, 4, 4, 3), "logits")
    other = Tensor("z", "float32", (None, 3), "probabilities")
    ids, label = (Tensor(n, "int32", (None, *s), "class_ids") for n, s in (("mask", (4, 4)), ("label", ())))
    endpoint = Endpoint("segment", (x,), (ids, logits, other, label))
    cases = cases_for(endpoint)
    write_golden(tmp_path / "golden", {"segment": cases})
    for case in (*cases, *read_golden(tmp_path / "golden", Contract((endpoint,)))["segment"]):
        assert case.scores == {"mask": "y", "label": "z"}
