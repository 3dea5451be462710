"""Images returned by artifacts beside those of the reference, with their amplified difference."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from export.contract import Contract, Endpoint
from export.contract.sampling import legal_range
from export.parity.cases import GoldenCase
from export.protocol.arrays import Outputs

PREFIX = "parity_"
CASES = ("real", "batch_1", "odd_sides")  # the first row of each is shown


def write_image_diffs(
    folder: Path,
    contract: Contract,
    cases: Mapping[str, Iterable[GoldenCase]],
    runs: Mapping[str, Mapping[str, Outputs]],
) -> None:
    """Write `parity_ENDPOINT.png` into a folder for each endpoint that returns an image (N, H, W, 1 or 3)."""
    # A row: reference, output, and difference times the factor in its title; bitwise equal images share one.
    for endpoint in contract.endpoints:
        comparisons = list(_comparisons(endpoint, cases[endpoint.name], runs))
        if comparisons:
            folder.mkdir(exist_ok=True)
            _write(folder / f"{PREFIX}{endpoint.name}.png", comparisons)


def _comparisons(
    endpoint: Endpoint, cases: Iterable[GoldenCase], runs: Mapping[str, Mapping[str, Outputs]]
) -> Iterable[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (names of runs, reference, image), both (H, W, 1 or 3) in [0, 1]."""
    for tensor in (t for t in endpoint.outputs if t.meaning == "image" and t.shape[-1] in (1, 3)):
        low, high = legal_range(tensor)
        for case in (c for c in cases if c.name in CASES and tensor.name in c.outputs):
            names: dict[bytes, list[str]] = {}
            for name, run in runs.items():
                value = run.get(endpoint.name, Outputs()).get(case.name, tensor.name)
                if value is not None and value.shape == case.outputs[tensor.name].shape and len(value):
                    names.setdefault(value[0].tobytes(), []).append(name)
            reference = case.outputs[tensor.name]
            for image, paths in names.items():
                value = np.frombuffer(image, reference.dtype).reshape(reference.shape[1:])
                yield "\n".join(paths), (reference[0] - low) / (high - low), (value - low) / (high - low)


def amplification(difference: float) -> int:
    """Return the power of ten, at least 1, that scales a difference (a fraction of the range) to about one."""
    return 10 ** max(0, math.floor(-math.log10(difference))) if 0 < difference < 1 else 1


def _write(path: Path, comparisons: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.4 * len(comparisons)), layout="constrained")
    for axes, (names, reference, value) in zip(
        figure.subplots(len(comparisons), 3, squeeze=False), comparisons, strict=True
    ):
        difference = np.nan_to_num(np.abs(value - reference))
        factor = amplification(float(difference.max(initial=0.0)))
        titles = f"reference, {reference.shape[1]}x{reference.shape[0]}", names, f"difference x {factor:,}"
        for axis, image, title in zip(axes, (reference, value, difference * factor), titles, strict=True):
            axis.imshow(np.clip(np.nan_to_num(image), 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=7)
            axis.set_axis_off()
    figure.savefig(path, dpi=100)
