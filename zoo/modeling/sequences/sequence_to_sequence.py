"""What models from one sequence of tokens to another have in common: greedy decoding."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from pipelines.text.sequences import END, START


class SequenceToSequence(keras.Model):
    """An encoder, and a decoder of one token at a time.

    A subclass sets `arguments`, those of its constructor, and `memory_size` and `state_size`, the last dimension of
    what the encoder returns and of the decoder's state, and has

    - `encode(source (B, S)) -> memory (B, S, memory_size), state (B, state_size)`
    - `step(token (B,), state, memory, source) -> logits (B, V), next state, attention weights (B, S)`
    """

    arguments: dict[str, Any]
    memory_size: int
    state_size: int
    # whether the encoder returns values in [-1, 1] and the state that the decoder starts with, which else are zeros
    recurrent = True

    def greedy(self, source: Any, length: int) -> tuple[Any, Any]:
        """Decode greedily for `length` steps; the tokens after the end token are padding.

        Returns:
            Tokens (B, length) int32, and attention weights (B, length, S).
        """
        memory, state = self.encode(source)
        token = ops.full_like(ops.max(source, axis=1), START)
        tokens = ops.tile(ops.expand_dims(ops.zeros_like(token), 1), (1, length))
        attention = ops.tile(ops.expand_dims(ops.zeros_like(source, dtype="float32"), 1), (1, length, 1))

        def decode_one(i: Any, token: Any, state: Any, ended: Any, tokens: Any, attention: Any) -> tuple[Any, ...]:
            logits, state, weights = self.step(token, state, memory, source)
            # excludes padding, unknown and start; Keras' argmax needs an operator that TFLite does not have
            best = tf.argmax(logits[:, END:], axis=-1, output_type="int32") + END
            token = ops.where(ended, ops.zeros_like(best), best)
            ended = ops.logical_or(ended, ops.equal(token, END))
            now = ops.expand_dims(ops.equal(ops.arange(length), i), 0)  # (1, length)
            tokens = ops.where(now, ops.expand_dims(token, 1), tokens)
            attention = ops.where(ops.expand_dims(now, 2), ops.expand_dims(weights, 1), attention)
            return i + 1, token, state, ended, tokens, attention

        start = (0, token, state, ops.not_equal(token, START), tokens, attention)
        return tuple(ops.while_loop(lambda i, *_: i < length, decode_one, start)[-2:])

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}
