"""Intervals of metrics against theory, comparisons with baselines, coverage of prediction sets, and figures."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from export.parity.intervals import area_interval, jackknife, share_interval
from pipelines import tabular
from pipelines.dataset import Info
from zoo.core.task import SplitEvaluation
from zoo.evaluation import conformal, plots
from zoo.evaluation.intervals import with_intervals
from zoo.tasks.generative.autoencoding import _in_plane
from zoo.tasks.tabular.regression import Regression
from zoo.tasks.text.classification import TextClassification

INFO = Info("x", "", "", "", {}, {}, class_names=("no", "yes"))
RANDOM = np.random.default_rng(0)


def evaluated(task, outputs, truth, **baselines):
    metrics = task.metrics(outputs, truth, INFO)
    return with_intervals(task, SplitEvaluation({}, outputs, truth, INFO, metrics, baselines=baselines)).metrics


def classified(correct):
    """Return logits and truth of as many examples as `correct` has, of which these are right."""
    truth = RANDOM.integers(0, 2, len(correct))
    predicted = np.where(correct, truth, 1 - truth)
    return {"logits": np.eye(2)[predicted].astype(np.float32)}, truth


def test_the_interval_of_an_accuracy_is_that_of_a_share():
    correct = RANDOM.random(4000) < 0.8
    metrics = evaluated(TextClassification(), *classified(correct))
    low, high = metrics["intervals"]["accuracy"]
    assert (low + high) / 2 == pytest.approx(correct.mean(), abs=1e-3)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.8 * 0.2 / 4000), rel=0.02)
    assert {"loss", "f1_macro", "expected_calibration_error"} <= set(metrics["intervals"])


def test_the_interval_has_the_true_value_in_19_of_20_samples():
    covered = []
    for _ in range(400):
        values = RANDOM.normal(1.0, 2.0, 500)
        margin = jackknife(lambda kept, values=values: values[kept].mean(), 500).margin
        covered.append(abs(values.mean() - 1.0) <= margin)
    assert 0.92 < np.mean(covered) < 0.98


def test_blocks_see_the_dependence_of_neighbours():
    values = np.repeat(RANDOM.normal(size=100), 50)  # 100 independent numbers, not 5,000
    margins = [jackknife(lambda kept: values[kept].mean(), 5000, blocks=blocks).margin for blocks in (False, True)]
    assert margins[1] > 3 * margins[0]
    assert margins[1] == pytest.approx(2.26 / np.sqrt(100), rel=0.4)  # ten blocks


def test_no_mistake_among_n_may_still_be_four():
    metrics = evaluated(TextClassification(), *classified(np.ones(300, bool)))
    assert metrics["intervals"]["accuracy"] == pytest.approx([1 - 3.8 / 300, 1.0], abs=1e-3)


def test_whole_groups_are_left_out():
    """12 patients with 25 examples each and an error of their own: the interval is that of twelve numbers."""
    groups = np.repeat([f"patient {i}" for i in range(12)], 25)
    own = np.random.default_rng(1).normal(size=12)
    truth = np.zeros(300, np.float32)
    evaluation = SplitEvaluation({}, {"prediction": np.repeat(own, 25)}, truth, INFO, {}, groups=groups)
    evaluation = dataclasses.replace(evaluation, baselines={"zero": {"prediction": truth + 0.5}})
    metrics = with_intervals(Regression(), evaluation).metrics
    low, high = metrics["intervals"]["mae"]
    assert (high - low) / 2 == pytest.approx(2.201 * np.abs(own).std(ddof=1) / np.sqrt(12), rel=0.15)
    assert metrics["gains"]["zero"]["high"] - metrics["gains"]["zero"]["low"] > 0.5 * (high - low)
    assert metrics["dependence"] == (
        "The intervals leave out whole groups: 12 groups; those of shares near 1 may cover less than 95 %."
    )
    few = with_intervals(Regression(), dataclasses.replace(evaluation, groups=np.arange(300) % 3)).metrics
    assert few["dependence"].endswith("3 groups are few: the intervals may cover less than 95 %.")
    one = with_intervals(Regression(), dataclasses.replace(evaluation, groups=np.full(300, "a"))).metrics
    assert (one["intervals"], "gains" in one) == ({}, False)
    assert one["dependence"] == "All examples are of one group: there are no intervals."


def test_two_groups_that_are_alike_have_the_error_of_their_examples():
    right, speaker = np.arange(48) % 3 > 0, np.arange(48) // 24
    alone, grouped = (jackknife(lambda kept: right[kept].mean(), 48, groups=g) for g in (None, speaker))
    assert (grouped.error, grouped.freedom) == (alone.error, 1)


def test_shares_and_areas_near_one():
    assert share_interval(0.995, 1000) == pytest.approx((0.98835, 0.99786), abs=1e-5)  # statsmodels, method="wilson"
    assert share_interval(1.0, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)
    low, high = area_interval(0.9, 10, 190)
    assert low < 0.9 - 0.1 < 0.9 < high < 1
    assert area_interval(1.0, 10, 190)[1] == 1.0
    truth = np.arange(200) < 10  # a rare class
    logits = np.stack([np.zeros(200), truth + np.random.default_rng(0).normal(size=200)], 1)
    found = evaluated(TextClassification(), {"logits": logits}, truth.astype(int))
    assert found["intervals"]["auc"] == list(area_interval(found["auc"], 10, 190))
    assert found["intervals"]["accuracy"] == list(share_interval(found["accuracy"], 200))


def test_the_order_of_examples_does_not_widen_an_interval():
    """Classes in rotation, of which some are harder: in 40 parts in rotation, each would be of one class."""
    chance = np.resize(np.linspace(0.55, 1.0, 10), 1000)
    right = np.random.default_rng(0).random(1000) < chance
    margin = jackknife(lambda kept: right[kept].mean(), 1000).margin
    assert margin == pytest.approx(2.02 * np.sqrt(right.var() / 1000), rel=0.35)
    parts = np.array([right[np.arange(1000) % 40 != p].mean() for p in range(40)])
    rotated = 2.02 * np.sqrt(39 / 40 * np.sum((parts - parts.mean()) ** 2))
    assert rotated > 1.5 * margin


def test_student_has_the_degrees_of_freedom_of_the_data():
    result = jackknife(lambda kept: np.array([0.0, 1.0, 3.0])[kept].mean(), 3)
    assert (result.error, result.quantile) == (
        pytest.approx(np.std([0, 1, 3], ddof=1) / 3**0.5),
        pytest.approx(4.3027, 1e-3),
    )
    few = np.zeros(1000)
    few[:5] = 1.0  # five of a thousand: they are in five of the parts
    assert jackknife(lambda kept: few[kept].mean(), 1000).freedom < 20


@pytest.mark.parametrize(("better", "verdict"), [(0.0, "no gain"), (0.1, "better"), (-0.1, "worse")])
def test_a_baseline_is_compared_pairwise(better, verdict):
    """Both are right for the same examples but a tenth: unpaired, the difference would be in the noise."""
    right = RANDOM.random(1000) < 0.7
    outputs, truth = classified(right)
    other = outputs["logits"].argmax(-1)
    changed = np.flatnonzero(right if better > 0 else ~right)[: int(1000 * abs(better))]
    if better:
        other[changed] = 1 - other[changed]
    else:
        other[[np.flatnonzero(right)[0], np.flatnonzero(~right)[0]]] ^= 1
    metrics = evaluated(TextClassification(), outputs, truth, other={"predicted": other})
    gain = metrics["gains"]["other"]
    assert (gain["metric"], gain["verdict"]) == ("accuracy", verdict)
    assert gain["gain"] == pytest.approx(better)
    assert list(metrics["compared"]) == ["this model", "other"]
    assert set(metrics["compared"]["other"]) == {"accuracy"}  # it has no probabilities


def test_a_lower_error_is_a_gain():
    truth = RANDOM.normal(size=500).astype(np.float32)
    noise = RANDOM.normal(size=500)
    outputs = {"prediction": truth + 0.1 * noise}
    metrics = evaluated(Regression(), outputs, truth, worse={"prediction": truth + 0.2 * noise})
    assert metrics["gains"]["worse"]["verdict"] == "better"
    assert metrics["gains"]["worse"]["low"] > 0


def test_rows_of_the_comparison_without_outputs_stay():
    outputs, truth = classified(np.arange(100) % 3 > 0)
    task = TextClassification()
    metrics = {**task.metrics(outputs, truth, INFO), "compared": {"published": {"accuracy": 0.9}}}
    evaluation = SplitEvaluation({}, outputs, truth, INFO, metrics)
    compared = with_intervals(task, evaluation).metrics["compared"]
    assert list(compared) == ["published"]
    assert "gains" not in with_intervals(task, evaluation).metrics


def test_one_example_has_no_interval():
    outputs, truth = classified(np.array([True]))
    assert "intervals" not in evaluated(TextClassification(), outputs, truth)


DRAWN = np.random.default_rng(0)


def probabilities(count, sharpness):
    """Return the probabilities of a model of three classes, right as often as it is sharp, and the truth."""
    truth = DRAWN.integers(0, 3, count)
    logits = DRAWN.normal(size=(count, 3)) + sharpness * np.eye(3)[truth]
    shifted = np.exp(5 * logits)  # far too confident
    return shifted / shifted.sum(-1, keepdims=True), truth


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 3.0])
def test_sets_cover_nine_of_ten_however_good_the_model_is(sharpness):
    result = conformal.of_classes(*probabilities(2000, sharpness), *probabilities(4000, sharpness))
    assert result["coverage"] == pytest.approx(0.9, abs=0.025)
    low, high = result["interval"]
    assert low < result["coverage"] < high
    assert 0.9 <= result["set_size"] <= 3


def test_a_better_model_has_smaller_sets():
    sizes = [
        conformal.of_classes(*probabilities(2000, s), *probabilities(2000, s))["set_size"] for s in (0.0, 1.0, 3.0)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[2]


def test_intervals_of_numbers():
    result = conformal.of_numbers(DRAWN.normal(scale=2.0, size=2000), DRAWN.normal(scale=2.0, size=4000))
    assert result["coverage"] == pytest.approx(0.9, abs=0.025)
    assert result["margin"] == pytest.approx(1.645 * 2, rel=0.1)
    assert "plus and minus 3" in conformal.describe(result)


def test_the_bound_is_one_of_the_probabilities():
    constant = np.full((500, 10), 0.1), np.arange(500) % 10
    assert conformal.of_classes(*constant, *constant)["coverage"] == 1.0  # 1 - (1 - 0.1) is more than 0.1
    result = conformal.of_classes(*probabilities(2000, 1.0), *probabilities(100, 1.0))
    validation, labels = probabilities(2000, 1.0)
    bound = conformal.of_classes(validation, labels, *probabilities(10, 1.0))["smallest_probability"]
    assert bound in validation[np.arange(2000), labels]
    assert 0 < result["set_size"] <= 3


def test_the_interval_of_a_coverage_has_the_randomness_of_calibration():
    """Bounds of 100 examples cover from 0.84 to 0.95, of however many test examples that is known."""
    inside, exact = [], []
    for _ in range(300):
        result = conformal.of_numbers(DRAWN.normal(size=100), errors := DRAWN.normal(size=5000))
        inside.append(result["interval"][0] <= 0.901 <= result["interval"][1])  # 91 / 101, the mean of all bounds
        low, high = share_interval(result["coverage"], len(errors))
        exact.append(low <= 0.901 <= high)
    assert 0.9 < np.mean(inside) < 0.99
    assert np.mean(exact) < 0.5


def test_a_bound_is_measured_on_examples_that_did_not_choose_it(monkeypatch):
    """Neither do groups of them, nor neighbours in time; validation is not asked, which chose the epoch."""
    number = np.arange(600)
    monkeypatch.setattr(conformal, "of_classes", lambda p, chosen, q, measured, groups: (chosen, measured, groups))
    monkeypatch.setattr(conformal, "of_numbers", lambda chosen, measured, groups: (-chosen, -measured, groups))

    def halves(task, groups=None):
        outputs = {"logits": np.zeros((600, 2)), "prediction": np.zeros(600)}
        return conformal.of_test(task, SplitEvaluation({}, outputs, number, INFO, groups=groups))

    chosen, measured, _ = halves(TextClassification())
    assert sorted([*chosen, *measured]) == number.tolist()
    assert len(chosen) == 300
    assert 250 < np.mean(chosen) < 350  # at random
    chosen, measured, groups = halves(TextClassification(), groups=number % 20)
    assert set(chosen % 20).isdisjoint(measured % 20)
    assert set(measured % 20) == set(groups)
    assert len(set(groups)) == 10
    assert halves(TextClassification(), groups=number % 2) is None  # one group has no interval
    chosen, measured, groups = halves(Regression(season=24))
    assert chosen.max() == measured.min() - 1
    assert len(set(groups)) == 5  # blocks


def test_too_few_examples_promise_nothing():
    assert conformal.threshold(np.arange(5.0)) == np.inf
    result = conformal.of_classes(*probabilities(5, 1.0), *probabilities(100, 1.0))
    assert (result["coverage"], result["set_size"], result["smallest_probability"]) == (1.0, 3.0, 0.0)
    assert conformal.of_numbers(np.arange(5.0), np.zeros(9)) is None


EPOCH = {"epoch": 1, "accuracy": 0.3, "val_accuracy": 0.4, "loss": 2.0, "val_loss": 1.8, "learning_rate": 1e-3}


def test_one_epoch_is_drawn_as_bars_from_zero():
    accuracy, loss, rate = plots.curves([EPOCH], "a model on data").axes
    assert [bar.get_height() for bar in accuracy.patches] == [0.3, 0.4]
    assert [label.get_text() for label in loss.get_xticklabels()] == ["training", "validation"]
    assert accuracy.get_ylim()[0] == 0
    assert [bar.get_height() for bar in rate.patches] == [1e-3]


def test_curves_show_the_learning_rate_and_name_model_and_data():
    figure = plots.curves([EPOCH, EPOCH | {"epoch": 2, "learning_rate": 5e-4}], "a model on data")
    assert figure.get_suptitle() == "a model on data"
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "loss", "learning rate"]
    (line,) = figure.axes[2].lines
    assert list(line.get_ydata()) == [1e-3, 5e-4]
    assert len(plots.curves([{k: v for k, v in EPOCH.items() if k != "learning_rate"}], "").axes) == 2


@pytest.mark.parametrize(("classes", "curves"), [(2, 1), (3, 3)])
def test_two_classes_have_one_roc_curve(classes, curves):
    truth = np.arange(30) % classes
    probabilities = np.random.default_rng(0).dirichlet(np.ones(classes), 30)
    (axes,) = plots.roc(truth, probabilities, [f"class {i}" for i in range(classes)], positive=1).axes
    assert len(axes.get_legend().get_texts()) == curves
    assert axes.get_legend().get_texts()[0].get_text().startswith("class 1 (positive)")


def test_times_are_shown_as_dates():
    table = {"date": np.array(["2012-12-10", "2012-12-11"], object), "hour": np.array(["05", "23"], object)}
    times = tabular.times(table)
    assert times.tolist() == np.array(["2012-12-10T05", "2012-12-11T23"], "datetime64[h]").tolist()
    assert tabular.times({"days": np.zeros(2)}) is None
    line, _ = plots.over_time(np.ones(2), np.ones(2), "count", times).axes
    assert type(line.xaxis.get_major_formatter()).__name__ == "ConciseDateFormatter"
    line, _ = plots.over_time(np.ones(2), np.ones(2), "count").axes
    assert line.get_xlabel() == "row of the test split"


def test_a_caption_stands_below():
    assert plots.caption(Figure(), "a model on data, 3 examples").get_supxlabel() == "a model on data, 3 examples"


@pytest.mark.parametrize(("size", "title"), [(2, ""), (5, ": first two principal components (PCA), ")])
def test_a_projection_of_codes_is_named(size, title):
    points, name = _in_plane(np.random.default_rng(0).normal(size=(30, size)))
    assert points.shape == (30, 2)
    assert name.startswith(title)
    assert bool(name) is (size > 2)
