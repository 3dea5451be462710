"""Sequence models with states: the step form, which generates, and stateful training of recurrent networks.

Such a model is a stack of layers, tokens (B, T) -> logits (B, T, vocabulary size). Its `keras.layers.RNN` layers return
their states, too; other layers with states have `state_shapes` and `step(x, states) -> (x, next states)`, such as
attention with a cache of keys and values.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from zoo.modeling.instance_methods import replace_steps
from zoobase.errors import UsageError


def state_shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the states of a model, without batch, by name: `state0`, ... An LSTM layer has two."""
    return {f"state{i}": shape for i, shape in enumerate(s for layer in model.layers for s in _state_shapes(layer))}


def _state_shapes(layer: keras.Layer) -> list[tuple[int, ...]]:
    if isinstance(layer, layers.RNN):
        return [(width,) for width in _as_list(layer.cell.state_size)]
    return getattr(layer, "state_shapes", [])


def advance(model: keras.Model, tokens: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
    """Apply a model with initial states to one token or to a sequence of tokens."""
    # Shapes: tokens (B,) or, of recurrent networks, (B, T) int32, states in the order of `state_shapes`, float32, zeros
    # for the beginning of a text -> logits (B, vocabulary_size) or (B, T, vocabulary_size), and the next states.
    x, remaining, next_states = tokens, list(states), []
    for layer in model.layers:
        count = len(_state_shapes(layer))
        initial, remaining = remaining[:count], remaining[count:]
        if count and not isinstance(layer, layers.RNN):
            x, final = layer.step([tokens, x] if isinstance(layer.input, list) else x, initial)
            next_states += final
        elif count:
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
    """Make a compiled model train statefully: a batch starts with the states of the previous one."""
    # The states are not saved, and are zero when an epoch begins: a resumed training equals an uninterrupted one.
    if other := [layer for layer in model.layers if _state_shapes(layer) and not isinstance(layer, layers.RNN)]:
        raise UsageError(f"task.carry is for recurrent networks: {other[0].name} is a {type(other[0]).__name__}")
    variables = [
        tf.Variable(tf.zeros((0, *shape)), shape=(None, *shape), trainable=False, name=name)
        for name, shape in state_shapes(model).items()
    ]

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
