"""Decoding of token sequences: sampling, greedy decoding and beam search."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax


def generate(
    step: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    states: Mapping[str, np.ndarray],
    prompt: Sequence[int],
    length: int,
    choose: Callable[[np.ndarray], int],
) -> list[int]:
    """Return the ids that follow a prompt, one `step` per token; the states of a step are inputs of the next."""
    # step: {"token" (1,), state...} -> {"logits" (1, size), "next_" + state...}; choose: logits (size,) -> the next id.
    ids: list[int] = []
    for i in range(len(prompt) + length - 1):
        token = prompt[i] if i < len(prompt) else ids[-1]
        outputs = step({"token": np.array([token], np.int32), **states})
        states = {name: outputs[f"next_{name}"] for name in states}
        if i >= len(prompt) - 1:
            ids.append(choose(outputs["logits"][0]))
    return ids


def sampler(
    seed: int, *, temperature: float = 1.0, top_p: float = 1.0, excluded: Sequence[int] = ()
) -> Callable[[np.ndarray], int]:
    """Return a function that samples an id from logits."""
    random = np.random.default_rng(seed)

    def choose(logits: np.ndarray) -> int:
        logits = np.array(logits, np.float64)
        logits[list(excluded)] = -np.inf
        if temperature == 0:
            return int(logits.argmax())
        scaled = np.exp((logits - logits.max()) / temperature)
        order = np.argsort(-scaled, kind="stable")
        cumulative = np.cumsum(scaled[order]) / scaled.sum()
        nucleus = order[: int(np.searchsorted(cumulative, top_p)) + 1]
        return int(random.choice(nucleus, p=scaled[nucleus] / scaled[nucleus].sum()))

    return choose


class Hypothesis(NamedTuple):
    """A partial sequence of a beam search."""

    score: float  # sum of the logarithms of the probabilities, in nats
    tokens: tuple[int, ...]
    state: np.ndarray  # the decoder state after the last token
    attention: tuple[np.ndarray, ...]  # attention weights over the source at each token, (S,) each
    ended: bool  # whether the last token is the end token


def beam_search(
    step: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    inputs: Mapping[str, np.ndarray],
    state: np.ndarray,
    *,
    start: int,
    end: int,
    width: int,
    length: int,
    penalty: float = 0.0,
) -> list[Hypothesis]:
    """Return the `width` best sequences in order; width 1 is greedy decoding."""

    def normalized(hypothesis: Hypothesis) -> float:
        return hypothesis.score / ((5 + len(hypothesis.tokens)) / 6) ** penalty

    beam = [Hypothesis(0.0, (), state, (), False)]
    for _ in range(length):
        candidates = [h for h in beam if h.ended]
        for h in (h for h in beam if not h.ended):
            token = np.array([h.tokens[-1] if h.tokens else start], np.int32)
            outputs = step({"token": token, "state": h.state, **inputs})
            log_probabilities = log_softmax(outputs["logits"][0].astype(np.float64))
            log_probabilities[:end] = -np.inf
            for best in np.argsort(-log_probabilities, kind="stable")[:width]:
                attention = (*h.attention, outputs["attention"][0])
                tokens, score = (*h.tokens, int(best)), h.score + float(log_probabilities[best])
                candidates.append(Hypothesis(score, tokens, outputs["next_state"], attention, best == end))
        beam = sorted(candidates, key=lambda h: -normalized(h))[:width]
        if all(h.ended for h in beam):
            break
    return beam
