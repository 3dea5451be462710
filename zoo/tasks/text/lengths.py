"""How many tokens of a text a model reads: chosen from the training texts, and the share of texts that is cut."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SHARE = 0.99  # of the texts, which the chosen length does not cut


def statistics(counts: Sequence[int], length: int, shortest: int, longest: int) -> dict[str, Any]:
    """Return {"length": tokens that are read, "cut": share of the texts that are longer}."""
    needed = int(np.quantile(counts, SHARE, method="lower")) if len(counts) else shortest
    chosen = length or min(longest, max(shortest, -(-needed // 16) * 16))
    return {"length": chosen, "cut": round(float(np.mean(np.asarray(counts) > chosen)), 4)}


def describe(statistics: Mapping[str, Any], tokens: str, setting: str) -> str:
    """Return one sentence: what is read of a text, and how many texts are cut."""
    cut = statistics["cut"]
    rest = f"{cut:.1%} of the training texts are longer (--set {setting}=N)" if cut else "no training text is longer"
    return f"The first {statistics['length']} {tokens} of a text are read: {rest}.".replace("%", " %")
