"""Throughput and waiting time in TensorBoard: of a real training, and longer where the input is slower."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo import train
from zoo.training.callbacks import Throughput

RATE, WAITING = "worker/examples per second", "worker/share of time waiting for input"


def numbers(folder):
    """Return {name: {epoch: value}} of a folder of TensorBoard."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(name)}
        for name in (RATE, WAITING)
    }


def test_every_training_writes_both(tmp_path):
    settings = {"data": "digits", "recipe.epochs": 2, "model.units": [8]}
    train.run("mnist", settings=settings, out=str(tmp_path / "run"), evaluate=False, precision="float32")
    found = numbers(tmp_path / "run" / "logs" / "worker-0")
    assert found[RATE].keys() == found[WAITING].keys() == {0, 1}
    assert all(rate > 0 for rate in found[RATE].values())
    assert all(0 <= share < 1 for share in found[WAITING].values())


def fit(folder, seconds):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def wait(x):
        time.sleep(seconds)
        return x

    rows = tf.data.Dataset.from_tensor_slices(np.ones((8, 2, 4), np.float32))
    rows = rows.map(lambda x: (tf.ensure_shape(tf.numpy_function(wait, [x], tf.float32), (2, 4)), tf.ones([2, 1])))
    throughput = Throughput(folder, 2)
    throughput.watch(model)
    model.fit(rows, epochs=1, verbose=0, callbacks=[throughput])
    assert throughput.steps == 7  # all but the one that was traced
    return throughput


def test_a_slow_input_is_waited_for(tmp_path):
    slow, fast = fit(tmp_path / "slow", 0.2), fit(tmp_path / "fast", 0.0)
    assert slow.waiting > 0.2  # of 1.4 s in which the input slept, some while the model computed
    assert slow.waiting / slow.seconds > fast.waiting / fast.seconds
    assert numbers(tmp_path / "slow")[RATE][0] == pytest.approx(14 / slow.seconds, rel=1e-5)
