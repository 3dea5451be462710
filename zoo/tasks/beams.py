"""The likeliest sequence by beam search, one step of a model a token and hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np


class Hypothesis(NamedTuple):
    """A sequence that is being written.

    Attributes:
        score: Sum of the logarithms of the probabilities, in nats.
        tokens: What is written so far.
        state: After it.
        looked: Shares of the source at each token, (S,) each.
        ended: Whether the last token is the end.
    """

    score: float
    tokens: tuple[int, ...]
    state: np.ndarray
    looked: tuple[np.ndarray, ...]
    ended: bool


def search(
    step: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    given: Mapping[str, np.ndarray],
    state: np.ndarray,
    *,
    start: int,
    end: int,
    width: int,
    length: int,
) -> list[Hypothesis]:
    """Return the `width` best sequences, the likeliest first; width 1 is greedy.

    Args:
        step: {"token" (1,), "state" (1, units), given...} -> {"logits" (1, V), "next_state", "attention" (1, S)}.
        given: What stays the same at each step.
        state: Where writing begins, (1, units).
        start: The token before the first.
        end: The token after the last; tokens below it are never written.
        width: Hypotheses that are kept.
        length: Tokens at most.
    """
    held = [Hypothesis(0.0, (), state, (), False)]
    for _ in range(length):
        following = [h for h in held if h.ended]
        for h in (h for h in held if not h.ended):
            token = np.array([h.tokens[-1] if h.tokens else start], np.int32)
            outputs = step({"token": token, "state": h.state, **given})
            chances = _log_softmax(outputs["logits"][0].astype(np.float64))
            chances[:end] = -np.inf
            for best in np.argsort(-chances, kind="stable")[:width]:
                looked = (*h.looked, outputs["attention"][0])
                tokens, score = (*h.tokens, int(best)), h.score + float(chances[best])
                following.append(Hypothesis(score, tokens, outputs["next_state"], looked, best == end))
        held = sorted(following, key=lambda h: -h.score)[:width]
        if all(h.ended for h in held):
            break
    return held


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max()
    return logits - np.log(np.exp(logits).sum())
