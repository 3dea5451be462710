"""Which input and output of one artifact is which of another: by name, by dtype and shape, by value. NumPy only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.contract import Tensor
from export.errors import CheckFailed, ExportError
from export.parity.distance import is_real, max_row_error

MOST = 720  # orders that are tried
CLEARLY = 10  # by this factor must another pairing be closer before values overrule names


@dataclass(frozen=True)
class Pair:
    """A tensor of the reference and the one of the candidate that it is taken for.

    Attributes:
        reference: Its name there.
        candidate: Its name here.
        how: "asked for", "name", "dtype and shape" or "value".
    """

    reference: str
    candidate: str
    how: str


def plain(name: str) -> str:
    """Return a name without what exporters add: `serving_default_image:0` is `image`."""
    return re.sub(r":\d+$", "", name).removeprefix("serving_default_").lower()


def alike(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors can stand for each other: kind of number, rank, and known inner sizes."""
    if _kind(one.dtype) != _kind(other.dtype):
        return False
    if not one.shape or not other.shape:  # one of them does not tell
        return True
    return len(one.shape) == len(other.shape) and all(
        a == b or a is None or b is None for a, b in zip(one.shape[1:], other.shape[1:], strict=True)
    )


def _kind(dtype: str) -> str:
    return "float" if "float" in dtype else "int" if dtype in ("int32", "int64") else dtype


def match(
    reference: Sequence[Tensor], candidate: Sequence[Tensor], asked: Mapping[str, str] | None = None
) -> list[list[Pair]]:
    """Return every way in which tensors can be paired, best first.

    Those that share a name, or whose dtype and shape only one can have, are paired so in every way; the rest in all
    orders, which only values can decide.

    Args:
        reference: Tensors of the reference.
        candidate: Tensors of the candidate.
        asked: {name in the reference: name in the candidate}, which is obeyed.

    Raises:
        ExportError: If a name that is asked for is not there.
        CheckFailed: If some tensor of the reference has no partner.
    """
    left, right = {t.name: t for t in reference}, {t.name: t for t in candidate}
    sure: list[Pair] = []

    def pair(one: str, other: str, how: str) -> None:
        sure.append(Pair(one, other, how))
        del left[one], right[other]

    for one, other in (asked or {}).items():
        if one not in left or other not in right:
            raise ExportError(
                f"cannot match {one}={other}; the reference has {', '.join(left)}, the candidate {', '.join(right)}"
            )
        pair(one, other, "asked for")
    for clean in (str, plain):
        for one in list(left):
            same = [other for other in right if clean(other) == clean(one) and alike(left[one], right[other])]
            if len(same) == 1:
                pair(one, same[0], "name")
    for one in list(left):
        fits = [other for other in right if alike(left[one], right[other])]
        rivals = [name for name in left if fits and alike(left[name], right[fits[0]])]
        if len(fits) == len(rivals) == 1:
            pair(one, fits[0], "dtype and shape")
    ways = [sure + rest for rest in _orders(left, right)]
    if not ways:
        lone = ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in left.values())
        there = ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in right.values()) or "nothing else"
        raise CheckFailed(f"no partner for {lone}: the candidate has {there}; --match REFERENCE=CANDIDATE pairs them")
    return ways


def _orders(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Iterator[list[Pair]]:
    """Yield the ways to pair tensors that are alike."""
    for chosen in itertools.islice(itertools.permutations(right, len(left)), MOST):
        if all(alike(left[one], right[other]) for one, other in zip(left, chosen, strict=True)):
            yield [Pair(one, other, "value") for one, other in zip(left, chosen, strict=True)]


def by_value(
    pairs: Sequence[Pair], reference: Mapping[str, Sequence[np.ndarray]], candidate: Mapping[str, Sequence[np.ndarray]]
) -> list[Pair]:
    """Return the pairs, or another pairing of the same tensors under which they are `CLEARLY` closer to each other.

    Args:
        pairs: How names, dtypes and shapes pair them.
        reference: Values of each output of the reference, one array for each case.
        candidate: The same of the candidate; more outputs than are paired may be there.
    """
    free = [pair for pair in pairs if pair.how != "asked for"]
    bound = {pair.candidate for pair in pairs if pair.how == "asked for"}
    names = [pair.reference for pair in free]
    others = [name for name in candidate if name not in bound]
    apart = {(a, b): distance(reference[a], candidate[b]) for a in names for b in others}
    given = tuple(pair.candidate for pair in free)

    def worst(chosen: Sequence[str]) -> float:
        return max((apart[pair] for pair in zip(names, chosen, strict=True)), default=0.0)

    best = min(itertools.islice(itertools.permutations(others, len(names)), MOST), key=worst, default=given)
    undecided = any(pair.how == "value" for pair in free)
    if best == given or not (undecided or worst(best) * CLEARLY < worst(given)) or not np.isfinite(worst(best)):
        return list(pairs)
    how = {pair.reference: pair for pair in free}
    moved = [Pair(a, b, how[a].how if how[a].candidate == b else "value") for a, b in zip(names, best, strict=True)]
    return [pair for pair in pairs if pair.how == "asked for"] + moved


def distance(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """Return the largest difference over all cases, in units of the row; infinite where shapes or kinds differ."""
    if len(one) != len(other) or any(is_real(a) != is_real(b) for a, b in zip(one, other, strict=False)):
        return float("inf")
    return max((max_row_error(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
