"""Figures: one epoch is no curve, two classes have one ROC curve, dates are dates, and each says what it shows."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipelines import tabular
from zoo.evaluation import plots
from zoo.tasks.generative.autoencoding import _in_plane

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
    assert [axes.get_title() for axes in figure.axes] == ["accuracy", "loss", "learning rate"]
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
