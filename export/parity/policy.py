"""What counts as equal, and what of a golden case is compared. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Policy:
    """What counts as equal. Nobody widens it to turn a red green: find the layer.

    Attributes:
        relative: Largest difference, in units of the row (see `parity.distance`).
        multiple: A measured noise floor may raise `relative` to this many times itself...
        ceiling: ...but a floor above this is no noise: the outputs depend on the batch, or eager and graph disagree.
        rms: Largest root-mean-square difference, as a part of the reference's root mean square (1e-3 is 60 dB). This
            sees a wrong model whose outputs are all much smaller than one.
        resolution: Root-mean-square difference that is always allowed: one float32 step at one.
        jump: A row of extreme values is not judged where two steps of the inputs move the reference by more than this.
    """

    relative: float = 1e-5
    multiple: float = 4.0
    ceiling: float = 1e-4
    rms: float = 1e-3
    resolution: float = 1.2e-7
    jump: float = 1e-2

    def tolerance(self, floor: float, dtype: np.dtype) -> float:
        """Return the largest allowed difference in units of the row: policy, or a multiple of the noise floor."""
        return max(self.relative, 4 * float(np.finfo(dtype).eps), self.multiple * floor)

    def tolerances(self, floor: float, noise: np.ndarray | None, dtype: np.dtype, rows: int) -> np.ndarray:
        """Return what each row is allowed, (rows,): a named row that moves by itself a multiple of that, too."""
        common = np.full(rows, self.tolerance(floor, dtype))
        return common if noise is None or len(noise) != rows else np.maximum(common, self.multiple * noise)

    def to_json(self) -> dict[str, float]:
        """Return the plain form that certificates hold."""
        return asdict(self)


class Judged(Protocol):
    """The part of a golden case that judging needs."""

    name: str
    judged: bool
    rows: tuple[str, ...]
    may_raise: bool
    outputs: Mapping[str, np.ndarray]
    unsteady: tuple[int, ...]
    row_noise: Mapping[str, np.ndarray]
