"""The tolerances of a comparison, and the noise floor: how far outputs differ between equivalent calls. NumPy only."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from export.parity.cases import GoldenCase
from export.parity.distance import is_leading, is_real, max_row_error, row_errors
from export.protocol.arrays import Outputs


@dataclass(frozen=True)
class Policy:
    """Tolerances of a comparison, never to be widened to make a failed row pass: find the layer that differs."""

    relative: float = 1e-5  # largest difference, in units of the row (see `parity.distance`)
    multiple: float = 4.0  # a measured noise floor raises `relative` to at most this many times itself
    # largest noise floor that counts as noise; above it outputs depend on the batch, or eager and graph differ
    ceiling: float = 1e-4
    # largest RMS difference, as a fraction of the reference's RMS (60 dB): errors in outputs much smaller than one
    rms: float = 1e-3
    resolution: float = 1.2e-7  # RMS difference that is always allowed: one float32 step at one
    # a row of extreme values is not compared where inputs moved by two steps change the reference by more
    jump: float = 1e-2
    # least share of table rows and vocabularies that inputs must read, or the proof is shallow; tables have free rows
    reached: float = 0.9
    # smallest share of units that are active (not zero, not saturated) in some row; ReLU units may be zero for all
    active: float = 0.5
    extra_rows: int = 2048  # most golden rows that are added to read every row of a table
    extra_work: float = 2e10  # most multiplications they may take in one runtime: ten seconds

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


VARIANTS = {
    "batch_1": "batch 1 against batch N",
    "batch_2n": "batch N against batch 2 N",
    "graph": "eager against graph",
    "kernels": "with oneDNN against without",
    "perturbed": "inputs perturbed by two steps of their dtype, or weights where no input is a real number",
    "perturbed_own_scale": "inputs perturbed by two steps of their dtype at their own scale",
}
TOLERATED_VARIANTS = ("perturbed", "perturbed_own_scale", "kernels")  # named rows: see `measure_row_noise`


def measure_noise_floor(cases: Iterable[GoldenCase], outputs: Outputs) -> dict[str, dict[str, float]]:
    """Return the differences of one artifact between its variants: {variant: {output: largest row error}}."""
    # A named row counts only where it differs by more than a multiple of its own noise, see `measure_row_noise`.
    differences: dict[str, dict[str, float]] = {}
    for case in cases:
        for output in case.outputs:
            main = outputs.get(case.name, output)
            for variant in VARIANTS:
                other = outputs.get(case.name, output, variant)
                if main is None or other is None or not case.compared or (variant in TOLERATED_VARIANTS and case.rows):
                    continue
                largest = differences.setdefault(variant, {})
                largest[output] = max(largest.get(output, 0.0), _difference(case, output, main, other))
    return differences


def _difference(case: GoldenCase, output: str, main: np.ndarray, other: np.ndarray) -> float:
    noise, scores = case.row_noise.get(output), case.outputs.get(case.scores.get(output, ""))
    if scores is not None and main.shape == other.shape == scores.shape[:-1]:  # class ids
        tied = is_leading(scores, main, Policy.ceiling) & is_leading(scores, other, Policy.ceiling)
        return float("inf") if case.stable((main != other) & ~tied).any() else 0.0
    if noise is None or main.shape != other.shape or len(noise) != len(main) or not is_real(main):
        return max_row_error(case.stable(main), case.stable(other))
    errors = row_errors(main, other)
    excess = case.stable(np.where(errors <= Policy.multiple * noise, 0.0, errors))
    return float(excess.max(initial=0.0))


def find_unstable_rows(
    case: GoldenCase, outputs: Outputs, policy: Policy, variants: Iterable[str] = VARIANTS
) -> tuple[int, ...]:
    """Return the named rows at which an output is discontinuous: changes by more than `policy.jump`."""
    # Variants are inputs perturbed by two steps of their dtype, another batch size, eager or graph mode, other kernels.
    # Examples: a row of zeros in a model that divides by its largest value; one colour where instance normalisation
    # divides by rounding error. No value is correct there. Ordinary rows are always compared. An artifact that depends
    # on its batch is wrong, so that only `TOLERATED_VARIANTS` apply to artifacts.
    rows: set[int] = set()
    for _, errors in _named_row_errors(case, outputs, variants):
        rows |= set(np.flatnonzero(errors > policy.jump).tolist())
    return tuple(sorted(rows))


def measure_row_noise(case: GoldenCase, outputs: Outputs, policy: Policy) -> dict[str, np.ndarray]:
    """Return the noise of each named row of a case: {output: (rows,)}; zero at discontinuities."""
    # The gradient at an extreme row may be larger than at ordinary rows, and must not widen their tolerance.
    noise: dict[str, np.ndarray] = {}
    for output, errors in _named_row_errors(case, outputs, TOLERATED_VARIANTS):
        noise[output] = np.maximum(noise.get(output, 0.0), np.where(errors <= policy.jump, errors, 0.0))
    return noise


def _named_row_errors(case: GoldenCase, outputs: Outputs, variants: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (output, difference of each named row (rows,)) for every variant that ran."""
    for output in case.outputs if case.rows and case.compared else ():
        main = outputs.get(case.name, output)
        for variant in variants:
            other = outputs.get(case.name, output, variant)
            if main is None or other is None or main.shape != other.shape or len(main) != len(case.rows):
                continue
            if is_real(main):
                yield output, row_errors(main, other)


def check_noise_floor(noise: Mapping[str, Mapping[str, float]], policy: Policy) -> list[str]:
    """Return an error message for each output whose noise is above the ceiling."""
    batch = "outputs depend on the batch"
    meaning = {"batch_1": batch, "batch_2n": batch, "graph": "eager and graph mode differ"}
    return [
        f"{meaning[variant]}: {output} differs by {value:.2g}, {VARIANTS[variant]} (ceiling {policy.ceiling:g})"
        for variant, outputs in noise.items()
        for output, value in outputs.items()
        if variant in meaning and not value <= policy.ceiling
    ]
