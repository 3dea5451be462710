"""Limits on the number of examples."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import splits, tabular
from tests.pipelines.conftest import FIXTURES


def labels(split):
    return [int(example["label"]) for example in split.as_numpy_iterator()]


def test_a_limit_keeps_every_class_and_the_order(capfd):
    whole = pipelines.load("digits")
    data = splits.limited(whole, 50)
    assert data.info.counts == {"train": 50, "validation": 50, "test": 50}
    assert [int(data[split].cardinality()) for split in data.info.counts] == [50, 50, 50]
    assert np.bincount(labels(data.train)).tolist() == [5] * 10  # the classes of digits have about the same size
    images = [example["image"] for example in whole.train.as_numpy_iterator()]
    places = [next(i for i, x in enumerate(images) if np.array_equal(x, e["image"])) for e in data.train]
    assert places == sorted(places)
    assert labels(splits.limited(whole, 50).train) == labels(data.train)
    assert splits.limited(whole, 10_000).info.counts == whole.info.counts
    assert splits.limited(whole, 0) is whole
    assert "could not parse" not in capfd.readouterr().err  # AutoGraph warns about two lambdas of one line
    with pytest.raises(pipelines.DataError, match="5 examples a split are too few for 10 classes"):
        splits.limited(whole, 5)


def test_a_rare_class_keeps_one_example_and_a_frequent_one_its_share():
    chosen = splits.stratified(np.repeat([3, 7, 9], [900, 99, 1]), 20)
    assert len(set(chosen)) == 20
    assert np.bincount(np.repeat([3, 7, 9], [900, 99, 1])[chosen])[[3, 7, 9]].tolist() == [17, 2, 1]


def test_rows_without_labels_stay_in_the_order_of_time():
    data = splits.limited(pipelines.load("bike_sharing", data_dir=FIXTURES / "bike_sharing.csv"), 30)
    days = tabular.collect(data.test)["days"]
    assert len(days) == 30
    assert (np.diff(days) >= 0).all()
    assert days[-1] - days[0] > 10  # of the whole split
    assert isinstance(data.test, tf.data.Dataset)
