"""Images that artifacts returned beside those of the reference, and their difference, loud enough to be seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from export.contract import Contract, Endpoint
from export.contract.sampling import legal_range
from export.parity.golden import Case
from export.runtime.execution import Run

PREFIX = "parity_"
CASES = ("real", "batch_1", "odd_sides")  # of these, the first row is drawn


def draw(
    folder: Path, contract: Contract, cases: Mapping[str, Iterable[Case]], runs: Mapping[tuple[str, str], Run]
) -> None:
    """Write `parity_ENDPOINT.png` into a folder for each endpoint that returns an image (N, H, W, 1 or 3).

    Each line shows the reference, what an artifact returned, and the difference, as many times larger as its title
    says. Artifacts whose images are equal to the last bit share a line.

    Args:
        folder: Made where there is something to draw.
        contract: Which outputs are images.
        cases: Golden cases by endpoint, with the outputs of the reference.
        runs: By (artifact path, runtime name).
    """
    for endpoint in contract.endpoints:
        lines = list(_lines(endpoint, cases[endpoint.name], runs))
        if lines:
            folder.mkdir(exist_ok=True)
            _write(folder / f"{PREFIX}{endpoint.name}.png", lines)


def _lines(
    endpoint: Endpoint, cases: Iterable[Case], runs: Mapping[tuple[str, str], Run]
) -> Iterable[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (names of artifacts, reference, image), both (H, W, 1 or 3) in [0, 1]."""
    for tensor in (t for t in endpoint.outputs if t.meaning == "image" and t.shape[-1] in (1, 3)):
        low, high = legal_range(tensor)
        for case in (c for c in cases if c.name in CASES and tensor.name in c.outputs):
            names: dict[bytes, list[str]] = {}
            for (path, runtime), run in runs.items():
                value = run.arrays.get(endpoint.name, {}).get(f"{case.name}/main/{tensor.name}")
                if value is not None and value.shape == case.outputs[tensor.name].shape and len(value):
                    names.setdefault(value[0].tobytes(), []).append(f"{path} in {runtime}")
            reference = case.outputs[tensor.name]
            for image, same in names.items():
                value = np.frombuffer(image, reference.dtype).reshape(reference.shape[1:])
                yield "\n".join(same), (reference[0] - low) / (high - low), (value - low) / (high - low)


def loudness(difference: float) -> int:
    """Return the power of ten that brings a difference, as a part of the range, near to the whole range, at least 1."""
    return 10 ** max(0, math.floor(-math.log10(difference))) if 0 < difference < 1 else 1


def _write(path: Path, lines: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.4 * len(lines)), layout="constrained")
    for axes, (names, reference, value) in zip(figure.subplots(len(lines), 3, squeeze=False), lines, strict=True):
        apart = np.nan_to_num(np.abs(value - reference))
        times = loudness(float(apart.max(initial=0.0)))
        titles = f"reference, {reference.shape[1]}x{reference.shape[0]}", names, f"difference x {times:,}"
        for axis, image, title in zip(axes, (reference, value, apart * times), titles, strict=True):
            axis.imshow(np.clip(np.nan_to_num(image), 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=7)
            axis.set_axis_off()
    figure.savefig(path, dpi=100)
