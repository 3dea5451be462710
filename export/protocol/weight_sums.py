"""Compare the weights of a model with the constants of an artifact, by value. Only NumPy and the standard library.

`golden/weights.json` has the name, dtype, shape and checksums of every weight, `golden/weights.npz` a checksum of each
of its slices along the first and the last axis. Checksums of slices do not depend on the order of the values in a
slice, so that a transposed kernel has those of the original.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FILE, SLICES = "weights.json", "weights.npz"
ABSENT = "has other values or is not there"  # the end of a finding
NAMED = 20  # weights that a report names
BLOCK = 2**20  # values that are mixed at once
MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64


def write(
    folder: Path, weights: Iterable[tuple[str, np.ndarray]], merged: Iterable[tuple[str, np.ndarray]] = ()
) -> None:
    """Write the checksums of (name, array); `merged` may stand in a Keras file in place of those of the same name."""
    entries, first, last = [], [], []
    for is_merged, name, array in [*((False, *w) for w in weights), *((True, *w) for w in merged)]:
        a, b, total = slice_sums(array)
        entries.append(
            {
                "name": name,
                "merged": is_merged,
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "sha256": digest(array),
                "sum": f"{total:016x}",
            }
        )
        first.append(a)
        last.append(b)
    (folder / FILE).write_text(json.dumps(entries, indent=1) + "\n")
    empty = np.zeros(0, np.uint32)
    np.savez(
        folder / SLICES, allow_pickle=False, first=np.concatenate([empty, *first]), last=np.concatenate([empty, *last])
    )


def read(folder: Path) -> list[dict[str, Any]] | None:
    """Return the entries of `write`, with "first" and "last"; None if there are none."""
    if not (folder / FILE).is_file() or not (folder / SLICES).is_file():
        return None
    entries = json.loads((folder / FILE).read_text())
    with np.load(folder / SLICES, allow_pickle=False) as stored:
        sums = {key: stored[key] for key in ("first", "last")}
    for key, axis in (("first", 0), ("last", -1)):
        counts = [entry["shape"][axis] if entry["shape"] else 1 for entry in entries]
        if sum(counts) != len(sums[key]):
            raise ValueError(f"{folder / SLICES} does not fit {FILE}")
        for entry, part in zip(entries, np.split(sums[key], np.cumsum(counts)[:-1]), strict=False):
            entry[key] = part
    return entries


def digest(array: np.ndarray) -> str:
    """Return the SHA-256 of the bytes of an array."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def slice_sums(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the checksums of the slices along the first axis and along the last one, uint32, and that of the array."""
    array = np.ascontiguousarray(array if array.ndim else array[None])
    if not array.size:
        return np.zeros(array.shape[0], np.uint32), np.zeros(array.shape[-1], np.uint32), 0
    bits = array.view(f"uint{8 * array.dtype.itemsize}").reshape(array.shape[0], -1)
    first, last = np.zeros(len(bits), np.uint64), np.zeros(array.shape[-1], np.uint64)
    rows = max(1, BLOCK // bits.shape[1])
    for start in range(0, len(bits), rows):
        mixed = _mix(bits[start : start + rows].astype(np.uint64))
        first[start : start + rows] = mixed.sum(axis=1, dtype=np.uint64)
        last += mixed.reshape(-1, array.shape[-1] if array.ndim > 1 else 1).sum(axis=0, dtype=np.uint64)
    if array.ndim == 1:
        last = first
    return *((sums >> np.uint64(32)).astype(np.uint32) for sums in (first, last)), int(first.sum(dtype=np.uint64))


def _mix(values: np.ndarray) -> np.ndarray:
    """Return pseudo-random numbers that belong to the values; Steele, Lea and Flood 2014 (splitmix64)."""
    with np.errstate(over="ignore"):
        values = values + MIX[0]
        values = (values ^ (values >> np.uint64(30))) * MIX[1]
        values = (values ^ (values >> np.uint64(27))) * MIX[2]
        return values ^ (values >> np.uint64(31))


def compare(
    expected: Sequence[Mapping[str, Any]], constants: Iterable[tuple[str, np.ndarray]], exact: bool
) -> dict[str, Any]:
    """Return {"matched", "of", "unmatched": names, "findings": messages}."""
    # `exact`: every weight is stored as it is: one that is not there is an error. Else it may be folded or quantised,
    # which is only counted; but the same constant with some slices changed is an error.
    values = [np.asarray(array) for _, array in constants]
    unused = {i: _Constant(value) for i, value in enumerate(values) if value.dtype.kind not in "OSU"}
    keys = {i: constant.key(exact) for i, constant in unused.items()}
    merged = {entry["name"]: entry for entry in expected if entry["merged"]}
    expected, unmatched = [entry for entry in expected if not entry["merged"]], []
    for entry in expected:
        either = [e for e in (entry, merged.get(entry["name"])) if e]
        choices = [(e["dtype"], tuple(e["shape"]), e["sha256"]) if exact else _any_order(e) for e in either]
        index = next((i for key in choices for i in unused if keys[i] == key), None)
        if index is None:
            unmatched.append(entry)
        elif exact:  # equal constants of a TFLite file may be stored once
            del unused[index]
    matched_keys = set() if exact else set(map(_any_order, expected))
    candidates = [constant for i, constant in unused.items() if keys[i] not in matched_keys]
    suspects = unmatched if exact else expected  # a TFLite file may store a weight more than once
    findings = [text for entry in suspects if (text := _explain(entry, candidates, exact))]
    return {
        "matched": len(expected) - len(unmatched),
        "of": len(expected),
        "unmatched": [entry["name"] for entry in unmatched[:NAMED]],
        "findings": findings,
    }


class _Constant:
    """A constant of an artifact, with its checksums, which are computed once."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = _shape(array.shape)

    @functools.cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray, int]:
        """The result of `slice_sums`."""
        return slice_sums(self.array)

    def key(self, exact: bool) -> tuple[Any, ...]:
        """Return what is equal for a weight and the constant that holds it."""
        if exact:
            return self.array.dtype.name, self.array.shape, digest(self.array)
        return self.shape, f"{self.sums[2]:016x}"


def _any_order(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the key of a weight that does not depend on the order of its axes."""
    return _shape(entry["shape"]), entry["sum"]


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of the axes in ascending order, without those of size one: the same for every transposition."""
    return tuple(sorted(size for size in shape if size != 1))


def _explain(entry: Mapping[str, Any], candidates: Sequence[_Constant], exact: bool) -> str | None:
    """Return what became of a weight, or None if it may be part of another constant."""
    best: tuple[int, int, int] | None = None
    shape = _shape(entry["shape"])
    for constant in candidates:
        if constant.array.dtype.name != entry["dtype"] or constant.shape != shape:
            continue
        first, last, _ = constant.sums
        owned = [(entry["first"], first)]
        owned += [] if exact else [(entry["last"], first), (entry["first"], last), (entry["last"], last)]
        for own, sums in owned:
            if len(own) != len(sums) or len(own) < 2:
                continue
            different = np.flatnonzero(own != sums)
            is_evidence = len(different) and len(np.unique(own[own == sums])) > 1 and len(shape) > 1
            if (exact or is_evidence) and (best is None or len(different) < best[0]):
                best = len(different), len(own), int(different[0]) if len(different) else 0
    if best and best[0] == 0:
        return f"the values of weight {entry['name']} are in another order"
    if best and 2 * best[0] <= best[1]:
        return f"weight {entry['name']} differs in {best[0]} of {best[1]} rows, the first of which is row {best[2]}"
    return f"weight {entry['name']} {ABSENT}" if exact else None
