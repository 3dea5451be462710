"""Truncated back-propagation through time: each batch begins with the states in which the batch before ended.

Reference: Williams, Peng 1990, doi:10.1162/neco.1990.2.4.490.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf


def carry_states(model: keras.Model, advance: Callable, widths: Mapping[str, int], steps_per_epoch: int) -> None:
    """Let a compiled model train with states that go on from batch to batch within an epoch.

    What is saved stays the plain model: the states are no part of it, and zeros begin each epoch, so that a resumed
    training is the same as one that was never stopped.

    Args:
        model: Compiled, tokens (B, T) -> logits.
        advance: (model, tokens, states, training) -> (logits, next states).
        widths: State name -> width.
        steps_per_epoch: Optimizer steps of an epoch.
    """
    held = [tf.Variable(tf.zeros((0, w)), shape=(None, w), trainable=False, name=n) for n, w in widths.items()]

    def before(state: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
        begins = tf.equal(tf.cast(model.optimizer.iterations, tf.int64) % steps_per_epoch, 0)
        fresh = tf.logical_or(begins, tf.not_equal(tf.shape(state)[0], rows))
        return tf.cond(fresh, lambda: tf.zeros((rows, state.shape[1])), lambda: tf.identity(state))

    def train_step(data: Any) -> dict[str, Any]:
        tokens, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        rows = tf.shape(tokens)[0]
        states = [before(state, rows) for state in held]
        with tf.GradientTape() as tape:
            logits, states = advance(model, tokens, states, training=True)
            loss = model.compute_loss(tokens, targets, logits, weights, training=True)
            scaled = model.optimizer.scale_loss(loss)
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        for variable, state in zip(held, states, strict=True):
            variable.assign(tf.cast(state, tf.float32))
        model._loss_tracker.update_state(loss, sample_weight=rows)
        return model.compute_metrics(tokens, targets, logits, weights)

    model.train_step = train_step
