"""The tolerances of a comparison. NumPy only."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Policy:
    """Tolerances of a comparison. They are not to be widened to make a failed row pass: find the layer that differs.

    Attributes:
        relative: Largest difference, in units of the row (see `parity.distance`).
        multiple: A measured noise floor raises `relative` to at most this many times itself.
        ceiling: Largest noise floor that counts as noise. Above it outputs depend on the batch, or eager and graph mode
            differ.
        rms: Largest root-mean-square difference, as a fraction of the reference's root mean square (1e-3 is 60 dB). It
            detects errors in outputs that are all much smaller than one.
        resolution: Root-mean-square difference that is always allowed: one float32 step at one.
        jump: A row of extreme values is not compared where inputs perturbed by two steps change the reference by more
            than this (a discontinuity).
        reached: Smallest share of the rows of each table, and of each vocabulary, that golden inputs must read, or the
            proof is shallow. It is below one because tables have free rows, such as those for unknown words.
        active: Smallest share of the units that must be active (neither zero nor saturated) in some row, or the proof
            is shallow. It is far below one because units of a ReLU network may be zero for every input.
        extra_rows: Largest number of golden rows that are added to read every row of a table.
        extra_work: Largest number of multiplications that they may take in one runtime, about ten seconds.
    """

    relative: float = 1e-5
    multiple: float = 4.0
    ceiling: float = 1e-4
    rms: float = 1e-3
    resolution: float = 1.2e-7
    jump: float = 1e-2
    reached: float = 0.9
    active: float = 0.5
    extra_rows: int = 2048
    extra_work: float = 2e10

    def tolerance(self, floor: float, dtype: np.dtype) -> float:
        """Return the largest allowed difference in units of the row: policy, or a multiple of the noise floor."""
        return max(self.relative, 4 * float(np.finfo(dtype).eps), self.multiple * floor)

    def tolerances(self, floor: float, noise: np.ndarray | None, dtype: np.dtype, rows: int) -> np.ndarray:
        """Return the tolerance of each row, (rows,): for a named row also a multiple of its own noise."""
        common = np.full(rows, self.tolerance(floor, dtype))
        return common if noise is None or len(noise) != rows else np.maximum(common, self.multiple * noise)

    def to_json(self) -> dict[str, float]:
        """Return the JSON form used in certificates."""
        return asdict(self)
