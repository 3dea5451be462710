"""N-grams of the text before: counted as plain Python counts them, for a whole text and for single tokens."""

from collections import Counter

import keras
import numpy as np
import pytest

import zoo
from zoo.modeling.sequences.ngram_cache import ORDERS, SHARES, NgramCache
from zoobase.errors import UsageError

SIZE, WINDOW = 4, 40
PATTERN = np.random.default_rng(0).integers(0, SIZE, (2, 25))
TOKENS = np.concatenate([PATTERN, PATTERN, PATTERN[:, ::-1]], axis=1).astype(np.int32)
LOGITS = np.random.default_rng(1).normal(size=(*TOKENS.shape, SIZE)).astype(np.float32)


def expected(tokens, probabilities, i):
    """Return the mixture after token i, and the orders that were found."""
    mixed, found = SHARES[0] * probabilities, []
    for order, share in zip(ORDERS, SHARES[1:], strict=True):
        context, votes = tokens[max(0, i - order + 1) : i + 1].tolist(), Counter()
        for place in range(max(order - 1, i - WINDOW + max(ORDERS)), i):
            if i >= order - 1 and tokens[place - order + 1 : place + 1].tolist() == context:
                votes[int(tokens[place + 1])] += 1
        shares = np.array([votes[token] for token in range(SIZE)]) / max(1, votes.total())
        mixed = mixed + share * (shares if votes else probabilities)
        found += [order] if votes else []
    return mixed, found


def test_a_text_and_single_tokens_have_the_counts_of_the_text_before():
    layer = NgramCache(WINDOW)
    whole, state = np.asarray(layer([TOKENS, LOGITS])), np.zeros((2, WINDOW), np.float32)
    probabilities, seen = np.asarray(keras.ops.softmax(LOGITS)), Counter()
    for i in range(TOKENS.shape[1]):
        one, (state,) = layer.step([TOKENS[:, i], LOGITS[:, i]], [state])
        np.testing.assert_allclose(one, whole[:, i], atol=1e-6)
        for row in range(2):
            mixed, found = expected(TOKENS[row], probabilities[row, i], i)
            seen.update(found)
            np.testing.assert_allclose(whole[row, i], np.log(mixed), atol=1e-5)
    assert all(seen[order] for order in ORDERS), "a context of each order must have been found"
    np.testing.assert_allclose(np.exp(whole).sum(-1), 1, atol=1e-5)


def test_the_cache_takes_no_part_in_training():
    layer = NgramCache(WINDOW)
    np.testing.assert_array_equal(layer([TOKENS, LOGITS], training=True), LOGITS)
    assert layer.weights == []


def test_a_cache_too_short_for_a_context_is_refused():
    with pytest.raises(UsageError, match=r"model\.cache=8 is not valid: it must be 0, or above 8"):
        zoo.build("text_transformer", cache=8)
