"""Match the inputs and outputs of two artifacts: by name, by dtype and shape, by value. NumPy only."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.contract import Tensor
from export.parity.distance import is_real, max_row_error
from zoobase.errors import CheckFailed, ExportError

MAX_ORDERS = 720  # permutations that are tried
VALUE_FACTOR = 10  # values overrule names only if another pairing is closer by this factor


@dataclass(frozen=True)
class Pair:
    """A tensor of the reference and the matching tensor of the candidate."""

    reference: str
    candidate: str
    how: str  # "asked for", "name", "dtype and shape" or "value"


def plain(name: str) -> str:
    """Return a name without the additions of exporters: `serving_default_image:0` becomes `image`."""
    return re.sub(r":\d+$", "", name).removeprefix("serving_default_").lower()


def compatible(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors can match: kind of dtype, rank, and known inner sizes."""
    if _kind(one.dtype) != _kind(other.dtype):
        return False
    if not one.shape or not other.shape:  # an unknown shape matches any
        return True
    return len(one.shape) == len(other.shape) and all(
        a == b or a is None or b is None for a, b in zip(one.shape[1:], other.shape[1:], strict=True)
    )


def _kind(dtype: str) -> str:
    return "float" if "float" in dtype else "int" if dtype in ("int32", "int64") else dtype


def match(
    reference: Sequence[Tensor], candidate: Sequence[Tensor], requested: Mapping[str, str] | None = None
) -> list[list[Pair]]:
    """Return all possible pairings of tensors, best first; `requested` {reference: candidate} takes precedence."""
    # Those of the same name, or of a unique dtype and shape, are pairs; the others are permuted: values choose.
    left, right = {t.name: t for t in reference}, {t.name: t for t in candidate}
    fixed: list[Pair] = []

    def pair(one: str, other: str, how: str) -> None:
        fixed.append(Pair(one, other, how))
        del left[one], right[other]

    for one, other in (requested or {}).items():
        if one not in left or other not in right:
            raise ExportError(
                f"cannot match {one}={other}; the reference has {', '.join(left)}, the candidate {', '.join(right)}"
            )
        pair(one, other, "asked for")
    for normalize in (str, plain):
        for one in list(left):
            matches = [
                other for other in right if normalize(other) == normalize(one) and compatible(left[one], right[other])
            ]
            if len(matches) == 1:
                pair(one, matches[0], "name")
    for one in list(left):
        candidates = [other for other in right if compatible(left[one], right[other])]
        rivals = [name for name in left if candidates and compatible(left[name], right[candidates[0]])]
        if len(candidates) == len(rivals) == 1:
            pair(one, candidates[0], "dtype and shape")
    pairings = [fixed + others for others in _orders(left, right)]
    if not pairings:
        unmatched = ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in left.values())
        available = ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in right.values()) or "nothing else"
        raise CheckFailed(
            f"no match for {unmatched}: the candidate has {available}; --match REFERENCE=CANDIDATE pairs them"
        )
    return pairings


def _orders(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Iterator[list[Pair]]:
    """Yield the permutations that pair compatible tensors."""
    for order in itertools.islice(itertools.permutations(right, len(left)), MAX_ORDERS):
        if all(compatible(left[one], right[other]) for one, other in zip(left, order, strict=True)):
            yield [Pair(one, other, "value") for one, other in zip(left, order, strict=True)]


def by_value(
    pairs: Sequence[Pair], reference: Mapping[str, Sequence[np.ndarray]], candidate: Mapping[str, Sequence[np.ndarray]]
) -> list[Pair]:
    """Return the pairs, or another pairing whose values, one array a case, are closer by `VALUE_FACTOR`."""
    free = [pair for pair in pairs if pair.how != "asked for"]
    requested = {pair.candidate for pair in pairs if pair.how == "asked for"}
    names = [pair.reference for pair in free]
    others = [name for name in candidate if name not in requested]
    distances = {(a, b): distance(reference[a], candidate[b]) for a in names for b in others}
    current = tuple(pair.candidate for pair in free)

    def worst(order: Sequence[str]) -> float:
        return max((distances[pair] for pair in zip(names, order, strict=True)), default=0.0)

    best = min(itertools.islice(itertools.permutations(others, len(names)), MAX_ORDERS), key=worst, default=current)
    undecided = any(pair.how == "value" for pair in free)
    if (
        best == current
        or not (undecided or worst(best) * VALUE_FACTOR < worst(current))
        or not np.isfinite(worst(best))
    ):
        return list(pairs)
    current_pairs = {pair.reference: pair for pair in free}
    reordered = [
        Pair(a, b, current_pairs[a].how if current_pairs[a].candidate == b else "value")
        for a, b in zip(names, best, strict=True)
    ]
    return [pair for pair in pairs if pair.how == "asked for"] + reordered


def distance(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """Return the largest difference over all cases, in units of the row; infinite where shapes or kinds differ."""
    if len(one) != len(other) or any(is_real(a) != is_real(b) for a, b in zip(one, other, strict=False)):
        return float("inf")
    return max((max_row_error(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
