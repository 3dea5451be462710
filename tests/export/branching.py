"""A layer with a branch that depends on its data."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("tests")
class Branching(layers.Layer):
    """Applies one of two layers, the rare one only where the input is very large."""

    def __init__(self, **options):
        super().__init__(**options)
        self.usual, self.rare = layers.Dense(2, name="usual"), layers.Dense(2, name="rare")

    def build(self, shape):
        self.usual.build(shape)
        self.rare.build(shape)
        super().build(shape)

    def call(self, x):
        return ops.cond(ops.max(x) > 1e6, lambda: self.rare(x), lambda: self.usual(x))
