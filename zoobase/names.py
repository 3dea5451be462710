"""Suggestions for a mistyped name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIASES = {  # names of other libraries -> ours
    "aug": "augment",
    "batch": "batch_size",
    "beta1": "momentum",
    "beta_1": "momentum",
    "bs": "batch_size",
    "clipnorm": "clip_norm",
    "drop_rate": "dropout",
    "early_stopping": "patience",
    "grad_clip": "clip_norm",
    "lr": "learning_rate",
    "lr_scheduler": "schedule",
    "max_epochs": "epochs",
    "nesterov": "momentum",
    "opt": "optimizer",
    "subset": "limit",
    "wd": "weight_decay",
}


def near(name: str, names: Iterable[str]) -> list[str]:
    """Return the names, at most three, that resemble a name, contain it or have it as their usual abbreviation.

    Example:
        >>> near("lr", ["l1", "l2", "learning_rate"])
        ['learning_rate']
        >>> near("lion", ["adam", "muon"])
        []
    """
    spelled, candidates = _plain(name), {_plain(candidate): candidate for candidate in sorted(names)}
    if ALIASES.get(spelled) in candidates:
        return [candidates[ALIASES[spelled]]]
    similar = difflib.get_close_matches(spelled, candidates)
    contained = [c for c in candidates if min(len(c), len(spelled)) >= 3 and (c in spelled or spelled in c)]
    return [candidates[plain] for plain in dict.fromkeys([*similar, *contained])][:3]


def _plain(name: str) -> str:
    return name.lower().strip("-").replace("-", "_")


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return a hint for an unknown name.

    Example:
        >>> suggestion("fashon", ["fashion_mnist", "mnist"])
        'did you mean fashion_mnist?'
        >>> suggestion("xyz", ["b", "a"])
        'one of a, b'
    """
    names = sorted(names)
    matches = near(name, names)
    return f"did you mean {' or '.join(matches)}?" if matches else f"one of {', '.join(names) or 'none'}"
