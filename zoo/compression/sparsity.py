"""Magnitude pruning: the smallest weights of a kernel become zero, alone or in patterns, by a schedule.

Reference: Zhu, Gupta 2017, arXiv:1710.01878 (the schedule); Mishra 2021, arXiv:2104.08378 (2 of 4).
"""

from dataclasses import dataclass

import numpy as np

from zoo.core.recipe import SPARSITY


@dataclass(frozen=True)
class Pattern:
    """The zeros of every kernel, seen as a matrix of inputs and outputs."""

    sparsity: float  # the share of zeros in the end
    group: int = 0  # every so many consecutive inputs of an output have the same number of zeros; 0 for no groups
    block: tuple[int, int] = (1, 1)  # the outputs and inputs of the rectangles that are zero or not as a whole


def parse(text: str) -> Pattern | None:
    """Return the pattern of the setting `recipe.sparsity`; None if it is off."""
    match = SPARSITY.fullmatch(text)
    if match is None:
        return None
    share, outputs, inputs, kept, group = match.groups()
    if group:
        return Pattern(1 - int(kept) / int(group), int(group))
    return Pattern(float(share), block=(int(outputs or 1), int(inputs or 1)))


def polynomial(progress: float, final: float) -> float:
    """Return the sparsity at a share of the time in which it rises from 0 to `final`: fast at first, then slowly."""
    return final * (1.0 - (1.0 - min(progress, 1.0)) ** 3)


def choose(kernel: np.ndarray, pattern: Pattern, sparsity: float) -> np.ndarray:
    """Return which weights of a kernel (..., inputs, outputs) stay; those that are zero already are the first to go."""
    matrix = np.abs(kernel.reshape(-1, kernel.shape[-1]).T)  # (outputs, inputs)
    if pattern.group:
        size = (1, pattern.group)
        cells = _cells(matrix, size)  # (outputs, groups, 1, group)
        zeros = round(sparsity * pattern.group)
        order = np.argsort(np.argsort(cells, axis=-1, kind="stable"), axis=-1, kind="stable")
        kept = order >= zeros
    else:
        size = pattern.block
        cells = _cells(matrix, size)
        means = cells.mean(axis=(-2, -1))
        order = np.argsort(np.argsort(means, axis=None, kind="stable"), kind="stable").reshape(means.shape)
        kept = np.broadcast_to((order >= round(sparsity * means.size))[..., None, None], cells.shape)
    rows, columns = matrix.shape
    whole = kept.swapaxes(1, 2).reshape(kept.shape[0] * kept.shape[2], -1)[:rows, :columns]
    return np.ascontiguousarray(whole.T).reshape(kernel.shape)


def _cells(matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a matrix cut into rectangles, (rows of them, columns of them, height, width), filled up with zeros."""
    height, width = size
    padded = np.pad(matrix, [(0, -length % part) for length, part in zip(matrix.shape, size, strict=True)])
    return padded.reshape(padded.shape[0] // height, height, padded.shape[1] // width, width).swapaxes(1, 2)
