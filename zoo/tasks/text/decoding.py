"""Text from the logits of a model: the next token drawn or chosen, and the likeliest sequence by beam search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


def generate(
    step: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    states: Mapping[str, np.ndarray],
    prompt: Sequence[int],
    length: int,
    choose: Callable[[np.ndarray], int],
) -> list[int]:
    """Return the ids that follow a prompt, one `step` a token, with the states that it gives handed back to it.

    Args:
        step: {"token" (1,), state...} -> {"logits" (1, size), "next_" + state...}.
        states: Where a text begins; zeros.
        prompt: Ids, one at least.
        length: How many to write.
        choose: Logits (size,) -> the next id.
    """
    written: list[int] = []
    for i in range(len(prompt) + length - 1):
        token = prompt[i] if i < len(prompt) else written[-1]
        outputs = step({"token": np.array([token], np.int32), **states})
        states = {name: outputs[f"next_{name}"] for name in states}
        if i >= len(prompt) - 1:
            written.append(choose(outputs["logits"][0]))
    return written


def chooser(
    seed: int, *, temperature: float = 1.0, top_p: float = 1.0, never: Sequence[int] = ()
) -> Callable[[np.ndarray], int]:
    """Return a function that draws an id from logits.

    Args:
        seed: Of the draws.
        temperature: Logits are divided by it; 0 takes the likeliest, in every runtime the same.
        top_p: Draw among the likeliest ids that hold this much probability (Holtzman 2020, arXiv:1904.09751).
        never: Ids that are not drawn.
    """
    random = np.random.default_rng(seed)

    def choose(logits: np.ndarray) -> int:
        logits = np.array(logits, np.float64)
        logits[list(never)] = -np.inf
        if temperature == 0:
            return int(logits.argmax())
        scaled = np.exp((logits - logits.max()) / temperature)
        order = np.argsort(-scaled, kind="stable")
        share = np.cumsum(scaled[order]) / scaled.sum()
        kept = order[: int(np.searchsorted(share, top_p)) + 1]
        return int(random.choice(kept, p=scaled[kept] / scaled[kept].sum()))

    return choose


def options_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `chooser` takes of a verb's options."""
    return {k: v for k, v in options.items() if k in ("temperature", "top_p")}


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


def beam_search(
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
