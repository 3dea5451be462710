"""Recurrent networks with initial states: the step form, which generates, and stateful training.

Such a model is a stack of layers, tokens (B, T) -> logits (B, T, vocabulary size); its `keras.layers.RNN` layers return
their states, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from zoo.modeling.instance_methods import replace_steps


def state_widths(model: keras.Model) -> dict[str, int]:
    """Return the widths of the states of a model by name: `state0`, ... An LSTM layer has two, others one."""
    sizes = [_as_list(layer.cell.state_size) for layer in model.layers if isinstance(layer, layers.RNN)]
    return {f"state{i}": width for i, width in enumerate(width for size in sizes for width in size)}


def advance(model: keras.Model, tokens: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
    """Apply a model with initial states to one token or to a sequence of tokens.

    Shapes: tokens (B,) or (B, T) int32, states in the order of `state_widths`, (B, width) float32 each, zeros for the
    beginning of a text -> logits (B, vocabulary_size) or (B, T, vocabulary_size), and the next states.
    """
    x, remaining, next_states = tokens, list(states), []
    for layer in model.layers:
        if isinstance(layer, layers.RNN):
            count = len(_as_list(layer.cell.state_size))
            initial, remaining = remaining[:count], remaining[count:]
            if len(tokens.shape) == 1:
                x, final = layer.cell(x, initial, training=training)
            else:
                x, *final = layer(x, initial_state=initial, training=training)
            next_states += _as_list(final)
        elif isinstance(layer, layers.Dropout):
            x = layer(x, training=training)
        elif not isinstance(layer, layers.InputLayer):
            x = layer(x)
    return x, next_states


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def enable_stateful_training(model: keras.Model, steps_per_epoch: int) -> None:
    """Make a compiled model train statefully: a batch starts with the final states of the previous one of the epoch.

    The states are not part of the saved model, and are zero at the beginning of each epoch, so that a resumed training
    gives the same result as an uninterrupted one.

    Args:
        model: Compiled, tokens (B, T) -> logits.
        steps_per_epoch: Optimizer steps per epoch.
    """
    widths = state_widths(model)
    variables = [tf.Variable(tf.zeros((0, w)), shape=(None, w), trainable=False, name=n) for n, w in widths.items()]

    def initial_state(state: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
        epoch_start = tf.equal(tf.cast(model.optimizer.iterations, tf.int64) % steps_per_epoch, 0)
        reset = tf.logical_or(epoch_start, tf.not_equal(tf.shape(state)[0], rows))
        return tf.cond(reset, lambda: tf.zeros((rows, state.shape[1])), lambda: tf.identity(state))

    def train_step(data: Any) -> dict[str, Any]:
        tokens, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        rows = tf.shape(tokens)[0]
        states = [initial_state(variable, rows) for variable in variables]
        with tf.GradientTape() as tape:
            logits, states = advance(model, tokens, states, training=True)
            loss = model.compute_loss(tokens, targets, logits, weights, training=True)
            scaled = model.optimizer.scale_loss(loss)
        trainable = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(scaled, trainable), trainable, strict=True))
        for variable, state in zip(variables, states, strict=True):
            variable.assign(tf.cast(state, tf.float32))
        model._loss_tracker.update_state(loss, sample_weight=rows)
        return model.compute_metrics(tokens, targets, logits, weights)

    replace_steps(model, train_step)
