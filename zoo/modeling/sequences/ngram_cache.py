"""Predictions of a language model mixed with those of n-grams of the text that it has read."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

# Tokens of the contexts; the oldest three of each are compared at once, and the shorter ones cover the others.
ORDERS = (3, 5, 8)
# Shares of the model and of each order, by expectation maximisation on the validation split of `shakespeare`
# (`zoo.evaluation.text_baselines.mixture_weights`) for `text_transformer` and a window of 1,024.
SHARES = (0.404, 0.065, 0.173, 0.358)
SMALLEST = 1e-30  # probability, of whose logarithm every runtime returns a number


@keras.saving.register_keras_serializable("zoo")
class NgramCache(layers.Layer):
    """Mixes the predictions of a language model with the tokens that followed the same context earlier in the text.

    For each order, the last so many tokens are looked up among the last `window` tokens; each place where they occur
    votes for the token that follows it. The share of an order without such a place is the model's. The layer has no
    weights, and takes no part in training.

    Shapes: tokens (B, T) integer, logits (B, T, V) -> logarithms of probabilities (B, T, V) float32; logits while
    training. `step` does the same for one token; its state are the last tokens (B, window), plus 1; 0 is no token.

    Reference: Kuhn, De Mori 1990, doi:10.1109/34.56193.

    Args:
        window: Number of tokens that are remembered, above 8.
    """

    def __init__(self, window: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **{key: value for key, value in kwargs.items() if key != "dtype"})
        self.window = window
        self.state_shapes = [(window,)]

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        """Return the mixture for each position."""
        tokens, logits = inputs
        if training:
            return logits
        ids = ops.cast(tokens, "int32") + 1
        length, longest = ops.shape(ids)[1], max(ORDERS)
        triples = _triples(ops.pad(ids, [[0, 0], [longest - 1, 0]]), logits.shape[-1])
        contexts = [triples[:, longest - order : longest - order + length] for order in ORDERS]
        following = ops.pad(ids[:, 1:], [[0, 0], [0, 1]])
        # positions from 1, of the tokens, because a file would hold a constant (T, T)
        positions = ops.cumsum(ops.minimum(ids, 1), axis=1)
        distances = positions[:, :, None] - positions[:, None]
        earlier = ops.logical_and(distances > 0, distances <= self.window - longest)
        return _mixture(logits, contexts, contexts, following, ops.cast(earlier, "float32"))

    def step(self, inputs: Sequence[Any], states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return the mixture (B, V) after one token (B,), and the next state."""
        token, logits = inputs
        newest = ops.cast(ops.expand_dims(token, 1), "float32") + 1.0
        remembered = ops.concatenate([states[0][:, 1:], newest], axis=1)
        ids, longest = ops.cast(remembered, "int32"), max(ORDERS)
        triples = _triples(ids, logits.shape[-1])
        asked = [triples[:, self.window - order : self.window - order + 1] for order in ORDERS]
        places = [triples[:, longest - order : self.window - order] for order in ORDERS]
        mixed = _mixture(ops.expand_dims(logits, 1), asked, places, ids[:, longest:], 1.0)
        return ops.squeeze(mixed, 1), [remembered]

    def compute_output_shape(self, shapes: Any) -> Any:
        """Return the shape of the logits."""
        return shapes[1]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "window": self.window}


def _triples(ids: Any, size: int) -> Any:
    """Return a number for each three tokens (B, N - 2): ids in 0..size."""
    return ids[:, 2:] + (size + 1) * (ids[:, 1:-1] + (size + 1) * ids[:, :-2])


def _mixture(logits: Any, asked: Sequence[Any], places: Sequence[Any], following: Any, counted: Any) -> Any:
    """Return logarithms of probabilities (B, Q, V).

    `asked` and `places` are the triples of the contexts of Q positions (B, Q) and of M places (B, M), in the order of
    `ORDERS`, `following` (B, M) what follows the latter, and `counted` (B, Q, M) is 1 for the places before each.
    """
    # Contexts that begin before the text match none: at an earlier place, more tokens are missing.
    model, same, matches = ops.softmax(ops.cast(logits, "float32")), counted, []
    for query, key in zip(asked, places, strict=True):
        same = same * ops.cast(ops.equal(query[:, :, None], key[:, None]), "float32")
        matches.append(same)
    # (B, V, M), because TFLite's product of rows with rows is three times as fast
    followed = ops.one_hot(following - 1, logits.shape[-1], axis=1, dtype="float32")
    votes = ops.matmul(ops.stack(matches, axis=1), ops.swapaxes(followed, 1, 2)[:, None])
    total = ops.sum(votes, axis=-1, keepdims=True)
    found = ops.where(total > 0, votes / ops.maximum(total, 1.0), model[:, None])
    shares = np.array(SHARES[1:], np.float32).reshape(-1, 1, 1)
    return ops.log(SHARES[0] * model + ops.sum(shares * found, axis=1) + np.float32(SMALLEST))
