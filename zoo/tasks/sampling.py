"""Choosing the next token of a text from its logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
